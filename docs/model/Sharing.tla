------------------------------- MODULE Sharing ------------------------------
(***************************************************************************)
(* Shared state and rollback: every step writes an entry, which its author   *)
(* serves to its subscribers, newcomers included. A cone step's entry is a  *)
(* debit to every subscriber that its author has written down; who has not  *)
(* read it credits it with an empty part. The rest is Rollback.tla without  *)
(* messages, rejects and crashes that forget votes.                         *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, Sequences, TLC

CONSTANTS Agents, MaxSteps,
          \* The rules, each TRUE; FALSE is the mutation that must fail.
          WritesDown,    \* a subscriber is durable before it is served
          ServesOwn,     \* an author alone serves its entries
          WaitsToAdmit,  \* nobody is admitted while an own entry is frozen
          Withdraws,     \* entries of undone steps are not served any more
          DefersCredited \* an entry that a vote credits is not read

None == <<>>

VARIABLES steps,     \* steps[a]: sequence of sets of read entries, own or others': at most one each
          retracted, \* retracted[a]: indices
          subs,      \* subs[a]: whom a knows to be its subscribers
          has,       \* has[a]: others' entries that have reached a
          root,      \* a step, or None
          votes,     \* votes[a]: the versions of a's vote, [cone, acc, to]
          known,     \* known[q][a]: how many of them have reached q
          decided    \* decided[a]: has a committed

vars == <<steps, retracted, subs, has, root, votes, known, decided>>

Total == LET Sum[S \in SUBSET Agents] ==
               IF S = {} THEN 0 ELSE LET a == CHOOSE x \in S : TRUE IN Len(steps[a]) + Sum[S \ {a}]
         IN Sum[Agents]
StepIds == {<<a, n>> : a \in Agents, n \in 1..MaxSteps}
Exists(s) == s[2] \in 1..Len(steps[s[1]])
Lives(s) == Exists(s) /\ s[2] \notin retracted[s[1]]
Own(a) == {<<a, n>> : n \in 1..Len(steps[a])}

Init == /\ steps = [a \in Agents |-> <<>>]
        /\ retracted = [a \in Agents |-> {}]
        /\ subs = [a \in Agents |-> {}]
        /\ has = [a \in Agents |-> {}]
        /\ root = None
        /\ votes = [a \in Agents |-> <<>>]
        /\ known = [q \in Agents |-> [a \in Agents |-> 0]]
        /\ decided = [a \in Agents |-> FALSE]

-----------------------------------------------------------------------------
Heard(q, a) == known[q][a] > 0
VoteOf(q, a) == votes[a][known[q][a]]
Voted(a) == votes[a] # <<>>
LastVote(a) == votes[a][Len(votes[a])]

DebitsTo(q, a) == UNION {IF Heard(q, b) /\ a \in VoteOf(q, b).to THEN VoteOf(q, b).cone ELSE {} : b \in Agents}
RECURSIVE Closure(_, _)
Closure(q, E) ==
  LET more == UNION {IF Heard(q, b) /\ VoteOf(q, b).cone # {} THEN VoteOf(q, b).to ELSE {} : b \in E}
  IN IF more \subseteq E THEN E ELSE Closure(q, E \cup more)
Electors(q) == Closure(q, {root[1]})
Aware(a) == root # None /\ (root[1] = a \/ DebitsTo(a, a) # {})
Credits(a) == DebitsTo(a, a) \cup (IF Voted(a) THEN LastVote(a).acc ELSE {})

RECURSIVE Forward(_, _)
Forward(a, C) ==
  LET more == {s \in Own(a) : steps[a][s[2]] \cap (C \cup Credits(a)) # {}}
  IN IF more \subseteq C THEN C ELSE Forward(a, C \cup more)
Part(a) == Forward(a, {root} \cap Own(a))
Frozen(a) == IF Voted(a) /\ ~decided[a] THEN LastVote(a).cone ELSE {}

-----------------------------------------------------------------------------
Run(a) ==
  /\ Total < MaxSteps
  /\ LET readable == ({s \in Own(a) : Lives(s)} \ Frozen(a))
                     \cup (has[a] \ (IF DefersCredited THEN (IF root = None THEN {} ELSE Credits(a)) ELSE {}))
     IN \E reads \in {R \in SUBSET readable : Cardinality(R) <= 1} :
          steps' = [steps EXCEPT ![a] = Append(@, reads)]
  /\ UNCHANGED <<retracted, subs, has, root, votes, known, decided>>

\* b asks a for its entries.
Admit(a, b) ==
  /\ a # b /\ b \notin subs[a]
  /\ WaitsToAdmit => Frozen(a) = {}
  /\ subs' = [subs EXCEPT ![a] = @ \cup {b}]
  /\ UNCHANGED <<steps, retracted, has, root, votes, known, decided>>

Serve(a, b) ==
  /\ b \in subs[a]
  /\ \E s \in Own(a) \ has[b] : /\ Withdraws => Lives(s)
                                /\ has' = [has EXCEPT ![b] = @ \cup {s}]
  /\ UNCHANGED <<steps, retracted, subs, root, votes, known, decided>>

\* A crash forgets a subscriber that was served before it was written down.
Crash(a) ==
  /\ ~WritesDown /\ subs[a] # {}
  /\ subs' = [subs EXCEPT ![a] = {}]
  /\ UNCHANGED <<steps, retracted, has, root, votes, known, decided>>

\* a passes on what it has of others.
PassOn(a, b) ==
  /\ ~ServesOwn /\ a # b
  /\ \E s \in {t \in has[a] : t[1] # b} \ has[b] : has' = [has EXCEPT ![b] = @ \cup {s}]
  /\ UNCHANGED <<steps, retracted, subs, root, votes, known, decided>>

Propose ==
  /\ root = None
  /\ \E s \in StepIds : Exists(s) /\ root' = s
  /\ UNCHANGED <<steps, retracted, subs, has, votes, known, decided>>

CanVote(a) == /\ Aware(a) /\ ~decided[a]
              /\ Voted(a) => Part(a) # LastVote(a).cone \/ Credits(a) # LastVote(a).acc
Vote(a) ==
  /\ CanVote(a)
  /\ votes' = [votes EXCEPT ![a] = Append(@, [cone |-> Part(a), acc |-> Credits(a), to |-> subs[a]])]
  /\ known' = [known EXCEPT ![a][a] = Len(votes[a]) + 1]
  /\ UNCHANGED <<steps, retracted, subs, has, root, decided>>

Learn(q, b) ==
  /\ b # q
  /\ \E v \in (known[q][b] + 1)..Len(votes[b]) :
       /\ Aware(q) \/ (q \in votes[b][v].to /\ votes[b][v].cone # {})
       /\ known' = [known EXCEPT ![q][b] = v]
  /\ UNCHANGED <<steps, retracted, subs, has, root, votes, decided>>

Balanced(q) == \A e \in Electors(q) : Heard(q, e) /\ DebitsTo(q, e) \subseteq VoteOf(q, e).acc
Commit(q) ==
  /\ root # None /\ Voted(q) /\ ~decided[q] /\ Balanced(q)
  /\ decided' = [decided EXCEPT ![q] = TRUE]
  /\ retracted' = [retracted EXCEPT ![q] = @ \cup {s[2] : s \in LastVote(q).cone}]
  /\ UNCHANGED <<steps, subs, has, root, votes, known>>

Next == \/ Propose
        \/ \E a \in Agents : Run(a) \/ Crash(a) \/ Vote(a) \/ Commit(a)
        \/ \E a, b \in Agents : Admit(a, b) \/ Serve(a, b) \/ PassOn(a, b) \/ Learn(a, b)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
RECURSIVE TrueForward(_)
TrueForward(C) == LET more == {s \in StepIds : Exists(s) /\ steps[s[1]][s[2]] \cap C # {}}
                  IN IF more \subseteq C THEN C ELSE TrueForward(C \cup more)
VotedCone == UNION {IF Voted(a) THEN LastVote(a).cone ELSE {} : a \in Agents}

\* Once anyone has committed, the cone is exactly the truth, for good: nobody has read an entry of it unheard.
Exact == (\E a \in Agents : decided[a]) => VotedCone = TrueForward({root})

\* When everyone who voted has committed, no surviving step hangs on an undone one.
NoOrphan == (\A a \in Agents : Voted(a) => decided[a]) =>
  \A s \in StepIds : Lives(s) => \A r \in steps[s[1]][s[2]] : Lives(r)

Symmetry == Permutations(Agents)
=============================================================================
