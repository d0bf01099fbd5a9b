"""One host's part in checkpoints, restores and successions: dispatch, and the gossip of open counts (CP-1 to CP-9).

Nobody counts for the others: each host sends what it knows to one other at a time, until it knows the outcome. So a
checkpoint costs a host messages as the logarithm of the number of hosts, and a bit per member in each of them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, assert_never

from protocol.action import CutReady
from protocol.chance import Chance
from protocol.checkpoints.agents import Standing
from protocol.checkpoints.anteroom import Anteroom
from protocol.checkpoints.checkpointing import Checkpointing
from protocol.checkpoints.core import HostCore
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.estates import Estate
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
    ForAgent,
    Lacks,
    MadeRecord,
    MakeCut,
    MetRecord,
    MoveRecord,
    Pause,
    PaxosRecord,
    Prepare,
    Promise,
    Refusal,
    RestoreVoteRecord,
    StatedRecord,
    Succeeded,
    SucceededRecord,
    TakeOver,
)
from protocol.checkpoints.restore_votes import Voting
from protocol.checkpoints.succession import Succession
from protocol.checkpoints.tally import Tally
from protocol.fact import Began
from protocol.ids import AgentId, HostId
from protocol.limits import CheckpointLimits


class CheckpointMachine:
    """Checkpoints, restores and successions, as one host takes part in them."""

    def __init__(self, host: HostId, chance: Chance, limits: CheckpointLimits | None = None) -> None:
        self.core = HostCore(host, chance, limits or CheckpointLimits())
        self.epochs = self.core.epochs
        self.restores = self.core.restores
        self.checkpointing = Checkpointing(self.core)
        self.voting = Voting(self.core)
        self.succession = Succession(self.core)
        self.estates = self.core.estates
        self.anteroom = Anteroom()
        self.deadline_us: int | None = None
        self._due_us = self._ask_us = 0

    # -- life ------------------------------------------------------------------------------------------------------

    def start(
        self, records: Sequence[CheckpointRecord], agents: Mapping[AgentId, Standing], founder: bool, now_us: int
    ) -> list[CheckpointAction]:
        """Begin a life.

        Args:
            records: this host's log, oldest first.
            agents: who lives here, with what their logs tell.
            founder: this host is the first member of a new cluster.
            now_us: the time.
        """
        core = self.core
        core.now_us = now_us
        newest = core.agents.begin(agents)
        for record in records:
            self._apply(record)
        for restore in newest.restores:
            self.restores.agree(restore)
        if newest.colour > self.epochs.colour:
            self.epochs.colour, self.epochs.own = newest.colour, None
        is_behind = any(standing.colour < self.epochs.colour for standing in agents.values())
        # Some agents may have carried a restore out and others not: they do, before anything that it undoes is final.
        core.actions.extend(CarryOut(restore) for restore in self.restores.agreed)
        if self.restores.is_paused():
            # RQ-2: before anything settles, and what is irreversible goes.
            core.actions.append(Pause(True))
        if founder and self.epochs.commit is None:
            core.append(CommitRecord(Commit(0, (core.host,))))
        elif self.epochs.commit is not None:
            self.checkpointing.settle(self.epochs.commit)
        if self.epochs.colour > 0 and (self.epochs.own is None or is_behind):
            # Cut by some agents, not by all, or not yet said: the others cut before they do anything else.
            core.actions.append(MakeCut(self.epochs.colour))
        core.actions.extend(TakeOver(dead) for dead in self.succession.inherited())
        # What was complete when the last life ended may not have been written.
        self.checkpointing.complete()
        for motion in list(self.restores.open.values()):
            self.voting.decide(motion)
        self.checkpointing.pace()
        return self._done()

    def others(self, living: tuple[HostId, ...]) -> None:
        """Note which other hosts with agents are there: they are talked to, and named in the next cut."""
        self.core.others = living

    def has_copy(self, host: HostId) -> None:
        """Note that this host has a copy of another's logs: it may succeed that one."""
        self.succession.copies[host] = None

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
        is_behind = era > self.restores.era or epoch - 1 > self.epochs.committed
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
        return era <= self.restores.era and (self.core.met.get(sender, False) or self.epochs.is_in_view(sender))

    def admits(self, sender: HostId, era: int, what: Any) -> bool:
        """As `takes`; but what has only to wait until its sender is written down is held: see `admitted`."""
        if self.takes(sender, era):
            return True
        if era <= self.restores.era:
            self.anteroom.hold(sender, what)
        return False

    def admitted(self) -> list[tuple[HostId, Any]]:
        """Return, once, what was held and may be handled now, by its sender; ask after each record that is durable."""
        return self.anteroom.leave(lambda sender: self.takes(sender, 0))

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
                self.voting.lacks(sender, message)
            case Begin():
                self.checkpointing.begin(message.epoch)
            case Prepare() | Promise() | Accept() | Accepted() | Refusal() | Succeeded():
                self.succession.received(sender, message)
            case _:
                assert_never(message)
        return self._done()

    # -- the agents here -------------------------------------------------------------------------------------------

    def joined(self, agent: AgentId, colour: int, is_inherited: bool = False) -> list[ForAgent]:
        """An agent, whose newest cut has that colour, has come up on a host that runs; return what it is to be told."""
        # Where its word is waited for, it is asked for its cut also if it has made it in an earlier life.
        self.core.agents.joined(agent)
        is_asked = is_inherited or (self.epochs.own is None and self.epochs.colour > 0)
        return self.core.for_newcomer(-1 if is_asked else colour)

    def slept(self, agents: Mapping[AgentId, tuple[Began, ...]], now_us: int) -> list[list[CheckpointAction]]:
        """These sleep from here on, each with what it has ever lost (CP-13); returns as `agent_cut`."""
        for agent, begun in agents.items():
            self.core.agents.slept(agent, begun)
        return self._ready(now_us) if agents else []

    def catches_up(self, colour: int, now_us: int, commit: Commit | None = None) -> list[CheckpointAction]:
        """A log comes from elsewhere that tells of a cut: this host makes it, too, before an agent is up (CP-13).

        Who has made a cut has known the commit before it: its own log tells of that, if perhaps nobody else does.
        """
        self.core.now_us = now_us
        if commit is not None:
            self.checkpointing.inherited(commit)
        if colour > self.epochs.colour:
            self.checkpointing.cut(colour)
        return self._done()

    def agent_cut(self, agent: AgentId, cut: CutReady, horizon: int, now_us: int) -> list[list[CheckpointAction]]:
        """An agent's cut is durable: when all are, the host says so, and likewise for those of each dead host.

        What is before `horizon` that agent has folded. Returns what is to be done, turn by turn.
        """
        self.estates.ready(agent, cut, horizon)
        if cut.epoch == self.epochs.colour:
            self.core.agents.ready(agent, cut)
        return self._ready(now_us)

    def gone(self, agent: AgentId, now_us: int) -> list[list[CheckpointAction]]:
        """An agent lives elsewhere now: nothing here waits for it; returns as `agent_cut`."""
        self.core.agents.gone(agent)
        self.estates.gone(agent)
        return self._ready(now_us)

    def _ready(self, now_us: int) -> list[list[CheckpointAction]]:
        turns = self.inherit(now_us)
        done = self.core.agents.all_cut(self.epochs.colour) if self.epochs.colour > 0 else None
        if done is not None:
            turns.append(self.cut_done(done.epoch, done.undecided, done.begun, now_us))
        return turns

    def inherits(
        self, dead: HostId, copied: Sequence[AgentId], begun: Collection[AgentId], homes: Iterable[AgentId],
        said: Sequence[CheckpointRecord],
    ) -> Estate:  # fmt: skip
        """This host takes over what a dead one has left, as `Estates.begin`; `inherit`, once all have come up."""
        return self.estates.begin(dead, self.succession.left_by(dead), copied, begun, homes, said)

    def inherit(self, now_us: int) -> list[list[CheckpointAction]]:
        """Speak for the dead hosts of whose agents nobody is missing any more; returns as `agent_cut`."""
        finished = self.estates.finished()
        return [self.taken_over(done.dead, done.said, done.begun, now_us, done.horizon) for done in finished]

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
                self.core.gossip()
            case RestoreVoteRecord():
                self.voting.voted(record)
                self.succession.speak()
                self.core.gossip()
            case PaxosRecord():
                self.succession.written(record)
            case SucceededRecord():
                self.succession.decided(record)
            case EndRecord() | MetRecord() | MadeRecord() | MoveRecord():
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
        """A host does not answer any more: if it stays so, one of its backups succeeds it (CP-8)."""
        self.core.now_us = now_us
        self.succession.failed(host)
        return self._done()

    def left(self, host: HostId, now_us: int) -> list[CheckpointAction]:
        """A host has said goodbye: a backup succeeds it now (CP-8)."""
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
            begun: the beginnings of its agents, which have lost what was not with the backups.
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
            self.core.gossip()
            self._due_us = now_us + self.core.limits.gossip_us
        return self._done()

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
            case RestoreVoteRecord():
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
                self.core.moves.succeeded(record)
            case MoveRecord():
                self.core.moves.apply(record)
            case MadeRecord():
                pass  # whoever brings agents up reads it
            case _:
                assert_never(record)

    def _done(self) -> list[CheckpointAction]:
        self.checkpointing.restored()
        is_open = bool(self.restores.open or self.checkpointing.waiting) or self.epochs.colour > self.epochs.committed
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
        return [*names, *(f"restore {name}" for name in self.restores.open)]
