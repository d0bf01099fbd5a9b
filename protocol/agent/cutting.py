"""One agent's side of coordinated checkpoints: its cuts, what a commit settles, and what may be forgotten (CP-1, CP-4
to CP-6). When an epoch begins and when it is committed is its host's to find out (`checkpoints.checkpointing`).

Source: Lai and Yang 1987, Mattern 1989 (colours instead of markers: no pause, no order on channels).
"""

from protocol.action import CutReady
from protocol.agent.bases import Bases
from protocol.agent.core import Core
from protocol.agent.effects import Effects
from protocol.agent.loss import Loss
from protocol.agent.rollback import Rollback
from protocol.agent.stepping import Stepping
from protocol.event import CutWanted, Settled
from protocol.records import CutRecord
from protocol.step import OUTSIDE


class Cutting:
    """The cuts of one agent, and its horizon."""

    def __init__(
        self, core: Core, effects: Effects, rollback: Rollback, loss: Loss, bases: Bases, stepping: Stepping
    ) -> None:  # fmt: skip
        self._core = core
        self._effects = effects
        self._rollback = rollback
        self._loss = loss
        self._bases = bases
        self._stepping = stepping

    def wanted(self, event: CutWanted) -> None:
        """Make a cut: state is versioned, so that is one record (CP-1)."""
        core = self._core
        if event.epoch <= core.colours.epoch:
            # Made in an earlier life, and durable: it is only asked for again.
            ready = self._ready(core.colours.epoch)
            core.when_durable(lambda: core.actions.append(ready))
            return
        record = CutRecord(event.epoch, core.time.tick(core.now_us))
        self.apply_cut(record)
        ready = self._ready(event.epoch)
        core.append((record,), lambda: core.actions.append(ready))

    def _ready(self, epoch: int) -> CutReady:
        undecided = self._rollback.least_epoch()
        return CutReady(epoch, epoch if undecided is None else min(epoch, undecided), self._core.lives.own())

    def apply_cut(self, record: CutRecord) -> None:
        """Take in a cut, live or from the log."""
        core = self._core
        core.time.see(record.time_us)
        core.colours.cut(record.epoch, core.lives.incarnation, core.lives.seq, record.time_us)

    def settled(self, event: Settled) -> None:
        """An epoch is committed, and this host is in its view."""
        core = self._core
        for began in event.begun:
            # CP-4: a message of a lost step may have come late; what hangs on it goes before anything is settled.
            if began.agent != core.agent:
                self._loss.learned(began)
        core.colours.settled(event.epoch, event.horizon, core.now_us)
        core.outbox.settle(core.colours.committed)
        self.forget()
        self._bases.work()

    def forget(self) -> None:
        """Fold and forget what is behind the horizon (CP-6); its cost follows what is forgotten."""
        core = self._core
        undecided = self._rollback.least_epoch()
        horizon = core.colours.horizon if undecided is None else min(core.colours.horizon, undecided)
        final: list[str] = []
        for record in core.cone.before(horizon):
            lineage = record.input.lineage
            stands = record.step not in core.retraction
            if not stands and core.live_run(lineage) is None and not self._effects.has_ended(lineage):
                # Its input is still to run again, and claims what this run sent and did.
                continue
            if stands:
                final.append(lineage)
            core.forget_step(record)
            entries = core.own_entries.get(record.step)
            if stands and entries and all(entry.space.startswith(OUTSIDE) for entry in entries):
                # SH-5: nobody need hang on what can't be undone any more.
                core.withdraw((record.step,))
                core.own_entries.pop(record.step, None)
        core.colours.forget(horizon)
        core.versions.fold(horizon)
        running = self._stepping.running
        self._effects.forget(final, horizon, "" if running is None else running[2].lineage)
        self._rollback.forget(horizon)
