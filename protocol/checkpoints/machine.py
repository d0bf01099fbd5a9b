"""One host's part in checkpoints, restores and successions: dispatch, and the gossip of open counts (CP-1 to CP-9).

Nobody counts for the others: each host sends what it knows to one other at a time, until it knows the outcome. So a
checkpoint costs a host messages as the logarithm of the number of hosts, and a bit per member in each of them.
"""

from collections.abc import Sequence
from typing import assert_never

from protocol.checkpoints.checkpointing import Checkpointing
from protocol.checkpoints.core import HostCore
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.messages import (
    Accept,
    Accepted,
    Agreed,
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
    PaxosRecord,
    Prepare,
    Promise,
    Refusal,
    StatedRecord,
    Succeeded,
    SucceededRecord,
    TakeOver,
    VoteRecord,
)
from protocol.checkpoints.restore_votes import Voting
from protocol.checkpoints.succession import Succession
from protocol.checkpoints.tally import Tally
from protocol.fact import Began
from protocol.hosts.membership import Chance
from protocol.ids import HostId
from protocol.limits import CheckpointLimits
from protocol.proposal import Restore


class CheckpointMachine:
    """Checkpoints, restores and successions, as one host takes part in them."""

    def __init__(self, host: HostId, chance: Chance, limits: CheckpointLimits | None = None) -> None:
        self.core = HostCore(host, chance, limits or CheckpointLimits())
        self.epochs = self.core.epochs
        self.calls = self.core.calls
        self.checkpointing = Checkpointing(self.core)
        self.voting = Voting(self.core)
        self.succession = Succession(self.core)
        self.deadline_us: int | None = None
        self._due_us = 0
        self._ask_us = 0

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
        core = self.core
        core.now_us = now_us
        for record in records:
            self._apply(record)
        for restore in restores:
            self.calls.agreed(restore)
        if colour > self.epochs.colour:
            self.epochs.colour, self.epochs.own = colour, None
        # Some agents may have carried a restore out and others not: they do, before anything that it undoes is final.
        core.actions.extend(CarryOut(restore) for restore in self.calls.restores)
        if founder and self.epochs.commit is None:
            core.append(CommitRecord(Commit(0, (core.host,))))
        elif self.epochs.commit is not None:
            self.checkpointing.settle(self.epochs.commit)
        if self.calls.is_paused():
            core.actions.append(Pause(True))
        if self.epochs.colour > 0 and self.epochs.own is None:
            # Cut by some agents, not by all, or not yet said: the others cut before they do anything else.
            core.actions.append(MakeCut(self.epochs.colour))
        core.actions.extend(TakeOver(dead) for dead in self.succession.inherited())
        # What was complete when the last life ended may not have been written.
        self.checkpointing.complete()
        for call in list(self.calls.open.values()):
            self.voting.decide(call)
        self.checkpointing.pace()
        return self._done()

    def others(self, living: tuple[HostId, ...]) -> None:
        """Note which other hosts with agents are there: they are talked to, and named in the next cut."""
        self.core.others = living

    def keeps(self, host: HostId) -> None:
        """Note that this host has a copy of another's logs: it may succeed that one."""
        self.succession.keeps[host] = None

    def leave(self, host: HostId) -> None:
        """Name a host as leaving in the next cut: this one, or one that it has succeeded."""
        self.checkpointing.leaving[host] = None

    # -- events ----------------------------------------------------------------------------------------------------

    def stamped(self, sender: HostId, epoch: int, era: int, now_us: int) -> list[CheckpointAction]:
        """A frame carries its sender's colour and era: cut before anything in it is handled (CP-1)."""
        core = self.core
        core.now_us = now_us
        if self.succession.is_refused(sender):
            self.succession.remind(sender)
            return self._done()
        if epoch > self.epochs.colour:
            self.checkpointing.cut(epoch)
        if sender not in core.met and not self.epochs.is_in_view(sender):
            core.met[sender] = False
            core.append(MetRecord(sender))
        is_behind = era > self.calls.era or epoch - 1 > self.epochs.committed
        if is_behind and now_us >= self._ask_us:
            # Not for every frame: the answer is a frame too.
            self._ask_us = now_us + core.limits.gossip_us
            core.send(sender, core.lacks())
        return self._done()

    def takes(self, sender: HostId, era: int) -> bool:
        """Tell whether what agents say in a frame may be handled; else it has to come again.

        Not before the sender is written down, if it is in no view that is known here: whoever handles a newcomer's
        message names it in its next cut, also after a crash (CP-3). Not before a restore that was carried out where
        the frame comes from (CP-7). Never from a host that has been succeeded (CP-8).
        """
        if self.succession.is_refused(sender):
            return False
        return era <= self.calls.era and (self.core.met.get(sender, False) or self.epochs.is_in_view(sender))

    def received(self, sender: HostId, message: CheckpointMessage, now_us: int) -> list[CheckpointAction]:
        """Take in what another host says of checkpoints, restores and successions."""
        self.core.now_us = now_us
        match message:
            case Tally():
                if message.restore is None:
                    self.checkpointing.tallied(sender, message)
                else:
                    self.voting.tallied(sender, message, message.restore)
            case Commit():
                self.checkpointing.heard(message)
            case Agreed():
                for restore in message.restores:
                    self.voting.agreed(restore)
            case Lacks():
                self._answer(sender, message)
            case Begin():
                self.checkpointing.begin(message.epoch)
            case Prepare() | Promise() | Accept() | Accepted() | Refusal() | Succeeded():
                self.succession.received(sender, message)
            case _:
                assert_never(message)
        return self._done()

    def cut_done(self, epoch: int, undecided: int, begun: tuple[Began, ...], now_us: int) -> list[CheckpointAction]:
        """All agents here have made the cut, durably."""
        self.core.now_us = now_us
        self.checkpointing.done(epoch, undecided, begun)
        return self._done()

    def appended(self, ticket: int, now_us: int) -> list[CheckpointAction]:
        """A record of this host is durable: now it counts."""
        self.core.now_us = now_us
        record = self.core.written(ticket)
        if record is None:
            return []
        self._apply(record)
        match record:
            case CommitRecord():
                self.checkpointing.committed(record.commit)
            case StatedRecord():
                self.checkpointing.stated(record)
                self.succession.speak()
                self._gossip()
            case VoteRecord():
                self.voting.voted(record)
                self.succession.speak()
                self._gossip()
            case PaxosRecord():
                self.succession.written(record)
            case SucceededRecord():
                self.succession.decided(record)
            case EndRecord() | MetRecord():
                pass
            case _:
                assert_never(record)
        return self._done()

    def begin(self, request: int, now_us: int) -> list[CheckpointAction]:
        """Somebody here wants a checkpoint; the reply comes when it is committed, and names its epoch."""
        self.core.now_us = now_us
        self.checkpointing.wanted(request)
        return self._done()

    def restore(
        self, request: int, name: str, epoch: int, inputs: str, reason: str, deadline_us: int, now_us: int
    ) -> list[CheckpointAction]:
        """Somebody here wants everything to go back to the cut of a committed epoch; once for each `name`."""
        self.core.now_us = now_us
        self.voting.wanted(request, name, epoch, inputs, reason, deadline_us)
        return self._done()

    def grown(self, records: int, size: int, now_us: int) -> list[CheckpointAction]:
        """Agents here have written so many records, of so many bytes."""
        self.core.now_us = now_us
        self.checkpointing.grown(records, size)
        return self._done()

    def failed(self, host: HostId, now_us: int) -> list[CheckpointAction]:
        """A host does not answer any more: if it stays so, one of its buddies succeeds it (CP-8)."""
        self.core.now_us = now_us
        self.succession.failed(host)
        return self._done()

    def left(self, host: HostId, now_us: int) -> list[CheckpointAction]:
        """A host has said goodbye: a buddy succeeds it now (CP-8)."""
        self.core.now_us = now_us
        self.succession.left(host)
        return self._done()

    def recovered(self, host: HostId, now_us: int) -> list[CheckpointAction]:
        """A host that had failed is there again."""
        self.core.now_us = now_us
        self.succession.recovered(host)
        return self._done()

    def taken_over(
        self, host: HostId, records: Sequence[CheckpointRecord], begun: tuple[Began, ...], now_us: int,
        horizon: int = 0,
    ) -> list[CheckpointAction]:  # fmt: skip
        """The agents of a host that this one succeeds live here, and have made its cut: speak for it (CP-8).

        Args:
            host: the dead one.
            records: the copy of its log: what it has said is repeated.
            begun: the beginnings of its agents, which have lost what was not with the buddies.
            now_us: the time.
            horizon: the newest of its agents': what is before it was folded, perhaps before anybody else knew of that.
        """
        self.core.now_us = now_us
        self.succession.taken_over(host, records, begun, horizon)
        return self._done()

    def elapsed(self, now_us: int) -> list[CheckpointAction]:
        """The deadline has come: gossip what is open, begin what is due."""
        self.core.now_us = now_us
        self.checkpointing.elapsed()
        self.succession.elapsed()
        if now_us >= self._due_us:
            self.checkpointing.ask_member()
            self._gossip()
            self._due_us = now_us + self.core.limits.gossip_us
        return self._done()

    # -- gossip ----------------------------------------------------------------------------------------------------

    def _gossip(self) -> None:
        """Tell one other host, at random, what is known of each open count, until its outcome is known (CP-2)."""
        core, count = self.core, self.epochs.count
        tallies = [call.count.tally(call.restore) for call in self.calls.open.values() if call.own is not None]
        if count is not None and self.epochs.colour > count.base:
            tallies.append(count.tally())
        if core.others:
            for tally in tallies:
                core.send(core.rng.choice(core.others), tally)
            if self.epochs.commit is None or self.epochs.colour > self.epochs.committed + 1:
                core.send(core.rng.choice(core.others), core.lacks())

    def _answer(self, sender: HostId, message: Lacks) -> None:
        core = self.core
        if message.committed < self.epochs.committed:
            core.send_commit(sender)
        if message.base >= 0:
            known = [call.commit for call in self.calls.open.values()] + list(self.epochs.commits.values())
            for commit in [commit for commit in known if commit.epoch == message.base][:1]:
                core.send(sender, commit)
        self.voting.send_eras(sender, message.era)

    # -- the log ---------------------------------------------------------------------------------------------------

    def _apply(self, record: CheckpointRecord) -> None:
        """Take in a record that is durable, live or from the log."""
        match record:
            case CommitRecord():
                self.epochs.learn(record.commit)
                for host in record.commit.view:
                    self.core.met.pop(host, None)
            case StatedRecord():
                self.checkpointing.apply_stated(record)
            case VoteRecord():
                self.voting.apply_vote(record)
            case EndRecord():
                self.voting.apply_end(record)
            case MetRecord():
                if not self.epochs.is_in_view(record.host):
                    self.core.met[record.host] = True
            case PaxosRecord():
                self.succession.apply(record)
            case SucceededRecord():
                self.succession.apply_decided(record)
            case _:
                assert_never(record)

    def _done(self) -> list[CheckpointAction]:
        self.checkpointing.restored()
        is_open = bool(self.calls.open or self.checkpointing.waiting) or self.epochs.colour > self.epochs.committed
        times = [self._due_us] if is_open or self.epochs.commit is None else []
        for time_us in (self.checkpointing.next_us, self.succession.deadline_us()):
            if time_us is not None:
                times.append(time_us)
        self.deadline_us = min(times, default=None)
        actions, self.core.actions = self.core.actions, []
        return actions

    def under_way(self) -> list[str]:
        """Name what is not finished."""
        names = [f"epoch {self.epochs.colour}"] if self.epochs.colour > self.epochs.committed >= 0 else []
        return [*names, *(f"restore {name}" for name in self.calls.open)]
