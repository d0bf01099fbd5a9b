------------------------------ MODULE Behaviours -----------------------------
(***************************************************************************)
(* Rollback.tla once more, for drawing behaviours that the code replays: it *)
(* notes which decision is due at each elector, crashes are few, and some    *)
(* steps are left for after the first decision.                             *)
(***************************************************************************)
EXTENDS Rollback

CONSTANTS MaxCrashes, Reserve

VARIABLES due,     \* due[p][q]: what q has decided, or would if it decided now
          crashes

Due == [p \in Props |-> [q \in Agents |->
         IF CanCommit(q, p) THEN "commit" ELSE IF CanAbort(q, p) THEN "abort" ELSE decided[p][q]]]

BInit == Init /\ due = Due /\ crashes = 0

MayRun == Total < MaxSteps - Reserve \/ \E p \in Props, a \in Agents : decided[p][a] # "no"

BNext == \/ /\ \/ MayRun /\ \E a \in Agents : Run(a)
               \/ \E p \in Props : Propose(p)
               \/ \E a \in Agents, p \in Props : Vote(a, p) \/ Commit(a, p) \/ Abort(a, p)
               \/ \E q, b \in Agents, p \in Props : Learn(q, p, b)
            /\ UNCHANGED crashes
            /\ due' = Due'
         \/ /\ crashes < MaxCrashes
            /\ \E a \in Agents : Forget(a)
            /\ crashes' = crashes + 1
            /\ due' = Due'

BSpec == BInit /\ [][BNext]_<<vars, due, crashes>>
=============================================================================
