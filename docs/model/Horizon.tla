------------------------------- MODULE Horizon ------------------------------
(***************************************************************************)
(* Negotiated rollback and epochs together: what lies behind the horizon is  *)
(* folded and forgotten, and a rollback must neither need nor undo it.      *)
(*                                                                          *)
(* Steps, votes and decisions are those of Rollback.tla. Every step carries *)
(* its epoch. A cut names the oldest epoch that an undecided proposal needs *)
(* as far as its agent knows; the least of a committed epoch's cuts is the  *)
(* horizon, which each agent learns at its own time. An elector that can't  *)
(* tell its part any more, since the cone reaches behind its horizon,       *)
(* rejects.                                                                 *)
(***************************************************************************)
EXTENDS Rollback

CONSTANTS MaxEpoch,
          \* The rules, each TRUE; FALSE is the mutation that must fail.
          Reports,         \* a cut names the oldest epoch that an undecided proposal needs
          RejectsBehind,   \* an elector rejects a cone that reaches behind its horizon
          KeepsOwn         \* what an undecided proposal needs here is kept, whatever the horizon

VARIABLES epoch,     \* epoch[a]: the epochs of a's steps, in order
          colour,    \* colour[a]: how many cuts a has made
          report,    \* report[a][e]: what a's cut of e names
          seen,      \* seen[a]: the newest epoch that a knows to be committed
          forgotten, \* forgotten[a]: indices of the steps that a has folded
          cast       \* cast[p][a]: the colours in which the versions of a's vote were cast

more == <<epoch, colour, report, seen, forgotten, cast>>
all == <<vars, more>>

Epochs == 1..MaxEpoch
Least(S) == CHOOSE n \in S : \A m \in S : n <= m
EpochOf(s) == epoch[s[1]][s[2]]

HInit == /\ Init
         /\ epoch = [a \in Agents |-> <<>>]
         /\ colour = [a \in Agents |-> 0]
         /\ report = [a \in Agents |-> [e \in Epochs |-> 0]]
         /\ seen = [a \in Agents |-> 0]
         /\ forgotten = [a \in Agents |-> {}]
         /\ cast = [p \in Props |-> [a \in Agents |-> <<>>]]

-----------------------------------------------------------------------------
CutByAll(e) == \A a \in Agents : colour[a] >= e
RECURSIVE HorizonOf(_)
HorizonOf(e) == IF e = 0 THEN 0
                ELSE LET named == Least({report[a][e] : a \in Agents})
                     IN IF named > HorizonOf(e - 1) THEN named ELSE HorizonOf(e - 1)
Behind(a) == HorizonOf(seen[a])

\* What a still has of its own part: forgotten steps have no edges any more.
RECURSIVE Onward(_, _)
Onward(a, C) ==
  LET further == {n \in Index(a) \ forgotten[a] : steps[a][n].reads \cap C # {}}
  IN IF further \subseteq C THEN C ELSE Onward(a, C \cup further)
PartOf(a, p) ==
  Onward(a, {n \in Index(a) \ forgotten[a] : root[p] = <<a, n>> \/ steps[a][n].in \in Credits(a, p)})

\* The cone steps whose epochs a knows: in the votes that have reached it, and its own.
KnownCone(a, p) == UNION {IF Heard(a, p, b) THEN {<<b, n>> : n \in VoteOf(a, p, b).cone} ELSE {} : b \in Agents}
                   \cup {<<a, n>> : n \in PartOf(a, p)}
Undecided(a) == UNION {IF (Aware(a, p) \/ Voted(a, p)) /\ decided[p][a] = "no"
                       THEN {EpochOf(s) : s \in KnownCone(a, p)} ELSE {} : p \in Props}

IsBehind(a, p) ==
  \/ root[p][1] = a /\ root[p][2] \in forgotten[a]
  \/ \E s \in KnownCone(a, p) : EpochOf(s) < Behind(a)

-----------------------------------------------------------------------------
HRun(a) ==
  /\ Run(a)
  /\ LET in == steps'[a][Len(steps[a]) + 1].in
     IN in[1] # "ext" => EpochOf(in) <= colour[a]
  /\ epoch' = [epoch EXCEPT ![a] = Append(@, colour[a])]
  /\ UNCHANGED <<colour, report, seen, forgotten, cast>>

HPropose(p) == Propose(p) /\ UNCHANGED more

HVote(a, p) ==
  /\ Aware(a, p) /\ decided[p][a] = "no"
  /\ LET cone == PartOf(a, p) \cup (IF Voted(a, p) THEN LastVote(a, p).cone ELSE {})
         acc == Credits(a, p)
         ok == /\ ~Voted(a, p) \/ LastVote(a, p).ok
               /\ RejectsBehind => ~IsBehind(a, p)
     IN /\ Voted(a, p) => cone # LastVote(a, p).cone \/ acc # LastVote(a, p).acc
        /\ votes' = [votes EXCEPT ![p][a] = Append(@, [cone |-> cone, acc |-> acc, ok |-> ok])]
        /\ known' = [known EXCEPT ![a][p][a] = Len(votes[p][a]) + 1]
  /\ cast' = [cast EXCEPT ![p][a] = Append(@, colour[a])]
  /\ UNCHANGED <<steps, retracted, root, decided, epoch, colour, report, seen, forgotten>>

\* A vote is news of its sender's epoch: cut first.
HLearn(q, p, b) ==
  /\ Learn(q, p, b)
  /\ cast[p][b][known'[q][p][b]] <= colour[q]
  /\ UNCHANGED more

HDecide(q, p) == (Commit(q, p) \/ Abort(q, p)) /\ UNCHANGED more

MakeCut(a) ==
  /\ colour[a] < MaxEpoch
  /\ seen[a] >= colour[a] \/ \E b \in Agents : colour[b] > colour[a]
  /\ colour' = [colour EXCEPT ![a] = @ + 1]
  /\ report' = [report EXCEPT ![a][colour[a] + 1] =
                  IF Reports THEN Least(Undecided(a) \cup {colour[a] + 1}) ELSE colour[a] + 1]
  /\ UNCHANGED <<vars, epoch, seen, forgotten, cast>>

LearnCommit(a) ==
  /\ \E e \in Epochs : e > seen[a] /\ CutByAll(e) /\ seen' = [seen EXCEPT ![a] = e]
  /\ UNCHANGED <<vars, epoch, colour, report, forgotten, cast>>

Fold(a) ==
  LET limit == IF KeepsOwn THEN Least(Undecided(a) \cup {Behind(a)}) ELSE Behind(a)
      old == {n \in Index(a) : epoch[a][n] < limit}
  IN /\ ~(old \subseteq forgotten[a])
     /\ forgotten' = [forgotten EXCEPT ![a] = @ \cup old]
     /\ UNCHANGED <<vars, epoch, colour, report, seen, cast>>

HForget(a) == Forget(a) /\ UNCHANGED more

HNext == \/ \E a \in Agents : HRun(a) \/ HForget(a) \/ MakeCut(a) \/ LearnCommit(a) \/ Fold(a)
         \/ \E p \in Props : HPropose(p)
         \/ \E a \in Agents, p \in Props : HVote(a, p) \/ HDecide(a, p)
         \/ \E q, b \in Agents, p \in Props : HLearn(q, p, b)

HSpec == HInit /\ [][HNext]_all

-----------------------------------------------------------------------------
\* Agreement, Exact and OnlyCones as in Rollback.tla; Exact says too that no part of a cone was forgotten.

\* What an elector has agreed to undo is not forgotten before the decision.
FoldedStands ==
  \A p \in Props, a \in Agents :
    (Voted(a, p) /\ LastVote(a, p).ok /\ decided[p][a] = "no") => LastVote(a, p).cone \cap forgotten[a] = {}

\* A step that an agent has voted on is not behind anybody's horizon while it is undecided there, unless the
\* cut that moved the horizon was made before that vote.
FirstCast(a, p, n) == cast[p][a][Least({v \in 1..Len(votes[p][a]) : n \in votes[p][a][v].cone})]
Kept ==
  \A p \in Props, a \in Agents : (Voted(a, p) /\ decided[p][a] = "no") =>
    \A n \in LastVote(a, p).cone, b \in Agents :
      Behind(b) <= epoch[a][n] \/ Behind(b) <= FirstCast(a, p, n)
=============================================================================
