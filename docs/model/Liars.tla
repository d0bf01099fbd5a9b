------------------------------- MODULE Liars --------------------------------
(***************************************************************************)
(* Negotiated rollback among liars: votes that name others falsely, votes in *)
(* another's name, votes that were altered on the way, none at all.         *)
(*                                                                          *)
(* Steps, debits, credits, the electorate and the decision are those of     *)
(* Rollback.tla. The steps have run before the proposal, and do not read    *)
(* each other: freezing is not in this model. A message has a number, and   *)
(* each step a clock, the join of its input's and its own place. A liar's   *)
(* steps have any clock, and its agent says anything of them.               *)
(*                                                                          *)
(* An honest agent refutes what is said of it and can't be: a message that  *)
(* it has handled under another number, or with a clock that covers no      *)
(* root. It accuses who says that of its own steps. What can't be is not    *)
(* heard, nor what its voter has not signed as a whole. Who tells what is   *)
(* left open, as in Rollback.tla: any vote may reach any agent that it      *)
(* concerns, from its voter or from whoever has heard it.                   *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, Sequences, TLC

CONSTANTS Honest, Liars,
          MaxSteps,     \* steps in all, at most
          MaxLied,      \* those of liars
          MaxTo,        \* receivers of one step
          MaxForged,    \* liars' clocks name any step of honest agents up to this number; 0: they are true
          MaxSaid,      \* votes that a liar signs for all, each naming what the one before names, or more
          MaxNames,     \* messages that one names
          Wrong,        \* TRUE: it may name them with wrong numbers
          Rejects,      \* TRUE: electors may reject
          \* The rules, each TRUE; FALSE is the mutation that must fail.
          Refutes,      \* what is said of an agent and can't be is refuted, not credited (RB-15)
          Counts,       \* a refuted debit counts as taken into account (RB-15)
          Before,       \* nothing that an agent has handled hangs on its own later steps, whatever a clock says (RB-15)
          SameClock,    \* but nobody is accused who has gone by that clock: it may be another's lie (RB-15)
          VotesOnly,    \* only what a vote says is refuted, not what was merely found (RB-15)
          OwnOnly,      \* accused is who says it of its own steps (RB-15)
          Fits,         \* votes that list others' steps are refused (TR-9)
          Signed,       \* a vote counts only if its voter has signed it (TR-10)
          Whole,        \* and only if it is all that was signed, also where it is told in parts (TR-10)
          \* What liars can do, and nothing is said against: each FALSE; TRUE shows what does not hold then.
          Differs,      \* a liar signs different votes for different agents
          Ends,         \* it tells ends that are none
          Finds,        \* as the keeper it tells that it has found what others' steps have sent
          Shown         \* it has been shown the proposal of a rollback in which it takes no part

Agents == Honest \cup Liars
None == <<>>
Nums == IF Wrong THEN {"right", "wrong"} ELSE {"right"}

VARIABLES steps,     \* steps[a]: sequence of [in, to, clock]
          root,      \* a step <<a, n>>, or None
          cast,      \* cast[a]: the versions of an honest agent's vote, in order; of a liar's, what it has signed
          heard,     \* heard[q][a]: what q has of a's votes, [ver, debits, acc, ref, ok]; of none ver is 0
          hearsay,   \* hearsay[q]: what q was told to have got from the cone, without the vote that says so
          accused,   \* pairs of an honest agent and whom it has accused
          decided    \* decided[q]: "no", "commit" or "abort"

vars == <<steps, root, cast, heard, hearsay, accused, decided>>

Silent == [ver |-> 0, cone |-> {}, debits |-> {}, acc |-> {}, ref |-> {}, ok |-> TRUE]

Index(a) == 1..Len(steps[a])
StepIds == UNION {{<<a, n>> : n \in Index(a)} : a \in Agents}
Of(s) == steps[s[1]][s[2]]
RECURSIVE Count(_)
Count(S) == IF S = {} THEN 0 ELSE LET a == CHOOSE x \in S : TRUE IN Len(steps[a]) + Count(S \ {a})

Init == /\ steps = [a \in Agents |-> <<>>]
        /\ root = None
        /\ cast = [a \in Agents |-> <<>>]
        /\ heard = [q \in Honest |-> [a \in Agents |-> Silent]]
        /\ hearsay = [q \in Honest |-> {}]
        /\ accused = {}
        /\ decided = [q \in Honest |-> "no"]

-----------------------------------------------------------------------------
\* What has run before.
Handled(a) == {steps[a][n].in : n \in Index(a)}
Inputs(a) == {None} \cup {s \in StepIds : a \in Of(s).to /\ s \notin Handled(a)}
Came(in) == IF in = None THEN [x \in Agents |-> 0] ELSE Of(in).clock
\* A step's clock. A liar's may be any.
Clocks(a, in) ==
  LET said == IF a \in Honest \/ MaxForged = 0 THEN {Came(in)}
              ELSE {[x \in Agents |-> IF x \in Honest THEN f[x] ELSE 0] : f \in [Honest -> 0..MaxForged]}
  IN {[clock EXCEPT ![a] = Len(steps[a]) + 1] : clock \in said}

Run(a) ==
  /\ root = None /\ Count(Agents) < MaxSteps
  /\ a \in Liars => Count(Liars) < MaxLied
  /\ \E in \in Inputs(a), to \in {S \in SUBSET (Agents \ {a}) : Cardinality(S) <= MaxTo} :
       \E clock \in Clocks(a, in) :
         steps' = [steps EXCEPT ![a] = Append(@, [in |-> in, to |-> to, clock |-> clock])]
  /\ UNCHANGED <<root, cast, heard, hearsay, accused, decided>>

Propose ==
  /\ root = None
  /\ \E s \in StepIds : root' = s
  /\ UNCHANGED <<steps, cast, heard, hearsay, accused, decided>>

\* The cone, seen from above.
RECURSIVE Forward(_)
Forward(C) == LET more == {s \in StepIds : Of(s).in \in C}
              IN IF more \subseteq C THEN C ELSE Forward(C \cup more)
TrueCone == Forward({root})
TrueElectors == {root[1]} \cup UNION {Of(s).to : s \in TrueCone}
Knows(z) == root # None /\ (Shown \/ z \in TrueElectors)

-----------------------------------------------------------------------------
\* Honest agents.
Voted(q) == cast[q] # <<>>
Last(q) == IF Voted(q) THEN cast[q][Len(cast[q])] ELSE Silent

\* What q is said to have got from the cone, and what it makes of it.
InVotes(q) == UNION {{[of |-> d.of, num |-> d.num] : d \in {e \in heard[q][x].debits : e.to = q}} : x \in Agents \ {q}}
Said(q) == InVotes(q) \cup hearsay[q]
Aware(q) == root # None /\ (root[1] = q \/ Said(q) # {} \/ Voted(q))

Covers(clock) == clock[root[1]] >= root[2]
IsLater(q, n) == root[1] = q /\ root[2] >= n
MayHang(q, n) == Covers(Came(steps[q][n].in)) /\ (Before => ~IsLater(q, n))
IsFalse(q, d) == \E n \in Index(q) : steps[q][n].in = d.of /\ (d.num = "wrong" \/ ~MayHang(q, n))
\* What who says it of its own step must have known, too, if it is honest.
IsLie(q, d) == \E n \in Index(q) :
  steps[q][n].in = d.of /\ (d.num = "wrong" \/ ~(IF SameClock THEN Covers(Came(d.of)) ELSE MayHang(q, n)))

Taken(q) == Last(q).acc \cup Last(q).ref
NewAcc(q) == {d.of : d \in {e \in Said(q) : ~Refutes \/ ~IsFalse(q, e)}} \ Taken(q)
NewRef(q) == IF Refutes
             THEN {d.of : d \in {e \in (IF VotesOnly THEN InVotes(q) ELSE Said(q)) : IsFalse(q, e)}}
                  \ (Taken(q) \cup NewAcc(q))
             ELSE {}
PartBy(q, acc) == {n \in Index(q) : root = <<q, n>> \/ steps[q][n].in \in acc}

CanVote(q) == /\ Aware(q) /\ decided[q] = "no"
              /\ ~Voted(q) \/ NewAcc(q) \cup NewRef(q) # {}

Vote(q) ==
  /\ CanVote(q)
  /\ LET acc == Last(q).acc \cup NewAcc(q)
         cone == PartBy(q, acc)
         debits == UNION {{[of |-> <<q, n>>, to |-> r, num |-> "right"] : r \in steps[q][n].to} : n \in cone}
     IN \E ok \in IF ~Last(q).ok THEN {FALSE} ELSE IF Rejects THEN BOOLEAN ELSE {TRUE} :
          LET vote == [ver |-> Len(cast[q]) + 1, cone |-> cone, debits |-> debits, acc |-> acc,
                       ref |-> Last(q).ref \cup NewRef(q), ok |-> ok]
          IN /\ cast' = [cast EXCEPT ![q] = Append(@, vote)]
             /\ heard' = [heard EXCEPT ![q][q] = vote]
  /\ UNCHANGED <<steps, root, hearsay, accused, decided>>

\* A vote comes to q, from `by`; what a liar has said before it has said, whatever it says later.
Hears(q, x, vote, by) ==
  /\ heard' = [heard EXCEPT ![q][x] =
                 [vote EXCEPT !.debits = @ \cup heard[q][x].debits, !.acc = @ \cup heard[q][x].acc,
                              !.ok = @ /\ heard[q][x].ok]]
  /\ LET lies == \E d \in vote.debits : d.to = q /\ IsLie(q, [of |-> d.of, num |-> d.num])
     IN accused' = IF lies /\ (by = x \/ ~OwnOnly) THEN accused \cup {<<q, by>>} ELSE accused
  /\ UNCHANGED <<steps, root, hearsay, decided>>

\* q hears nothing of a rollback before it is named or asked; it goes on hearing until it has decided.
Concerns(q, vote) == Aware(q) \/ \E d \in vote.debits : d.to = q
CanLearn(q, x, by, vote) ==
  /\ q # x /\ q # by /\ decided[q] = "no" /\ vote.ver > heard[q][x].ver /\ Concerns(q, vote)

\* From an honest agent: any version that it has cast, or what it has heard of another.
Learn(q) ==
  /\ \/ \E x \in Honest : \E v \in 1..Len(cast[x]) :
          CanLearn(q, x, x, cast[x][v]) /\ Hears(q, x, cast[x][v], x)
     \/ \E by \in Honest : \E x \in Agents \ {by} :
          CanLearn(q, x, by, heard[by][x]) /\ Hears(q, x, heard[by][x], by)
  /\ UNCHANGED cast

Electors(q) ==
  LET RECURSIVE Closure(_)
      Closure(E) == LET more == UNION {{d.to : d \in heard[q][e].debits} : e \in E}
                    IN IF more \subseteq E THEN E ELSE Closure(E \cup more)
  IN Closure({root[1]})
DebitsTo(q, e) == {d.of : d \in {c \in UNION {heard[q][x].debits : x \in Agents} : c.to = e}}
Balanced(q) ==
  \A e \in Electors(q) :
    /\ heard[q][e].ver > 0 /\ heard[q][e].ok
    /\ DebitsTo(q, e) \subseteq heard[q][e].acc \cup (IF Counts THEN heard[q][e].ref ELSE {})
Refused(q) == \E e \in Electors(q) : ~heard[q][e].ok

CanCommit(q) == Voted(q) /\ decided[q] = "no" /\ ~Refused(q) /\ Balanced(q)
CanAbort(q) == Voted(q) /\ decided[q] = "no" /\ Refused(q)
Decide(q) ==
  /\ \E d \in {"commit", "abort"} :
       /\ \/ d = "commit" /\ CanCommit(q)
          \/ d = "abort" /\ CanAbort(q)
          \/ Voted(q) /\ decided[q] = "no" /\ \E b \in Honest \ {q} : decided[b] = d
          \/ Ends /\ Voted(q) /\ decided[q] = "no" /\ \E z \in Liars : Knows(z)
       /\ decided' = [decided EXCEPT ![q] = d]
  /\ UNCHANGED <<steps, root, cast, heard, hearsay, accused>>

-----------------------------------------------------------------------------
\* Liars. What one may say: that honest agents have got from the cone any of its own messages, and some that never were.
Names(z) == [of : IF Fits THEN {<<z, n>> : n \in Index(z)} ELSE StepIds, to : Honest, num : Nums]
\* It may take into account all that it has got, or nothing: who waits for that waits for nothing else.
Votes(z, ver, debits) ==
  [ver : {ver}, cone : {{}}, debits : {D \in SUBSET Names(z) : Cardinality(D) <= MaxNames /\ debits \subseteq D},
   acc : {{}, {s \in StepIds : z \in Of(s).to}}, ref : {{}}, ok : IF Rejects THEN BOOLEAN ELSE {TRUE}]

\* It signs a vote when it first tells it. Of two that differ and have one number nobody can tell which it was.
Tell(z, q) ==
  /\ Knows(z) /\ decided[q] = "no"
  /\ \/ \E v \in 1..Len(cast[z]) :
          /\ cast[z][v].ver > heard[q][z].ver
          /\ Hears(q, z, cast[z][v], z)
          /\ UNCHANGED cast
     \/ /\ Len(cast[z]) < MaxSaid
        /\ \E vote \in Votes(z, Len(cast[z]) + 1, Last(z).debits) :
             /\ Hears(q, z, vote, z)
             /\ cast' = [cast EXCEPT ![z] = Append(@, vote)]
     \/ /\ Differs /\ heard[q][z].ver = 0
        /\ \E vote \in Votes(z, 1, {}) : Hears(q, z, vote, z)
        /\ UNCHANGED cast

\* A vote in another's name.
Forge(z, q) ==
  /\ ~Signed /\ Knows(z) /\ decided[q] = "no"
  /\ \E x \in Honest \ {q} :
       /\ heard[q][x].ver = 0
       /\ \E vote \in Votes(x, 1, {}) : Hears(q, x, vote, z)
  /\ UNCHANGED cast

\* It passes on a signed vote, but lists in it what the voter has not: as the difference to one that never came.
Alter(z, q) ==
  /\ ~Whole /\ Knows(z) /\ decided[q] = "no"
  /\ \E x \in Honest \ {q}, num \in Nums :
       /\ Len(cast[x]) > 1 /\ heard[q][x].ver = 0
       /\ \E n \in Index(x) : hearsay' = [hearsay EXCEPT ![q] = {[of |-> <<x, n>>, num |-> num]}]
  /\ hearsay'[q] # hearsay[q]
  /\ UNCHANGED <<steps, root, cast, heard, accused, decided>>

\* The keeper is the root's owner: it tells others what steps that are not its own have sent them.
Find(z, q) ==
  /\ Finds /\ Knows(z) /\ decided[q] = "no" /\ hearsay[q] = {}
  /\ root[1] = z
  /\ \E s \in {t \in StepIds : t[1] # q /\ t[1] \in Honest}, num \in Nums :
       hearsay' = [hearsay EXCEPT ![q] = {[of |-> s, num |-> num]}]
  /\ UNCHANGED <<steps, root, cast, heard, accused, decided>>

Next == \/ \E a \in Agents : Run(a)
        \/ Propose
        \/ \E q \in Honest : Vote(q) \/ Learn(q) \/ Decide(q)
        \/ \E z \in Liars, q \in Honest : Tell(z, q) \/ Forge(z, q) \/ Alter(z, q) \/ Find(z, q)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
\* What honest agents undo, and take for undone.
Committed(q) == decided[q] = "commit"
Undone(q) == IF Committed(q) THEN Last(q).cone ELSE {}

Agreement == \A q, r \in Honest : ~(Committed(q) /\ decided[r] = "abort")

\* Nothing is undone whose input shows by its clock that it hangs on no root.
Named == \A q \in Honest : \A n \in Undone(q) :
  root = <<q, n>> \/ (steps[q][n].in # None /\ Covers(Came(steps[q][n].in)) /\ ~IsLater(q, n))

\* No message of an honest agent is taken for undone that is in no vote of its own.
NotLost == \A q \in Honest : Committed(q) => \A s \in Last(q).acc : s[1] \in Honest => s[2] \in Last(s[1]).cone

\* What hangs on a step that one honest agent has undone, no other that has committed has kept.
NoOrphan == \A x, q \in Honest : Committed(x) /\ Committed(q) =>
              \A n \in Index(q) : steps[q][n].in \in {<<x, m>> : m \in Undone(x)} => n \in Undone(q)

\* Of honest agents alone exactly the cone is undone, whatever liars have sent and send.
Alone == root = None \/ TrueElectors \cap Liars # {} \/
         /\ \A q \in Honest : Committed(q) => \A x \in Honest : Voted(x) \/ x \in TrueElectors =>
                                                {<<x, n>> : n \in Last(x).cone} = {s \in TrueCone : s[1] = x}
         /\ Agreement

NobodyHonestAccused == \A pair \in accused : pair[2] \in Liars

\* Nobody waits for ever: while an honest agent is undecided, one can vote, learn or decide, though nobody tells
\* what it has decided; unless a liar that it waits for withholds its vote, or what that has to take into account.
Answers(z) == /\ \E b \in Honest : heard[b][z].ver > 0
              /\ \A b \in Honest : LET vote == heard[b][z]
                                   IN vote.ver = 0 \/ ~vote.ok \/ \A x \in Honest : \A d \in Last(x).debits :
                                        d.to = z => d.of \in vote.acc
CanGoOn == \E q \in Honest :
  \/ CanVote(q) \/ CanCommit(q) \/ CanAbort(q)
  \/ \E x \in Honest : \E v \in 1..Len(cast[x]) : CanLearn(q, x, x, cast[x][v])
  \/ \E by \in Honest : \E x \in Agents \ {by} : CanLearn(q, x, by, heard[by][x])
Progress == \A q \in Honest : Voted(q) /\ decided[q] = "no" /\ (\A z \in Electors(q) \cap Liars : Answers(z)) => CanGoOn

\* Claims that must fail: what is checked does happen, and no more holds.
NothingIsRefuted == \A q \in Honest : Committed(q) => Last(q).ref = {}
NobodyAccused == accused = {}
NobodyWaits == \A q \in Honest : Voted(q) /\ decided[q] = "no" => CanGoOn
NobodyStuck == (\A q \in Honest : decided[q] = "no") => Progress
OnlyCones == \A q \in Honest : \A n \in Undone(q) : <<q, n>> \in TrueCone

\* Constraints. Of a liar that is the keeper: the root is its own. For the longest history: liars begin, and are told of
\* whatever honest agents begin.
Keeps == root = None \/ root[1] \in Liars
Narrow == \A s \in StepIds : IF s[1] \in Liars THEN Of(s).in = None ELSE Of(s).in = None => Of(s).to \cap Liars # {}

Symmetry == Permutations(Honest)
=============================================================================
