------------------------------ MODULE Succession -----------------------------
(***************************************************************************)
(* Who speaks for a host that is thought to be dead: its successor, decided  *)
(* by single-decree Paxos among the members of the last two views, and what *)
(* may be said in the host's name about one epoch.                          *)
(*                                                                          *)
(* The host blocks the epoch after the last committed one, so there are     *)
(* only two views that a proposer may take for the last: a member may have  *)
(* missed the news of the last commit. A ballot needs a majority of the     *)
(* view that its proposer takes for the last, and one of the view before.   *)
(* Views are given; a view may have more than doubled at a border. The host *)
(* may be alive after all. Before it publishes a cut it places it with its  *)
(* buddies. A successor is one of them.                                     *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, Sequences, TLC

CONSTANTS Acceptors,    \* all members but the host in question
          Dead,         \* that host
          Founders,     \* the members before the cluster grew
          GrewLast,     \* TRUE: all others are there since the last view; FALSE: since the one before
          Buddies,      \* with whom the host places what it publishes: possible successors
          MaxBallot,
          MaxLag,       \* how many commits a proposer may have missed
          \* The rules, each TRUE; FALSE is the mutation that must fail.
          TwoViews,     \* a quorum has a majority of the view before the last too
          OneValue,     \* a ballot proposes one value, also when its proposer hears of a commit meanwhile
          Promises,     \* an acceptor that has answered a ballot accepts no lower one
          TakesOver,    \* a proposer takes over the value accepted in the highest ballot that it hears of
          RefusesFirst, \* a successor refuses the host's old incarnation before it speaks
          PlacedFirst,  \* the host publishes a cut only when every buddy holds it
          SameBuddies,  \* who a buddy is does not depend on whom the host believes to be alive
          Repeats       \* a successor repeats what the host has placed with it

Everyone == Acceptors \cup {Dead}
\* The last committed views, the newest at the end.
Views == <<Founders, Founders>> \o IF GrewLast THEN <<Everyone>> ELSE <<Everyone, Everyone>>

VARIABLES last,     \* last[b]: which view the proposer of ballot b takes for the last; 0: not begun
          promised, \* promised[a]: the highest ballot that a has answered
          accepted, \* accepted[a]: [ballot, value] of the last acceptance; ballot 0: none
          answers,  \* answers[b]: what acceptors have said to ballot b: set of [from, ballot, value]
          value,    \* value[b]: what ballot b has proposed: a set, of one at most
          asked,    \* asked[b]: last[b] when ballot b proposed
          took,     \* took[b]: who has accepted it
          buddies,  \* whom the host takes for its buddies
          held,     \* those that hold the host's cut
          refuses,  \* buddies that refuse the host
          heirs,    \* the successors that have been decided, each with the ballot that decided
          said      \* cuts published in the host's name: by whom each was made

vars == <<last, promised, accepted, answers, value, asked, took, buddies, held, refuses, said, heirs>>

None == "none"
Ballots == 1..MaxBallot

Init == /\ last = [b \in Ballots |-> 0]
        /\ promised = [a \in Acceptors |-> 0]
        /\ accepted = [a \in Acceptors |-> [ballot |-> 0, value |-> None]]
        /\ answers = [b \in Ballots |-> {}]
        /\ value = [b \in Ballots |-> {}]
        /\ asked = [b \in Ballots |-> 0]
        /\ took = [b \in Ballots |-> {}]
        /\ buddies = Buddies
        /\ held = {}
        /\ refuses = {}
        /\ said = {}
        /\ heirs = {}

-----------------------------------------------------------------------------
Majority(S, V) == 2 * Cardinality(S \cap V) > Cardinality(V)
IsQuorum(b, S) == /\ Majority(S, Views[last[b]])
                  /\ TwoViews => Majority(S, Views[last[b] - 1])

Begin(b) ==
  /\ last[b] = 0
  /\ \E v \in 2..Len(Views) : Len(Views) - v <= MaxLag /\ last' = [last EXCEPT ![b] = v]
  /\ UNCHANGED <<promised, accepted, answers, value, asked, took, buddies, held, refuses, said, heirs>>

Answer(a, b) ==
  /\ last[b] # 0 /\ promised[a] < b
  /\ promised' = [promised EXCEPT ![a] = b]
  /\ answers' = [answers EXCEPT ![b] = @ \cup {[from |-> a, ballot |-> accepted[a].ballot, value |-> accepted[a].value]}]
  /\ UNCHANGED <<last, accepted, value, asked, took, buddies, held, refuses, said, heirs>>

Propose(b) ==
  /\ last[b] # 0
  /\ value[b] = {} \/ (~OneValue /\ last[b] > asked[b])
  /\ asked' = [asked EXCEPT ![b] = last[b]]
  /\ IsQuorum(b, {r.from : r \in answers[b]})
  /\ LET earlier == {r \in answers[b] : r.ballot > 0}
         newest == {r.value : r \in {r \in earlier : \A s \in earlier : s.ballot <= r.ballot}}
     IN \E v \in IF TakesOver /\ earlier # {} THEN newest
               ELSE IF value[b] # {} THEN value[b] ELSE Buddies :
           value' = [value EXCEPT ![b] = @ \cup {v}]
  /\ UNCHANGED <<last, promised, accepted, answers, took, buddies, held, refuses, said, heirs>>

Accept(a, b, v) ==
  /\ v \in value[b]
  /\ a \notin took[b] \/ accepted[a] # [ballot |-> b, value |-> v]
  /\ Promises => promised[a] <= b
  /\ promised' = [promised EXCEPT ![a] = IF @ > b THEN @ ELSE b]
  /\ accepted' = [accepted EXCEPT ![a] = [ballot |-> b, value |-> v]]
  /\ took' = [took EXCEPT ![b] = @ \cup {a}]
  /\ UNCHANGED <<last, answers, value, asked, buddies, held, refuses, said, heirs>>

\* The proposer hears of a commit while its ballot is under way.
Hear(b) ==
  /\ last[b] # 0 /\ last[b] < Len(Views)
  /\ last' = [last EXCEPT ![b] = @ + 1]
  /\ UNCHANGED <<promised, accepted, answers, value, asked, took, buddies, held, refuses, said, heirs>>

Decide(b) ==
  /\ last[b] # 0 /\ IsQuorum(b, took[b])
  /\ \A h \in heirs : h[1] # b
  /\ \E v \in value[b] : heirs' = heirs \cup {<<b, v>>}
  /\ UNCHANGED <<last, promised, accepted, answers, value, asked, took, buddies, held, refuses, said>>

Heirs == {h[2] : h \in heirs}

-----------------------------------------------------------------------------
\* The host, if it is alive: its cut goes to one buddy after the other, then it is published.
Place(y) ==
  /\ y \in buddies /\ y \notin held \cup refuses
  /\ held' = held \cup {y}
  /\ UNCHANGED <<last, promised, accepted, answers, value, asked, took, buddies, refuses, said, heirs>>

\* It hears nothing of one that it takes for dead, and takes another.
Regroup ==
  /\ ~SameBuddies /\ buddies = Buddies
  /\ \E lost \in Buddies, new \in Acceptors \ Buddies : buddies' = (buddies \ {lost}) \cup {new}
  /\ UNCHANGED <<last, promised, accepted, answers, value, asked, took, held, refuses, said, heirs>>

Publish ==
  /\ held # {}
  /\ PlacedFirst => buddies \subseteq held
  /\ said' = said \cup {Dead}
  /\ UNCHANGED <<last, promised, accepted, answers, value, asked, took, buddies, held, refuses, heirs>>

Refuse(y) ==
  /\ y \in Heirs /\ y \notin refuses
  /\ refuses' = refuses \cup {y}
  /\ UNCHANGED <<last, promised, accepted, answers, value, asked, took, buddies, held, said, heirs>>

Speak(y) ==
  /\ y \in Heirs
  /\ RefusesFirst => y \in refuses
  /\ said' = said \cup {IF Repeats /\ y \in held THEN Dead ELSE y}
  /\ UNCHANGED <<last, promised, accepted, answers, value, asked, took, buddies, held, refuses, heirs>>

Next == \/ \E b \in Ballots : Begin(b) \/ Hear(b) \/ Propose(b) \/ Decide(b)
        \/ \E a \in Acceptors, b \in Ballots : Answer(a, b) \/ \E v \in Buddies : Accept(a, b, v)
        \/ \E y \in Acceptors : Place(y) \/ Refuse(y) \/ Speak(y)
        \/ Regroup \/ Publish

Spec == Init /\ [][Next]_vars

BuddiesAlike == Permutations(Buddies)

\* For the larger sizes: the ballots alone, while the host and its successors say nothing.
OnlyBallots == held = {} /\ refuses = {} /\ said = {} /\ buddies = Buddies

-----------------------------------------------------------------------------
\* Never two successors.
OneSuccessor == Cardinality(Heirs) <= 1

\* What is decided is all that this ballot and later ones propose.
Decided == \A h \in heirs : \A b \in Ballots : b >= h[1] => value[b] \subseteq {h[2]}

\* What was published in the host's name is never contradicted.
OneCut == Cardinality(said) <= 1
=============================================================================
