-------------------------------- MODULE Moves --------------------------------
(***************************************************************************)
(* An agent that moves between hosts (MB-9). A host that has it gives it   *)
(* up by one record; from then on whoever reads that record hands its log  *)
(* over until the other, or its successor, has it. What is written is with *)
(* the backups some time later: a successor sees that, and nothing else. A *)
(* host may be succeeded while it goes on, cut off from the others. What   *)
(* is handed over may come late, and any number of times.                  *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets

CONSTANTS Hosts, First, Nobody,
          MaxMoves, MaxSteps, MaxSuccessions,
          \* The rules, each TRUE; FALSE is the mutation that must fail.
          PlacedFirst,  \* nothing is handed over before the backups have it that it is given up
          TakenOnce,    \* who has taken a move takes it no more
          ReadsFirst,   \* a successor takes nothing before it has read what the dead one had taken
          GoesOn        \* a successor hands over what the dead one had given up

VARIABLES log,     \* log[h]: what h has written: is the agent here, moves open, moves taken, steps of the agent,
                   \* and whom h had succeeded when it gave the agent up
          copy,    \* copy[h]: the part of it that the backups have
          up,      \* up[h]: the agent runs there
          heir,    \* heir[h]: who has succeeded h, or Nobody
          read,    \* hosts whose logs their successors have read
          sent,    \* moves that were ever handed over
          acked,   \* steps that somebody outside was told of
          moves

vars == <<log, copy, up, heir, read, sent, acked, moves>>

Empty == [here |-> FALSE, open |-> {}, known |-> {}, have |-> 0, gone |-> {}]
Serves(h) == heir[h] = Nobody

RECURSIVE Now(_)
Now(h) == IF heir[h] = Nobody THEN h ELSE Now(heir[h])

RECURSIVE Chain(_)
Chain(h) == IF heir[h] = Nobody THEN {} ELSE {h} \cup Chain(heir[h])

\* Whom h has succeeded, itself or through others.
Inherited(h) == {d \in Hosts : d # h /\ Now(d) = h}

Max(m, n) == IF m > n THEN m ELSE n

Init == /\ log = [h \in Hosts |-> IF h = First THEN [Empty EXCEPT !.here = TRUE] ELSE Empty]
        /\ copy = log
        /\ up = [h \in Hosts |-> h = First]
        /\ heir = [h \in Hosts |-> Nobody]
        /\ read = {}
        /\ sent = {}
        /\ acked = 0
        /\ moves = 0

-----------------------------------------------------------------------------
Step(h) ==
  /\ up[h] /\ log[h].have < MaxSteps
  /\ log' = [log EXCEPT ![h].have = @ + 1]
  /\ UNCHANGED <<copy, up, heir, read, sent, acked, moves>>

\* Who has been succeeded finds no backup any more.
Place(h) ==
  /\ Serves(h) /\ copy[h] # log[h]
  /\ copy' = [copy EXCEPT ![h] = log[h]]
  /\ UNCHANGED <<log, up, heir, read, sent, acked, moves>>

Acknowledge(h) ==
  /\ up[h] /\ Serves(h) /\ copy[h].here /\ copy[h].have > acked
  /\ acked' = copy[h].have
  /\ UNCHANGED <<log, copy, up, heir, read, sent, moves>>

Crash(h) ==
  /\ up[h]
  /\ up' = [up EXCEPT ![h] = FALSE]
  /\ UNCHANGED <<log, copy, heir, read, sent, acked, moves>>

BringUp(h) ==
  /\ ~up[h] /\ log[h].here /\ Inherited(h) \subseteq read
  /\ up' = [up EXCEPT ![h] = TRUE]
  /\ UNCHANGED <<log, copy, heir, read, sent, acked, moves>>

-----------------------------------------------------------------------------
GiveUp(h, to) ==
  /\ up[h] /\ to # h /\ moves < MaxMoves
  /\ moves' = moves + 1
  /\ up' = [up EXCEPT ![h] = FALSE]
  /\ log' = [log EXCEPT ![h].here = FALSE, ![h].gone = Inherited(h),
                        ![h].open = @ \cup {[id |-> moves + 1, to |-> to, have |-> log[h].have]}]
  /\ UNCHANGED <<copy, heir, read, sent, acked>>

HandOver(h, m) ==
  /\ Serves(h)
  /\ m \in (IF PlacedFirst THEN copy[h].open ELSE log[h].open) /\ m \notin sent
  /\ sent' = sent \cup {m}
  /\ UNCHANGED <<log, copy, up, heir, read, acked, moves>>

Take(s, m) ==
  /\ m \in sent /\ Serves(s) /\ Now(m.to) = s
  /\ ReadsFirst => Inherited(s) \subseteq read
  /\ TakenOnce => m.id \notin log[s].known
  /\ ~log[s].here
  /\ log' = [log EXCEPT ![s].here = TRUE, ![s].have = m.have, ![s].known = @ \cup {m.id},
                        ![s].open = {o \in @ : o.id # m.id}]
  /\ UNCHANGED <<copy, up, heir, read, sent, acked, moves>>

Handed(h, m) ==
  /\ m \in log[h].open /\ m.id \in copy[Now(m.to)].known
  /\ log' = [log EXCEPT ![h].open = @ \ {m}]
  /\ UNCHANGED <<copy, up, heir, read, sent, acked, moves>>

\* It is decided that another host goes on in its name.
Succeed(h, s) ==
  /\ Serves(h) /\ Serves(s) /\ s # h
  /\ Cardinality({d \in Hosts : heir[d] # Nobody}) < MaxSuccessions
  /\ heir' = [heir EXCEPT ![h] = s]
  \* What h had read may not have been with its backups: all of it is read again.
  /\ read' = read \ Inherited(h)
  /\ UNCHANGED <<log, copy, up, sent, acked, moves>>

Read(h) ==
  /\ ~Serves(h) /\ h \notin read
  /\ read' = read \cup {h}
  /\ LET s == Now(h)
         known == log[s].known \cup copy[h].known
         \* Those between may have had it from h, and given it up since.
         comes == /\ copy[h].here /\ h \notin log[s].gone
                  /\ \A n \in Chain(h) \ {h} : h \notin copy[n].gone
     IN log' = [log EXCEPT ![s] = [here |-> @.here \/ comes,
                                   have |-> IF ~comes THEN @.have
                                            ELSE IF @.here THEN Max(@.have, copy[h].have) ELSE copy[h].have,
                                   known |-> known,
                                   gone |-> @.gone,
                                   open |-> {o \in @.open \cup (IF GoesOn THEN copy[h].open ELSE {}) :
                                               o.id \notin known}]]
  /\ UNCHANGED <<copy, up, heir, sent, acked, moves>>

Next == \/ \E h \in Hosts : Step(h) \/ Place(h) \/ Acknowledge(h) \/ Crash(h) \/ BringUp(h) \/ Read(h)
        \/ \E h, g \in Hosts : GiveUp(h, g) \/ Succeed(h, g)
        \/ \E h \in Hosts : \E m \in log[h].open \cup copy[h].open : HandOver(h, m) \/ Handed(h, m)
        \/ \E s \in Hosts : \E m \in sent : Take(s, m)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
\* Of those who can have anything they do count, one has the agent.
OnePlace == Cardinality({h \in Hosts : up[h] /\ Serves(h)}) <= 1

\* Whoever has it knows all that anybody outside was told of.
NothingLost == \A h \in Hosts : up[h] /\ Serves(h) => log[h].have >= acked

\* It is somewhere, or comes: by a log that counts, or by what a log that counts still hands over.
Somewhere ==
  LET counts == {h \in Hosts : Serves(h)}
      left == {h \in Hosts : ~Serves(h) /\ h \notin read}
  IN \/ \E h \in counts : log[h].here \/ log[h].open # {}
     \/ \E h \in left : copy[h].here \/ copy[h].open # {}

\* What the checker has to find reached.
NeverMovesTwice == ~(moves = 2 /\ \E h \in Hosts : up[h] /\ Serves(h) /\ 2 \in copy[h].known)
NeverInherited == ~(\E h \in Hosts : up[h] /\ Serves(h) /\ read # {} /\ copy[h].known # {} /\ acked > 0)
=============================================================================
