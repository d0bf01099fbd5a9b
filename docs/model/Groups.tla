-------------------------------- MODULE Groups --------------------------------
(***************************************************************************)
(* Requests of several agents that are let go together, or not at all      *)
(* (RQ-4). Each member takes a step that requests; the step is settled, or *)
(* undone and run again. A member votes once, durably, before anybody      *)
(* hears it; who knows that all are ready decides go, who knows of one no  *)
(* decides none. What was said may be heard late, many times, or never.    *)
(* A crash forgets what is not durable, and all that was heard.            *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets

CONSTANTS Members,
          MaxCrashes,
          MaxUndos,
          \* The rules, each TRUE; FALSE is the mutation that must fail.
          Everybody,    \* go needs the vote of every member
          StaysReady,   \* who is ready rejects what would undo its step, until none is decided
          DurableFirst, \* a vote is durable before anybody hears it
          FinalVote,    \* who is ready says nothing else
          LogsStay      \* no log is lost: a disk that is lost has copies

VARIABLES step,      \* step[m]: "none", "asked" or "settled"
          pending,   \* pending[m]: the vote that is being written, or "none"
          vote,      \* vote[m]: the vote in the log: "none", "ready" or "no"
          said,      \* the votes that were ever sent: <<member, vote>>
          heard,     \* heard[m]: those that m has heard in this life
          decided,   \* decided[m]: "none" (not yet), "go" or "stop"
          firm,      \* members whose decision is in the log, since something follows it there
          released,  \* members that have let go what they requested
          crashes, undos

vars == <<step, pending, vote, said, heard, decided, firm, released, crashes, undos>>

Symmetry == {f \in [Members -> Members] : \A m, n \in Members : f[m] = f[n] => m = n}

Init == /\ step = [m \in Members |-> "none"]
        /\ pending = [m \in Members |-> "none"]
        /\ vote = [m \in Members |-> "none"]
        /\ said = {}
        /\ heard = [m \in Members |-> {}]
        /\ decided = [m \in Members |-> "none"]
        /\ firm = {}
        /\ released = {}
        /\ crashes = 0
        /\ undos = 0

-----------------------------------------------------------------------------
Ask(m) ==
  /\ step[m] = "none"
  /\ step' = [step EXCEPT ![m] = "asked"]
  /\ UNCHANGED <<pending, vote, said, heard, decided, firm, released, crashes, undos>>

Settle(m) ==
  /\ step[m] = "asked"
  /\ step' = [step EXCEPT ![m] = "settled"]
  /\ UNCHANGED <<pending, vote, said, heard, decided, firm, released, crashes, undos>>

\* A rollback undoes the step; it may run and request again.
Undo(m) ==
  /\ undos < MaxUndos
  /\ step[m] # "none" /\ m \notin released
  /\ StaysReady => \/ "ready" \notin {vote[m], pending[m]}
                   \/ decided[m] = "stop"
  /\ step' = [step EXCEPT ![m] = "none"]
  /\ undos' = undos + 1
  /\ firm' = IF decided[m] = "none" THEN firm ELSE firm \cup {m}
  /\ UNCHANGED <<pending, vote, said, heard, decided, released, crashes>>

SayReady(m) ==
  /\ step[m] = "settled" /\ vote[m] = "none" /\ pending[m] = "none" /\ decided[m] = "none"
  /\ pending' = [pending EXCEPT ![m] = "ready"]
  /\ UNCHANGED <<step, vote, said, heard, decided, firm, released, crashes, undos>>

\* It was rejected, called off, or its time or the group's is over; it may have no request at all.
SayNo(m) ==
  /\ pending[m] = "none" /\ decided[m] = "none"
  /\ vote[m] = "none" \/ (~FinalVote /\ vote[m] = "ready")
  /\ pending' = [pending EXCEPT ![m] = "no"]
  /\ UNCHANGED <<step, vote, said, heard, decided, firm, released, crashes, undos>>

Write(m) ==
  /\ pending[m] # "none"
  /\ vote' = [vote EXCEPT ![m] = pending[m]]
  /\ pending' = [pending EXCEPT ![m] = "none"]
  /\ UNCHANGED <<step, said, heard, decided, firm, released, crashes, undos>>

Send(m) ==
  /\ \E v \in {vote[m]} \cup (IF DurableFirst THEN {} ELSE {pending[m]}) :
        v # "none" /\ <<m, v>> \notin said /\ said' = said \cup {<<m, v>>}
  /\ UNCHANGED <<step, pending, vote, heard, decided, firm, released, crashes, undos>>

\* The first word of a member counts.
Hear(m) ==
  /\ \E v \in said : /\ v[1] # m /\ \A w \in heard[m] : w[1] # v[1]
                     /\ heard' = [heard EXCEPT ![m] = @ \cup {v}]
  /\ UNCHANGED <<step, pending, vote, said, decided, firm, released, crashes, undos>>

Known(m) == heard[m] \cup (IF vote[m] = "none" THEN {} ELSE {<<m, vote[m]>>})
Ready(m) == {n \in Members : <<n, "ready">> \in Known(m)}
Noes(m) == {n \in Members : <<n, "no">> \in Known(m)}

Decide(m) ==
  /\ decided[m] = "none"
  /\ \/ Noes(m) # {} /\ decided' = [decided EXCEPT ![m] = "stop"]
     \/ /\ Noes(m) = {} /\ m \in Ready(m)
        /\ IF Everybody THEN Ready(m) = Members ELSE 2 * Cardinality(Ready(m)) > Cardinality(Members)
        /\ decided' = [decided EXCEPT ![m] = "go"]
  /\ UNCHANGED <<step, pending, vote, said, heard, firm, released, crashes, undos>>

Release(m) ==
  /\ decided[m] = "go" /\ step[m] = "settled" /\ m \notin released
  /\ released' = released \cup {m}
  /\ firm' = firm \cup {m}
  /\ UNCHANGED <<step, pending, vote, said, heard, decided, crashes, undos>>

Crash(m) ==
  /\ crashes < MaxCrashes
  /\ crashes' = crashes + 1
  /\ pending' = [pending EXCEPT ![m] = "none"]
  /\ heard' = [heard EXCEPT ![m] = {}]
  /\ decided' = [decided EXCEPT ![m] = IF m \in firm THEN @ ELSE "none"]
  /\ vote' = IF LogsStay \/ m \in firm THEN vote ELSE [vote EXCEPT ![m] = "none"]
  /\ UNCHANGED <<step, said, firm, released, undos>>

Next == \E m \in Members : \/ Ask(m) \/ Settle(m) \/ Undo(m) \/ SayReady(m) \/ SayNo(m) \/ Write(m) \/ Send(m)
                           \/ Hear(m) \/ Decide(m) \/ Release(m) \/ Crash(m)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
\* Nobody decides go where somebody decides none.
Agreement == ~ \E m, n \in Members : decided[m] = "go" /\ decided[n] = "stop"

\* Nothing is let go before every member has said, for good, that it may.
AllReady == released # {} => \A m \in Members : vote[m] = "ready"

\* What is let go can be let go by all: no step of a member is undone from its vote on, unless none is decided.
Stands == \A m \in Members : vote[m] = "ready" /\ decided[m] # "stop" => step[m] = "settled"

\* Whoever has said ready is never left behind by those who have gone.
Together == released # {} => \A m \in Members : step[m] = "settled" /\ decided[m] # "stop"

\* These must be found wrong: groups do go, and do stop.
NobodyGoes == released # Members
NobodyStops == \E m \in Members : decided[m] # "stop"
=============================================================================
