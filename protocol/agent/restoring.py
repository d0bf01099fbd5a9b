"""One agent's side of a restore: everything after the cut of an epoch is undone, everywhere (CP-7).

That a restore is agreed on is its host's to find out (`checkpoints.restore_votes`). What it undoes is told by two
numbers that every step carries, its epoch and its era, so no cone has to be worked out and no step named to others.
"""

from protocol.agent.core import Core
from protocol.agent.disposal import Disposal
from protocol.agent.effects import Effects
from protocol.agent.rollback import Rollback
from protocol.event import RestoreDecided
from protocol.ids import Lineage, StepId
from protocol.proposal import Restore
from protocol.records import RestoredRecord
from protocol.step import VoidOut


class Restoring:
    """Restores as one agent carries them out."""

    def __init__(self, core: Core, effects: Effects, rollback: Rollback, disposal: Disposal) -> None:
        self._core = core
        self._effects = effects
        self._rollback = rollback
        self._disposal = disposal

    def decided(self, event: RestoreDecided) -> None:
        """A restore is agreed on: undo every step after its cut, in one durable record."""
        core, restore = self._core, event.restore
        if restore.number <= core.colours.era:
            return
        retracted = tuple(
            record.step
            for record in core.cone.records()
            if record.epoch >= restore.epoch and record.step not in core.retraction
        )
        core.retraction.add_all(retracted)
        by_lineage: dict[Lineage, tuple[VoidOut, ...]] = {}
        for step in retracted:
            item = core.cone.record(step).input
            if _discards(restore, item.epoch, item.producer) or item.lineage in self._effects.voided:
                by_lineage[item.lineage] = self._core.void_all(item.lineage, ordered=item.producer is None)
        voids = tuple(out for some in by_lineage.values() for out in some)
        record = RestoredRecord(restore, retracted, voids, core.time.tick(core.now_us))
        self.apply(record, by_lineage)
        core.tell("restored", core.agent, f"to the cut of epoch {restore.epoch}: {len(retracted)} steps undone")
        core.append((record,), lambda: self._durable(record))

    def apply(self, record: RestoredRecord, voids: dict[Lineage, tuple[VoidOut, ...]] | None = None) -> None:
        """Carry a restore out, live or from the log."""
        core, restore = self._core, record.restore
        core.colours.restored(restore, record.time_us)
        core.time.see(record.time_us)
        core.retraction.add_all(record.retracted)
        core.retraction.add_all(
            entry.writer for entry in core.versions.all_entries() if core.colours.is_passed(entry.epoch, entry.era)
        )
        # Nobody was told step by step, so nobody keeps the places of these messages: they are sent as empty ones.
        core.empty(record.retracted)
        core.withdraw(record.retracted)
        core.post_voids(record.voids)
        for step in record.retracted:
            core.note_undone(step, f"restore/{restore.number}")
            item = core.cone.record(step).input
            discards = _discards(restore, item.epoch, item.producer)
            # In flight at the cut: it is delivered again.
            self._disposal.dispose(
                step,
                (voids or {}).get(item.lineage, ()),
                discarded=f"discarded by restore {restore.number}" if discards else "",
                counts=False,
                at_us=record.time_us,
            )
        self._rollback.refresh_held()
        core.line.undefer()

    def _durable(self, record: RestoredRecord) -> None:
        self._core.release_voids(record.voids)
        self._core.flush()


def _discards(restore: Restore, epoch: int, producer: StepId | None) -> bool:
    return producer is None and restore.inputs == "discard" and epoch >= restore.epoch
