------------------------------ MODULE Overseers ------------------------------
(***************************************************************************)
(* The rules for people at one agent: irreversible requests that are held  *)
(* until somebody says yes (RQ-2, RQ-3), and an overseer who is asked      *)
(* before the agent votes for undoing its part of a rollback (RB-13).      *)
(*                                                                         *)
(* Each step requests something that nobody can undo. It is let go when    *)
(* the step is settled and somebody has said yes, or when it is released.  *)
(* A rollback has a part here, which grows; the agent hears of it by and   *)
(* by, freezes it, asks its overseer, and votes. Whoever else takes part   *)
(* is left out: they refuse at any time, or they agree, and then it        *)
(* commits if the agent has accepted all of its true part (Rollback.tla).  *)
(* A crash loses what is not in the log: words and votes in the writing,   *)
(* what was heard, whom the agent has asked, and what that person has said.*)
(***************************************************************************)
EXTENDS Naturals, FiniteSets

CONSTANTS Steps, Props,
          MaxRuns,      \* how often each step runs, at most
          MaxCrashes,
          MaxLosses,    \* disks that are lost with a step that is not settled
          \* The rules, each TRUE; FALSE is the mutation that must fail.
          Settles,      \* what nobody has released is let go only when its step is settled
          Waits,        \* what is held is let go only when somebody has said yes
          FirstWord,    \* the first word on a step counts
          DurableFirst, \* a word is confirmed, and gone by, only when it is in the log
          OfTheStep,    \* a word is of the step, not of what its re-runs request
          StaysGone,    \* what holds a step whose request was let go is rejected
          Freezes,      \* nothing is let go of a part that is asked about or voted on
          Asks,         \* the overseer is asked before a vote
          AsksAgain,    \* and again if the part has grown by the vote
          NoIsFinal     \* who has rejected never accepts

VARIABLES step,      \* step[s]: "none", "asked" or "settled"
          run,       \* run[s]: how often it has run
          saying,    \* saying[s]: the word that is being written: "none", "yes", "no" or "release"
          word,      \* word[s]: the word in the log
          logged,    \* every word that was ever in the log: <<step, run, word>>
          told,      \* every word that somebody was told to count: the same
          gone,      \* the requests that were let go: <<step, run>>
          lost,      \* those of them whose step a disk has lost, which people are told
          part,      \* part[p]: what a rollback undoes here in truth
          known,     \* known[p]: as much of it as the agent has heard of
          asked,     \* asked[p]: the part that the overseer is asked about, {} for none
          said,      \* said[p]: what the overseer has said of that: "none", "yes" or "no"
          voting,    \* voting[p]: the vote that is being written: [part, ok, seen, no], or None
          vote,      \* vote[p]: the last vote in the log; seen is the part that the overseer has agreed to
          undone,    \* undone[p]: what was undone
          decided,   \* decided[p]: "none", "commit" or "abort"
          refused,   \* rollbacks of which a no of the overseer is in the log
          crashes, losses

requests == <<step, run, saying, word, logged, told, gone, lost>>
rollbacks == <<part, known, asked, said, voting, vote, undone, decided, refused>>
vars == <<requests, rollbacks, crashes, losses>>

None == [part |-> {}, ok |-> FALSE, seen |-> {}, no |-> FALSE]
Symmetry == {f \in [Steps -> Steps] : \A s, t \in Steps : f[s] = f[t] => s = t}

Init == /\ step = [s \in Steps |-> "none"] /\ run = [s \in Steps |-> 0]
        /\ saying = [s \in Steps |-> "none"] /\ word = [s \in Steps |-> "none"]
        /\ logged = {} /\ told = {} /\ gone = {} /\ lost = {}
        /\ part = [p \in Props |-> {}] /\ known = [p \in Props |-> {}]
        /\ asked = [p \in Props |-> {}] /\ said = [p \in Props |-> "none"]
        /\ voting = [p \in Props |-> None] /\ vote = [p \in Props |-> None]
        /\ undone = [p \in Props |-> {}] /\ decided = [p \in Props |-> "none"]
        /\ refused = {} /\ crashes = 0 /\ losses = 0

Open(p) == decided[p] = "none"
IsGone(s) == <<s, run[s]>> \in gone

-----------------------------------------------------------------------------
\* Requests, and what people say of them.
Run(s) ==
  /\ step[s] = "none" /\ run[s] < MaxRuns
  /\ step' = [step EXCEPT ![s] = "asked"]
  /\ run' = [run EXCEPT ![s] = @ + 1]
  /\ UNCHANGED <<saying, word, logged, told, gone, lost, rollbacks, crashes, losses>>

Settle(s) ==
  /\ step[s] = "asked"
  /\ step' = [step EXCEPT ![s] = "settled"]
  /\ UNCHANGED <<run, saying, word, logged, told, gone, lost, rollbacks, crashes, losses>>

\* People say anything at any time, twice and otherwise; what comes after the first word is refused. A default is a word.
MaySay(s) ==
  /\ step[s] # "none" /\ ~IsGone(s) /\ saying[s] = "none"
  /\ FirstWord => word[s] = "none"

Say(s) ==
  /\ MaySay(s)
  /\ \E w \in {"yes", "no", "release"} : w # word[s] /\ saying' = [saying EXCEPT ![s] = w]
  /\ UNCHANGED <<step, run, word, logged, told, gone, lost, rollbacks, crashes, losses>>

WriteWord(s) ==
  /\ saying[s] # "none"
  /\ word' = [word EXCEPT ![s] = saying[s]]
  /\ logged' = logged \cup {<<s, run[s], saying[s]>>}
  /\ saying' = [saying EXCEPT ![s] = "none"]
  /\ UNCHANGED <<step, run, told, gone, lost, rollbacks, crashes, losses>>

Word(s) == IF ~DurableFirst /\ saying[s] # "none" THEN saying[s] ELSE word[s]

Confirm(s) ==
  /\ Word(s) # "none" /\ <<s, run[s], Word(s)>> \notin told
  /\ told' = told \cup {<<s, run[s], Word(s)>>}
  /\ UNCHANGED <<step, run, saying, word, logged, gone, lost, rollbacks, crashes, losses>>

IsFrozen(s) == Freezes /\ \E p \in Props : Open(p) /\ s \in known[p]

CanLetGo(s) ==
  /\ step[s] # "none" /\ ~IsGone(s) /\ ~IsFrozen(s)
  /\ Settles => step[s] = "settled" \/ Word(s) = "release"
  /\ Waits => Word(s) \in {"yes", "release"}
  /\ Word(s) # "no"

LetGo(s) ==
  /\ CanLetGo(s)
  /\ gone' = gone \cup {<<s, run[s]>>}
  /\ UNCHANGED <<step, run, saying, word, logged, told, lost, rollbacks, crashes, losses>>

\* A disk is lost with a step that is not settled.
Lose(s) ==
  /\ losses < MaxLosses /\ step[s] = "asked" /\ \A p \in Props : Open(p) => s \notin part[p]
  /\ losses' = losses + 1
  /\ lost' = IF IsGone(s) THEN lost \cup {<<s, run[s]>>} ELSE lost
  /\ step' = [step EXCEPT ![s] = "none"]
  /\ saying' = [saying EXCEPT ![s] = "none"] /\ word' = [word EXCEPT ![s] = "none"]
  /\ UNCHANGED <<run, logged, told, gone, rollbacks, crashes>>

-----------------------------------------------------------------------------
\* Rollbacks, and the overseer.
Grow(p) ==
  /\ Open(p)
  /\ \E s \in Steps \ part[p] : step[s] # "none" /\ part' = [part EXCEPT ![p] = @ \cup {s}]
  /\ UNCHANGED <<requests, known, asked, said, voting, vote, undone, decided, refused, crashes, losses>>

Hear(p) ==
  /\ Open(p) /\ known[p] # part[p]
  /\ known' = [known EXCEPT ![p] = part[p]]
  /\ UNCHANGED <<requests, part, asked, said, voting, vote, undone, decided, refused, crashes, losses>>

IsBusy(p) == asked[p] # {} \/ voting[p] # None

CanAsk(p) == Open(p) /\ known[p] # vote[p].part /\ ~IsBusy(p)

Ask(p) ==
  /\ CanAsk(p)
  /\ asked' = [asked EXCEPT ![p] = known[p]]
  /\ said' = [said EXCEPT ![p] = IF Asks THEN "none" ELSE "yes"]
  /\ UNCHANGED <<requests, part, known, voting, vote, undone, decided, refused, crashes, losses>>

\* The first word on this asking; another is refused.
Oversee(p) ==
  /\ asked[p] # {} /\ said[p] = "none"
  /\ \E w \in {"yes", "no"} : said' = [said EXCEPT ![p] = w]
  /\ UNCHANGED <<requests, part, known, asked, voting, vote, undone, decided, refused, crashes, losses>>

\* The part has grown since: the overseer is asked about all of it.
AskAgain(p) ==
  /\ AsksAgain /\ said[p] = "yes" /\ asked[p] # known[p]
  /\ asked' = [asked EXCEPT ![p] = known[p]]
  /\ said' = [said EXCEPT ![p] = IF Asks THEN "none" ELSE "yes"]
  /\ UNCHANGED <<requests, part, known, voting, vote, undone, decided, refused, crashes, losses>>

HasRejected(p) == vote[p].part # {} /\ ~vote[p].ok
MayAccept(p) == /\ said[p] = "yes"
                /\ StaysGone => \A s \in known[p] : ~IsGone(s)
                /\ NoIsFinal => ~HasRejected(p)

CanVote(p) == Open(p) /\ said[p] # "none" /\ ((AsksAgain /\ said[p] = "yes") => asked[p] = known[p])

Vote(p) ==
  /\ CanVote(p)
  /\ voting' = [voting EXCEPT ![p] = [part |-> known[p], ok |-> MayAccept(p),
                                      seen |-> IF Asks /\ said[p] = "yes" THEN asked[p] ELSE {},
                                      no |-> said[p] = "no"]]
  /\ asked' = [asked EXCEPT ![p] = {}]
  /\ said' = [said EXCEPT ![p] = "none"]
  /\ UNCHANGED <<requests, part, known, vote, undone, decided, refused, crashes, losses>>

WriteVote(p) ==
  /\ voting[p] # None
  /\ vote' = [vote EXCEPT ![p] = voting[p]]
  /\ refused' = IF voting[p].no THEN refused \cup {p} ELSE refused
  /\ voting' = [voting EXCEPT ![p] = None]
  /\ UNCHANGED <<requests, part, known, asked, said, undone, decided, crashes, losses>>

\* The others agree, and the books balance: this agent has voted on all of its part. A step that is undone may run again.
CanCommit(p) == Open(p) /\ vote[p].ok /\ vote[p].part = part[p] /\ voting[p] = None

Commit(p) ==
  /\ CanCommit(p)
  /\ decided' = [decided EXCEPT ![p] = "commit"]
  /\ undone' = [undone EXCEPT ![p] = {s \in part[p] : step[s] # "none"}]
  /\ step' = [s \in Steps |-> IF s \in part[p] THEN "none" ELSE step[s]]
  /\ saying' = [s \in Steps |-> IF s \in part[p] THEN "none" ELSE saying[s]]
  /\ word' = [s \in Steps |-> IF s \in part[p] /\ OfTheStep THEN "none" ELSE word[s]]
  /\ UNCHANGED <<run, logged, told, gone, lost, part, known, asked, said, voting, vote, refused, crashes, losses>>

\* This agent's vote is a no, or another's is, whenever that comes.
Abort(p) ==
  /\ Open(p) /\ part[p] # {}
  /\ decided' = [decided EXCEPT ![p] = "abort"]
  /\ asked' = [asked EXCEPT ![p] = {}] /\ said' = [said EXCEPT ![p] = "none"]
  /\ voting' = [voting EXCEPT ![p] = None]
  /\ UNCHANGED <<requests, part, known, vote, undone, refused, crashes, losses>>

Crash ==
  /\ crashes < MaxCrashes
  /\ crashes' = crashes + 1
  /\ saying' = [s \in Steps |-> "none"]
  /\ known' = [p \in Props |-> vote[p].part]
  /\ asked' = [p \in Props |-> {}] /\ said' = [p \in Props |-> "none"]
  /\ voting' = [p \in Props |-> None]
  /\ UNCHANGED <<step, run, word, logged, told, gone, lost, part, vote, undone, decided, refused, losses>>

Next == \/ \E s \in Steps : Run(s) \/ Settle(s) \/ Say(s) \/ WriteWord(s) \/ Confirm(s) \/ LetGo(s) \/ Lose(s)
        \/ \E p \in Props : \/ Grow(p) \/ Hear(p) \/ Ask(p) \/ Oversee(p) \/ AskAgain(p) \/ Vote(p) \/ WriteVote(p)
                            \/ Commit(p) \/ Abort(p)
        \/ Crash

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
\* What was let go stands: its step is not undone afterwards, but where it was released and its disk lost, which is told.
Stands == \A g \in gone : \/ run[g[1]] = g[2] /\ step[g[1]] # "none"
                          \/ g \in lost /\ <<g[1], g[2], "release">> \in logged

\* Nothing is let go without a yes to that very step, in the log.
Agreed == \A g \in gone : <<g[1], g[2], "yes">> \in logged \/ <<g[1], g[2], "release">> \in logged

\* The first word counts, for ever: no other of that step is ever in the log. What somebody was told is in it, or is on
\* its way there, as long as the step stands.
OneWord == \A v, w \in logged : v[1] = w[1] /\ v[2] = w[2] => v[3] = w[3]
Kept == \A t \in told : \/ t \in logged \/ saying[t[1]] = t[3]
                         \/ step[t[1]] = "none" \/ run[t[1]] # t[2]

\* A no is never gone against.
NoStands == \A g \in gone : <<g[1], g[2], "no">> \notin told

\* Nothing is undone that the overseer has not agreed to.
Overseen == \A p \in Props : decided[p] = "commit" => undone[p] \subseteq vote[p].seen

\* A no of the overseer ends the rollback.
NoEnds == \A p \in Props : p \in refused => decided[p] # "commit"

\* Nobody waits for ever, for a word that nobody can say or for a vote that nobody can cast; and what lies in no part
\* waits for no rollback.
Progress ==
  /\ \A p \in Props : Open(p) /\ part[p] # {} =>
       \/ known[p] # part[p] \/ CanAsk(p) \/ (asked[p] # {} /\ said[p] = "none") \/ ENABLED AskAgain(p)
       \/ CanVote(p) \/ voting[p] # None \/ CanCommit(p) \/ HasRejected(p)
  /\ \A s \in Steps : step[s] = "settled" /\ ~IsGone(s) =>
       \/ MaySay(s) \/ saying[s] # "none" \/ CanLetGo(s) \/ word[s] = "no"
       \/ \E p \in Props : Open(p) /\ s \in part[p]

\* These must be found wrong: requests do go, rollbacks do commit.
NothingGoes == gone = {}
NothingIsUndone == \A p \in Props : undone[p] = {}
=============================================================================
