"""One host's part in checkpoints and restores: joins epochs and calls, and gossips their tallies (CP-1 to CP-9).

Nobody counts for the others: each host sends what it knows to one other at a time, until it knows the outcome. So a
checkpoint costs a host messages as the logarithm of the number of hosts, and a bit per member in each of them.
"""

from collections.abc import Sequence
from typing import assert_never

from msgspec.structs import replace

from protocol.calls import Call, Calls
from protocol.checkpoint import (
    Agreed,
    AppendHost,
    Begin,
    CarryOut,
    CheckpointAction,
    CheckpointMessage,
    CheckpointRecord,
    CommitRecord,
    EndRecord,
    Lacks,
    MakeCut,
    MetRecord,
    Pause,
    ReplyHost,
    SendHost,
    Settle,
    StatedRecord,
    TellHost,
    VoteRecord,
)
from protocol.epoch import Commit, Epochs
from protocol.fact import Began
from protocol.ids import HostId
from protocol.limits import CheckpointLimits
from protocol.membership import Chance
from protocol.proposal import Restore
from protocol.tally import Statement, Tally


class CheckpointMachine:
    """Checkpoints and restores, as one host takes part in them."""

    def __init__(self, host: HostId, chance: Chance, limits: CheckpointLimits | None = None) -> None:
        self.host = host
        self.limits = limits or CheckpointLimits()
        self.epochs = Epochs(host)
        self.calls = Calls(host)
        self.deadline_us: int | None = None
        self.horizon = 0
        """Steps of epochs before this one are final here."""
        self.began_us = 0
        self.cost_us = 0
        """How long the last cut of this host took to be durable."""
        self._rng = chance
        self._others: tuple[HostId, ...] = ()
        self._leaving: dict[HostId, None] = {}
        self._actions: list[CheckpointAction] = []
        self._now_us = 0
        self._tickets = 0
        self._then: dict[int, CheckpointRecord] = {}
        self._waiting: list[tuple[int, int]] = []
        self._asking: dict[str, int] = {}
        self._met: dict[HostId, bool] = {}
        """Hosts outside the view that have spoken to this one, and whether that is durable."""
        self._stating: dict[int, None] = {}
        """Epochs whose statement is being written."""
        self._due_us = 0
        self._ask_us = 0
        self._next_us: int | None = None

    # -- life ------------------------------------------------------------------------------------------------------

    def start(
        self, records: Sequence[CheckpointRecord], colour: int, restores: Sequence[Restore], founder: bool, now_us: int
    ) -> list[CheckpointAction]:
        """Begin a life.

        Args:
            records: this host's log, oldest first.
            colour: the newest cut in its agents' logs.
            restores: those carried out in its agents' logs.
            founder: this host is the first member of a new cluster.
            now_us: the time.
        """
        self._now_us = now_us
        for record in records:
            self._apply(record)
        for restore in restores:
            self.calls.agreed(restore)
        if colour > self.epochs.colour:
            self.epochs.colour, self.epochs.own = colour, None
        if founder and self.epochs.commit is None:
            self._append(CommitRecord(Commit(0, (self.host,))))
        elif self.epochs.commit is not None:
            self._settle(self.epochs.commit)
        for restore in self.calls.restores:
            self._actions.append(CarryOut(restore))
        if self.calls.is_paused():
            self._actions.append(Pause(True))
        if self.epochs.colour > 0 and self.epochs.own is None:
            # Cut by some agents, not by all, or not yet said: the others cut before they do anything else.
            self._actions.append(MakeCut(self.epochs.colour))
        # What was complete when the last life ended may not have been written.
        self._complete()
        for call in list(self.calls.open.values()):
            self._decide(call)
        self._pace()
        return self._done()

    def others(self, living: tuple[HostId, ...]) -> None:
        """Note which other hosts with agents are there: they are talked to, and named in the next cut."""
        self._others = living

    def leave(self, host: HostId) -> None:
        """Name a host as leaving in the next cut: this one, or one that it has succeeded."""
        self._leaving[host] = None

    # -- events ----------------------------------------------------------------------------------------------------

    def stamped(self, sender: HostId, epoch: int, era: int, now_us: int) -> list[CheckpointAction]:
        """A frame carries its sender's colour and era: cut before anything in it is handled (CP-1)."""
        self._now_us = now_us
        if epoch > self.epochs.colour:
            self._cut(epoch)
        if sender not in self._met and not self.epochs.is_in_view(sender):
            self._met[sender] = False
            self._append(MetRecord(sender))
        is_behind = era > self.calls.era or epoch - 1 > self.epochs.committed
        if is_behind and now_us >= self._ask_us:
            # Not for every frame: the answer is a frame too.
            self._ask_us = now_us + self.limits.gossip_us
            self._send(sender, Lacks(self.epochs.committed, self.calls.era))
        return self._done()

    def takes(self, sender: HostId, era: int) -> bool:
        """Tell whether what agents say in a frame may be handled; else it has to come again.

        Not before the sender is written down, if it is in no view that is known here: whoever handles a newcomer's
        message names it in its next cut, also after a crash (CP-3). And not before a restore that was carried out
        where the frame comes from (CP-7).
        """
        return era <= self.calls.era and (self._met.get(sender, False) or self.epochs.is_in_view(sender))

    def received(self, sender: HostId, message: CheckpointMessage, now_us: int) -> list[CheckpointAction]:
        """Take in what another host says of checkpoints and restores."""
        self._now_us = now_us
        match message:
            case Tally():
                if message.restore is None:
                    self._tallied(sender, message)
                else:
                    self._voted(sender, message, message.restore)
            case Commit():
                self._committed(message)
            case Agreed():
                for restore in message.restores:
                    self._agree(restore)
            case Lacks():
                self._answer(sender, message)
            case Begin():
                self._begin_if(message.epoch)
            case _:
                assert_never(message)
        return self._done()

    def cut_done(self, epoch: int, undecided: int, begun: tuple[Began, ...], now_us: int) -> list[CheckpointAction]:
        """All agents here have made the cut, durably: say so, once that is durable too (CP-2)."""
        self._now_us = now_us
        if epoch == self.epochs.colour and self.epochs.own is None and epoch not in self._stating:
            self._stating[epoch] = None
            needed = self.calls.needs()
            statement = Statement(
                host=self.host,
                joined=self._named(),
                left=tuple(self._leaving),
                begun=begun,
                undecided=undecided if needed is None else min(undecided, needed),
                top=epoch,
            )
            self._append(StatedRecord(epoch, statement))
        return self._done()

    def appended(self, ticket: int, now_us: int) -> list[CheckpointAction]:
        """A record of this host is durable: now it counts."""
        self._now_us = now_us
        record = self._then.pop(ticket, None)
        if record is None:
            return []
        self._apply(record)
        match record:
            case CommitRecord():
                self._after_commit(record.commit)
            case StatedRecord():
                self._stating.pop(record.epoch, None)
                self.cost_us = self._now_us - self.began_us
                self._gossip(True)
                self._complete()
            case VoteRecord():
                self._after_vote(record)
            case EndRecord() | MetRecord():
                pass
            case _:
                assert_never(record)
        return self._done()

    def begin(self, request: int, now_us: int) -> list[CheckpointAction]:
        """Somebody here wants a checkpoint; the reply comes when it is committed, and names its epoch."""
        self._now_us = now_us
        commit = self.epochs.commit
        if commit is None:
            self._actions.append(ReplyHost(request, "", "this host is in no cluster yet: it has heard of no view"))
        else:
            self._waiting.append((request, commit.epoch + 1))
            self._begin_if(commit.epoch + 1)
            if self.epochs.colour <= commit.epoch:
                self._ask_member(commit)
        return self._done()

    def restore(
        self, request: int, name: str, epoch: int, inputs: str, reason: str, deadline_us: int, now_us: int
    ) -> list[CheckpointAction]:
        """Somebody here wants everything to go back to the cut of a committed epoch; once for each `name`."""
        self._now_us = now_us
        commit = self.epochs.commit
        base = 0 if commit is None else commit.epoch
        past = [restore for restore in self.calls.restores if restore.id == name]
        if past or name in self.calls.open:
            if past:
                self._actions.append(ReplyHost(request, str(past[0].number)))
            else:
                self._asking[name] = request
            return self._done()
        restore = Restore(self.calls.era + 1, epoch, name, base, inputs, reason, deadline_us)
        why = self.calls.why_not(restore, commit, self.horizon, now_us)
        if why or commit is None:
            self._actions.append(ReplyHost(request, "", f"{why}. Nothing changed."))
        else:
            self._asking[name] = request
            self._call(restore, commit)
        return self._done()

    def elapsed(self, now_us: int) -> list[CheckpointAction]:
        """The deadline has come: gossip what is open, begin what is due."""
        self._now_us = now_us
        if self._next_us is not None and now_us >= self._next_us:
            self._pace()
            if self.epochs.may_begin():
                self._begin_if(self.epochs.committed + 1)
        if now_us >= self._due_us:
            self._gossip(False)
        return self._done()

    # -- epochs ----------------------------------------------------------------------------------------------------

    def _begin_if(self, epoch: int) -> None:
        if self.epochs.may_begin() and epoch == self.epochs.committed + 1:
            self._cut(epoch)

    def _ask_member(self, commit: Commit) -> None:
        """Only a member begins an epoch: have one do it."""
        members = [host for host in commit.next_view() if host != self.host]
        if members:
            self._send(self._rng.choice(members), Begin(commit.epoch + 1))

    def _named(self) -> tuple[HostId, ...]:
        """Return whom this host knows to be there; those outside the view are named by it."""
        return tuple(sorted({**dict.fromkeys(self._others), **dict.fromkeys(self._met)}))

    def _cut(self, epoch: int) -> None:
        self.epochs.colour = epoch
        self.epochs.own = None
        self.began_us = self._now_us
        self._actions.append(MakeCut(epoch))

    def _tallied(self, sender: HostId, tally: Tally) -> None:
        """Somebody has counted cuts: merge, and answer with what it lacks."""
        committed, count = self.epochs.committed, self.epochs.count
        if tally.base < committed:
            self._send_commit(sender)
        elif tally.base > committed or count is None:
            self._send(sender, Lacks(committed, self.calls.era))
        else:
            if tally.base + 1 > self.epochs.colour:
                self._cut(tally.base + 1)
            count.merge(tally)
            self.epochs.add_own()
            if count.exceeds(tally):
                self._send(sender, count.tally())
            self._complete()

    def _complete(self) -> None:
        commit = self.epochs.completed()
        if commit is not None and not self._is_writing(CommitRecord):
            self._append(CommitRecord(commit))

    def _committed(self, commit: Commit) -> None:
        """A commit is news of its epoch like any other: cut first (CP-3)."""
        self.epochs.remember(commit)
        if commit.epoch > self.epochs.committed and not self._is_writing(CommitRecord):
            if commit.epoch > self.epochs.colour:
                self._cut(commit.epoch)
            self._append(CommitRecord(commit))

    def _after_commit(self, commit: Commit) -> None:
        self._settle(commit)
        self._pace()
        for request, epoch in self._waiting:
            if epoch <= commit.epoch:
                self._actions.append(ReplyHost(request, str(epoch)))
        self._waiting = [(request, epoch) for request, epoch in self._waiting if epoch > commit.epoch]
        if self._waiting and self.epochs.colour == commit.epoch:
            self._begin_if(commit.epoch + 1)
        self._complete()

    def _settle(self, commit: Commit) -> None:
        needed = self.calls.needs()
        horizon = min(commit.horizon, commit.epoch - self.limits.epochs_kept + 1)
        self.horizon = max(self.horizon, horizon if needed is None else min(horizon, needed))
        for host in commit.left:
            self._leaving.pop(host, None)
        if self.host in commit.view:
            # Only a member of the view settles anything by it (CP-3).
            self._actions.append(Settle(commit.epoch, commit.begun, self.horizon))

    def _pace(self) -> None:
        interval_us = self.limits.interval_us
        self._next_us = self._now_us + interval_us if interval_us else None

    # -- restores --------------------------------------------------------------------------------------------------

    def _call(self, restore: Restore, commit: Commit) -> Call:
        """Vote on a restore, durably, before anybody hears of the vote."""
        call = self.calls.open[restore.id] = Call(restore, commit)
        why = self.calls.why_not(restore, self.epochs.commit, self.horizon, self._now_us)
        if restore.number != self.calls.era + 1:
            why = why or f"it would be restore {restore.number}, but {self.calls.era} have been carried out here"
        statement = Statement(self.host, joined=self._named(), top=self.epochs.colour, reject=why)
        call.is_voting = True
        self._append(VoteRecord(restore, statement, commit))
        return call

    def _after_vote(self, record: VoteRecord) -> None:
        call = self.calls.open.get(record.restore.id)
        if call is None:
            return
        if not record.statement.reject:
            self._actions.append(Pause(True))
        self._gossip(True)
        self._decide(call)

    def _voted(self, sender: HostId, tally: Tally, restore: Restore) -> None:
        """Somebody has counted votes on a restore: vote, merge, answer with what it lacks."""
        if restore.number <= self.calls.era:
            self._send_eras(sender, restore.number - 1)
            return
        if restore.id in self.calls.ended:
            if not tally.rejects:
                self._send(sender, self.calls.ended[restore.id])
            return
        call = self.calls.open.get(restore.id)
        if call is None:
            commit = self.epochs.commits.get(restore.base)
            if commit is None:
                # Its view is not known here: ask for that, whatever is newer.
                self._send(sender, Lacks(self.epochs.committed, self.calls.era, restore.base))
                return
            call = self._call(restore, commit)
        call.count.merge(tally)
        if call.own is not None:
            call.count.add(call.own)
        if call.count.exceeds(tally):
            self._send(sender, call.count.tally(restore))
        self._decide(call)

    def _decide(self, call: Call) -> None:
        verdict = self.calls.verdict(call)
        if verdict is None or call.restore.id not in self.calls.open:
            return
        if verdict:
            self._agree(replace(call.restore, top=call.count.top))
            return
        self.calls.end(call)
        self._append(EndRecord(call.restore.id))
        if not self.calls.is_paused():
            self._actions.append(Pause(False))
        why = "; ".join(f"{host}: {text}" for host, text in sorted(call.count.rejects.items()))
        self._actions.append(TellHost("restore-rejected", call.restore.id, why))
        self._answer_caller(call.restore.id, "", f"not everyone agreed to restore epoch {call.restore.epoch}: {why}")

    def _agree(self, restore: Restore) -> None:
        """A restore is agreed on: every agent here carries it out, in a record of its own log (CP-7)."""
        ended = [call for call in self.calls.open.values() if call.restore.number == restore.number]
        if not self.calls.agreed(restore):
            return
        self._actions.append(CarryOut(restore))
        self._actions.append(Pause(self.calls.is_paused()))
        for call in ended:
            if call.restore.id == restore.id:
                self._answer_caller(restore.id, str(restore.number), "")
            else:
                self._answer_caller(call.restore.id, "", f"restore {restore.number} came first: {restore.id}")

    def _answer_caller(self, name: str, value: str, error: str) -> None:
        request = self._asking.pop(name, None)
        if request is not None:
            self._actions.append(ReplyHost(request, value, error))

    # -- gossip ----------------------------------------------------------------------------------------------------

    def _gossip(self, at_once: bool) -> None:
        """Tell one other host, at random, what is known of each open count, until its outcome is known."""
        tallies = [call.count.tally(call.restore) for call in self.calls.open.values() if call.own is not None]
        count = self.epochs.count
        if count is not None and self.epochs.colour > count.base:
            tallies.append(count.tally())
        if self._others:
            for tally in tallies:
                self._send(self._rng.choice(self._others), tally)
            if self.epochs.commit is None or self.epochs.colour > self.epochs.committed + 1:
                self._send(self._rng.choice(self._others), Lacks(self.epochs.committed, self.calls.era))
        if not at_once:
            self._due_us = self._now_us + self.limits.gossip_us

    def _answer(self, sender: HostId, message: Lacks) -> None:
        if message.committed < self.epochs.committed:
            self._send_commit(sender)
        if message.base >= 0:
            known = [call.commit for call in self.calls.open.values()] + list(self.epochs.commits.values())
            for commit in [commit for commit in known if commit.epoch == message.base][:1]:
                self._send(sender, commit)
        self._send_eras(sender, message.era)

    def _send_commit(self, host: HostId) -> None:
        commit = self.epochs.commit
        if commit is not None:
            self._send(host, commit)

    def _send_eras(self, host: HostId, era: int) -> None:
        if era < self.calls.era:
            self._send(host, Agreed(tuple(self.calls.restores[era:])))

    def _send(self, host: HostId, message: CheckpointMessage) -> None:
        self._actions.append(SendHost(host, message))

    # -- the log ---------------------------------------------------------------------------------------------------

    def _append(self, record: CheckpointRecord) -> None:
        self._tickets += 1
        self._then[self._tickets] = record
        self._actions.append(AppendHost(self._tickets, record))

    def _is_writing(self, kind: type[CheckpointRecord]) -> bool:
        return any(isinstance(record, kind) for record in self._then.values())

    def _apply(self, record: CheckpointRecord) -> None:
        """Take in a record that is durable, live or from the log."""
        match record:
            case CommitRecord():
                self.epochs.learn(record.commit)
                for host in record.commit.view:
                    self._met.pop(host, None)
            case MetRecord():
                if not self.epochs.is_in_view(record.host):
                    self._met[record.host] = True
            case StatedRecord():
                self.epochs.colour = max(self.epochs.colour, record.epoch)
                if record.epoch == self.epochs.colour:
                    self.epochs.stated(record.statement)
            case VoteRecord():
                call = self.calls.open.get(record.restore.id)
                is_over = record.restore.id in self.calls.ended or record.restore.number <= self.calls.era
                if call is None and not is_over:
                    call = self.calls.open[record.restore.id] = Call(record.restore, record.commit)
                if call is not None:
                    call.own = record.statement
                    call.count.add(record.statement)
            case EndRecord():
                call = self.calls.open.get(record.id)
                if call is not None:
                    self.calls.end(call)
            case _:
                assert_never(record)

    def _done(self) -> list[CheckpointAction]:
        open_counts = bool(self.calls.open) or self.epochs.colour > self.epochs.committed
        times = [self._due_us] if open_counts or self.epochs.commit is None else []
        if self._next_us is not None:
            times.append(self._next_us)
        self.deadline_us = min(times, default=None)
        actions, self._actions = self._actions, []
        return actions

    def under_way(self) -> list[str]:
        """Name what is not finished."""
        names = [f"epoch {self.epochs.colour}"] if self.epochs.colour > self.epochs.committed >= 0 else []
        return [*names, *(f"restore {name}" for name in self.calls.open)]
