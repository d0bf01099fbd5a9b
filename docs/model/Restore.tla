------------------------------- MODULE Restore ------------------------------
(***************************************************************************)
(* Back to the cut of a committed epoch, everywhere, without a coordinator.  *)
(*                                                                          *)
(* Every step carries its epoch (how many cuts its host had made) and its   *)
(* era (how many restores it had carried out). Restore n to epoch e is      *)
(* agreed on when all hosts accept; a host accepts one call at a time, and  *)
(* a reject is final. Whoever carries it out undoes its steps of epoch >= e *)
(* and era < n, and from then on refuses messages of such steps. What the   *)
(* undone steps had consumed comes again, if its sender still stands.       *)
(*                                                                          *)
(* Votes are seen at once: both verdicts are stable, so seeing them late is *)
(* the same as acting late. Cuts are as Epochs.tla checks them.             *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, Sequences, TLC

CONSTANTS Hosts, Calls, MaxEpoch, MaxSteps,
          \* The rules, each TRUE; FALSE is the mutation that must fail.
          Refuses,       \* messages of steps that a restore has undone are not handled
          EraOnMessages, \* they are told by epoch and era; else by the epoch alone
          GivesBack,     \* what undone steps had consumed comes again
          AllAgree,      \* all hosts must accept; else a majority
          FinalReject,   \* who has rejected never accepts
          OneAtATime,    \* a host that has accepted a call accepts no other until it knows the outcome
          BansPassed,    \* epochs that a restore has passed over can't be restored to
          BansLate,      \* nor, for a host, those that it had cut when it carried that restore out
          \* Two rules of the code that these invariants do not need: see README.md.
          Pauses,        \* from its accepting vote until the decision, a host runs no step
          CarriesFirst   \* who sees a message of a higher era carries the restore out before it handles that

VARIABLES log,       \* log[x]: sequence of [in, to, epoch, era]
          retracted, \* retracted[x]: indices
          settled,   \* settled[x]: messages that x does not take a second time
          colour,    \* colour[x]: how many cuts it has made
          done,      \* done[x]: the calls that x has carried out; their number is its era
          call,      \* call[p]: [number, epoch], or None
          vote,      \* vote[p][x]: "none", "yes" or "no"
          ended,     \* ended[p]: who has seen p rejected
          late,      \* late[x]: for each of done[x], x's colour when it carried that out
          top,       \* top[p]: the highest colour of those who have accepted
          kept       \* kept[e]: the surviving steps of the cut of e, when e was committed

vars == <<log, retracted, settled, colour, done, call, vote, ended, late, top, kept>>

None == <<>>
Ext == <<"ext", 0>>
Epochs == 1..MaxEpoch
StepIds == {<<x, n>> : x \in Hosts, n \in 1..MaxSteps}
Exists(s) == s[2] \in 1..Len(log[s[1]])
StepOf(s) == log[s[1]][s[2]]
Lives(s) == Exists(s) /\ s[2] \notin retracted[s[1]]
Era(x) == Len(done[x])
Total == LET Sum[S \in SUBSET Hosts] ==
               IF S = {} THEN 0 ELSE LET x == CHOOSE y \in S : TRUE IN Len(log[x]) + Sum[S \ {x}]
         IN Sum[Hosts]
Max(m, n) == IF m > n THEN m ELSE n

Init == /\ log = [x \in Hosts |-> <<>>]
        /\ retracted = [x \in Hosts |-> {}]
        /\ settled = [x \in Hosts |-> {}]
        /\ colour = [x \in Hosts |-> 0]
        /\ done = [x \in Hosts |-> <<>>]
        /\ call = [p \in Calls |-> None]
        /\ vote = [p \in Calls |-> [x \in Hosts |-> "none"]]
        /\ ended = [p \in Calls |-> {}]
        /\ late = [x \in Hosts |-> <<>>]
        /\ top = [p \in Calls |-> 0]
        /\ kept = [e \in Epochs |-> {}]

-----------------------------------------------------------------------------
\* x has carried out a restore that undoes s, as far as the message of s tells.
Passed(x, s) ==
  \E i \in (IF EraOnMessages THEN StepOf(s).era + 1 ELSE 1)..Era(x) : call[done[x][i]].epoch <= StepOf(s).epoch

Open(x) == {p \in Calls : vote[p][x] = "yes" /\ x \notin ended[p] /\ call[p].number > Era(x)}
Committed(e) == \A x \in Hosts : colour[x] >= e

Run(x) ==
  /\ Total < MaxSteps
  /\ Pauses => Open(x) = {}
  /\ \E in \in {Ext} \cup {s \in StepIds : Exists(s) /\ x \in StepOf(s).to /\ s \notin settled[x]},
        to \in SUBSET (Hosts \ {x}) :
       /\ in # Ext => /\ StepOf(in).epoch <= colour[x]
                      /\ CarriesFirst => StepOf(in).era <= Era(x)
                      /\ Refuses => ~Passed(x, in)
       /\ log' = [log EXCEPT ![x] = Append(@, [in |-> in, to |-> to, epoch |-> colour[x], era |-> Era(x)])]
       /\ settled' = [settled EXCEPT ![x] = IF in = Ext THEN @ ELSE @ \cup {in}]
  /\ UNCHANGED <<retracted, colour, done, call, vote, ended, late, top, kept>>

MakeCut(x) ==
  /\ colour[x] < MaxEpoch
  /\ Committed(colour[x]) \/ \E y \in Hosts : colour[y] > colour[x]
  /\ colour' = [colour EXCEPT ![x] = @ + 1]
  /\ LET e == colour[x] + 1
     IN kept' = IF \A y \in Hosts \ {x} : colour[y] >= e
                THEN [kept EXCEPT ![e] = {s \in StepIds : Lives(s) /\ StepOf(s).epoch < e}]
                ELSE kept
  /\ UNCHANGED <<log, retracted, settled, done, call, vote, ended, late, top>>

IsPassed(x, e) ==
  \E i \in 1..Era(x) : /\ call[done[x][i]].epoch < e
                        /\ e <= Max(top[done[x][i]], IF BansLate THEN late[x][i] ELSE 0)

Ask(p) ==
  /\ call[p] = None
  /\ \E x \in Hosts, e \in Epochs :
       Committed(e) /\ call' = [call EXCEPT ![p] = [number |-> Era(x) + 1, epoch |-> e]]
  /\ UNCHANGED <<log, retracted, settled, colour, done, vote, ended, late, top, kept>>

Accept(x, p) ==
  /\ call[p] # None
  /\ vote[p][x] = "none" \/ (~FinalReject /\ vote[p][x] = "no")
  /\ call[p].number = Era(x) + 1
  /\ OneAtATime => Open(x) = {}
  /\ BansPassed => ~IsPassed(x, call[p].epoch)
  /\ vote' = [vote EXCEPT ![p][x] = "yes"]
  /\ top' = [top EXCEPT ![p] = Max(@, colour[x])]
  /\ UNCHANGED <<log, retracted, settled, colour, done, call, ended, late, kept>>

Reject(x, p) ==
  /\ call[p] # None /\ vote[p][x] = "none"
  /\ vote' = [vote EXCEPT ![p][x] = "no"]
  /\ UNCHANGED <<log, retracted, settled, colour, done, call, ended, late, top, kept>>

\* x learns that somebody has rejected p.
End(x, p) ==
  /\ x \notin ended[p] /\ \E y \in Hosts : vote[p][y] = "no"
  /\ ended' = [ended EXCEPT ![p] = @ \cup {x}]
  /\ UNCHANGED <<log, retracted, settled, colour, done, call, vote, late, top, kept>>

Accepts(p) == {x \in Hosts : vote[p][x] = "yes"}
Agreed(p) == IF AllAgree THEN Accepts(p) = Hosts ELSE 2 * Cardinality(Accepts(p)) > Cardinality(Hosts)

CarryOut(x, p) ==
  /\ call[p] # None /\ call[p].number = Era(x) + 1
  /\ Agreed(p) \/ \E y \in Hosts : Era(y) > Era(x) /\ done[y][Era(x) + 1] = p
  /\ LET undone == {n \in 1..Len(log[x]) : log[x][n].epoch >= call[p].epoch} \ retracted[x]
     IN /\ retracted' = [retracted EXCEPT ![x] = @ \cup undone]
        /\ settled' = [settled EXCEPT ![x] = IF GivesBack THEN @ \ {log[x][n].in : n \in undone} ELSE @]
  /\ done' = [done EXCEPT ![x] = Append(@, p)]
  /\ late' = [late EXCEPT ![x] = Append(@, colour[x])]
  /\ UNCHANGED <<log, colour, call, vote, ended, top, kept>>

Next == \/ \E x \in Hosts : Run(x) \/ MakeCut(x)
        \/ \E p \in Calls : Ask(p)
        \/ \E x \in Hosts, p \in Calls : Accept(x, p) \/ Reject(x, p) \/ End(x, p) \/ CarryOut(x, p)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
\* Two hosts never carry out different restores of one number.
SameRestores == \A x, y \in Hosts : \A i \in 1..Era(x) : i <= Era(y) => done[x][i] = done[y][i]

IsEverywhere == \A x, y \in Hosts : Era(x) = Era(y)

\* Once a restore is carried out everywhere, no surviving step hangs on an undone one.
NoOrphan == IsEverywhere => \A s \in StepIds : Lives(s) /\ StepOf(s).in # Ext => Lives(StepOf(s).in)

\* Some host has carried out a restore that undoes s.
Doomed(s) == \E x \in Hosts : \E i \in (StepOf(s).era + 1)..Era(x) : call[done[x][i]].epoch <= StepOf(s).epoch

\* A message of a step that stands is handled by one surviving step, or still to be handled.
OnceAndNotLost ==
  \A s \in StepIds : (Lives(s) /\ ~Doomed(s)) =>
    \A x \in StepOf(s).to :
      LET handlers == {n \in 1..Len(log[x]) : n \notin retracted[x] /\ log[x][n].in = s}
      IN \/ Cardinality(handlers) = 1
         \/ handlers = {} /\ s \notin settled[x] /\ (Refuses => ~Passed(x, s))

\* What is left of earlier eras is what the cut held when its epoch was committed.
Exactly ==
  IsEverywhere =>
    \A x \in Hosts : Era(x) > 0 =>
      LET p == done[x][Era(x)]
      IN {s \in StepIds : Lives(s) /\ StepOf(s).era < call[p].number} = kept[call[p].epoch]

Symmetry == Permutations(Hosts) \cup Permutations(Calls)
=============================================================================
