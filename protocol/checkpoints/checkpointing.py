"""Coordinated checkpoints as one host takes part in them (CP-1 to CP-4): beginnings, cuts, commits."""

from protocol.checkpoints.core import HostCore
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.messages import Begin, CommitRecord, MakeCut, Settle, StatedRecord
from protocol.checkpoints.pacing import Pace, is_due
from protocol.checkpoints.retention import Retention
from protocol.checkpoints.tally import Statement, Tally
from protocol.fact import Began
from protocol.ids import HostId


class Checkpointing:
    """The cuts of one host."""

    def __init__(self, core: HostCore) -> None:
        self._core = core
        self.leaving: dict[HostId, None] = {}
        """Whom the next cut names as leaving."""
        self.waiting: list[tuple[int, int]] = []
        """Requests, each with the epoch whose commit answers it."""
        self.next_us: int | None = None
        """When to begin the next epoch."""
        self.began_us = 0
        self.cost_us = 0
        """How long the last cut of this host took to be durable, and placed."""
        self._retention = Retention(core.limits)
        self._pace = Pace(core.host, core.limits, core.rng)
        self._wait_us = 0
        self._restores = 0
        """Restores that are past: those carried out in this life end a period."""
        self._stating: dict[int, None] = {}
        self._left: Commit | None = None
        """A commit that a dead host has known, and that is still to be heard of."""
        self._records = 0
        self._size = 0

    # -- beginning -------------------------------------------------------------------------------------------------

    def wanted(self, request: int) -> None:
        """Somebody here wants a checkpoint; the reply comes when it is committed."""
        epochs = self._core.epochs
        # The cuts of an epoch that is under way are older than this wish: the next one is meant.
        self.waiting.append((request, max(epochs.colour, epochs.committed) + 1))
        self.begin(epochs.committed + 1)
        self.ask_member()

    def begin(self, epoch: int) -> None:
        """Begin an epoch, if this host may: many may at once, and it is the same one."""
        core = self._core
        if core.epochs.may_begin() and epoch == core.epochs.committed + 1:
            self.cut(epoch)

    def ask_member(self) -> None:
        """Only a member begins an epoch: have one do what is waited for here."""
        core, commit = self._core, self._core.epochs.commit
        if not self.waiting or commit is None or core.epochs.colour > commit.epoch:
            return
        members = [host for host in commit.next_view() if host != core.host]
        if members:
            core.send(core.rng.choice(members), Begin(commit.epoch + 1))

    def pace(self) -> None:
        """A period begins: choose when to begin the next epoch."""
        core, commit = self._core, self._core.epochs.commit
        self._restores = core.restores.era
        self._wait_us = self._pace.wait_us(() if commit is None else commit.next_view(), self.cost_us, core.now_us)
        self._arm()

    def _arm(self) -> None:
        self.next_us = self._core.now_us + self._wait_us if self._wait_us else None

    def restored(self) -> None:
        """A restore that was agreed on since the last event ends a period; only a policy cares."""
        core = self._core
        if core.limits.policy is not None and core.restores.era > self._restores:
            for restore in core.restores.agreed[self._restores :]:
                self._pace.restored(restore.epoch, core.now_us)
            self.pace()

    def elapsed(self) -> None:
        """Begin what is due."""
        if self.next_us is not None and self._core.now_us >= self.next_us:
            self._arm()
            self.begin(self._core.epochs.committed + 1)

    def grown(self, records: int, size: int) -> None:
        """The agents here have written; begin an epoch if that is enough (CP-9)."""
        self._records += records
        self._size += size
        self._retention.grown(self._core.epochs.colour, size)
        if is_due(self._core.limits, self._records, self._size):
            self.begin(self._core.epochs.committed + 1)

    # -- cutting ---------------------------------------------------------------------------------------------------

    def cut(self, epoch: int) -> None:
        """Make the cut of every agent here, now (CP-1)."""
        core = self._core
        core.epochs.colour = epoch
        core.epochs.own = None
        self._records = self._size = 0
        self.began_us = core.now_us
        self._pace.cut(epoch, core.now_us)
        core.agents.cut()
        core.actions.append(MakeCut(epoch))
        self.all_cut()

    def all_cut(self) -> None:
        """Say what all cuts here tell, if nobody is waited for."""
        done = self._core.agents.all_cut(self._core.epochs.colour)
        if done is not None:
            self.done(done.epoch, done.undecided, done.begun)

    def done(self, epoch: int, undecided: int, begun: tuple[Began, ...]) -> None:
        """All agents here have made the cut, durably: say so, once that is durable too (CP-2)."""
        core = self._core
        if epoch != core.epochs.colour or core.epochs.own is not None or epoch in self._stating:
            return
        self._stating[epoch] = None
        needed = core.restores.needs()
        undecided, begun = core.moves.said_for(epoch, undecided, begun)
        statement = Statement(
            host=core.host,
            joined=core.named(),
            left=tuple(self.leaving),
            begun=begun,
            undecided=undecided if needed is None else min(undecided, needed),
            top=epoch,
        )
        core.append(StatedRecord(epoch, statement), is_fact=True)

    def stated(self, record: StatedRecord) -> None:
        """What this host says of its cut is durable, and the cut is placed: it counts."""
        self._stating.pop(record.epoch, None)
        self.cost_us = self._core.now_us - self.began_us
        self.complete()

    def apply_stated(self, record: StatedRecord) -> None:
        """Take in a statement of this host, or of one that it has succeeded, live or from the log."""
        epochs = self._core.epochs
        if record.statement.host != self._core.host:
            if epochs.count is not None and epochs.count.base + 1 == record.epoch:
                epochs.count.add(record.statement)
            return
        epochs.colour = max(epochs.colour, record.epoch)
        if record.epoch == epochs.colour:
            epochs.stated(record.statement)

    # -- committing ------------------------------------------------------------------------------------------------

    def tallied(self, sender: HostId, tally: Tally) -> None:
        """Somebody has counted cuts: merge, and answer with what it lacks."""
        core = self._core
        committed, count = core.epochs.committed, core.epochs.count
        if tally.base < committed:
            core.send_commit(sender)
        elif tally.base > committed or count is None:
            core.send(sender, core.lacks())
        else:
            if tally.base + 1 > core.epochs.colour:
                self.cut(tally.base + 1)
            count.merge(tally)
            core.epochs.add_own()
            if count.exceeds(tally):
                core.send(sender, count.tally())
            self.complete()

    def complete(self) -> None:
        """Write down that the epoch is committed, if nobody is missing (CP-3)."""
        commit = self._core.epochs.completed()
        if commit is not None and not self._core.is_writing(CommitRecord):
            self._core.append(CommitRecord(commit))

    def heard(self, commit: Commit) -> None:
        """A commit is news of its epoch like any other: cut first (CP-3)."""
        core = self._core
        core.epochs.remember(commit)
        if commit.epoch > core.epochs.committed and not core.is_writing(CommitRecord):
            if commit.epoch > core.epochs.colour:
                self.cut(commit.epoch)
            core.append(CommitRecord(commit))

    def inherited(self, commit: Commit) -> None:
        """A dead host has known a commit, perhaps alone: nobody else can tell of it (CP-13)."""
        self._left = commit
        self._hear()

    def _hear(self) -> None:
        if self._left is not None and not self._core.is_writing(CommitRecord):
            commit, self._left = self._left, None
            self.heard(commit)

    def committed(self, commit: Commit) -> None:
        """A commit is durable here: settle by it, and answer those who waited."""
        core = self._core
        self.settle(commit)
        self._pace.committed(len(commit.begun), self.cost_us, core.now_us)
        self.pace()
        for request, epoch in self.waiting:
            if epoch <= commit.epoch:
                core.reply(request, str(epoch))
        self.waiting = [(request, epoch) for request, epoch in self.waiting if epoch > commit.epoch]
        if self.waiting:
            self.begin(commit.epoch + 1)
            self.ask_member()
        self._hear()
        self.complete()

    def settle(self, commit: Commit) -> None:
        """Tell the agents here what is settled, and what is final (CP-4, CP-6)."""
        core = self._core
        needed = core.restores.needs()
        horizon = min(commit.horizon, self._retention.horizon(commit.epoch, core.now_us))
        core.horizon = max(core.horizon, horizon if needed is None else min(horizon, needed))
        for host in commit.left:
            self.leaving.pop(host, None)
        if core.host in commit.view:
            # Only a member of the view settles anything by it (CP-3).
            core.settled = Settle(commit.epoch, commit.begun, core.horizon)
            core.estates.settled(core.horizon)
            core.actions.append(core.settled)
