"""Undone is what hangs on a committed root or on a lost step, or what a restore has passed over, and nothing else."""

from protocol.records import CutRecord, RestoredRecord
from protocol.step import StepRecord
from sims.checkers.view import View, need, some
from sims.oracle import cone

INVARIANT = "exactly the cones are retracted"


def check(view: View) -> None:
    """Raises: Broken."""
    truth = cone(view.lost_names, view.after) - view.lost_names
    for decided in view.decided.values():
        if decided[0][1].decision == "commit":
            truth |= view.cone_of(decided[0][1].proposal)
    truth |= _restored(view)
    # A root may have been lost with its disk after it was undone.
    truth -= view.lost_names
    wrongly, missed = view.retracted - truth, truth - view.retracted
    need(not wrongly, INVARIANT, f"undone, but in no cone: {some(wrongly)}")
    need(not missed, INVARIANT, f"in a cone, but kept: {some(missed)}")


def _restored(view: View) -> set[str]:
    """Return what restores have undone: in each log, what stands between the cut and the restore."""
    gone: set[str] = set()
    for log in view.logs.values():
        for at, record in enumerate(log):
            if isinstance(record, RestoredRecord):
                epoch = record.restore.epoch
                cuts = [n for n, cut in enumerate(log[:at]) if isinstance(cut, CutRecord) and cut.epoch >= epoch]
                after = log[cuts[0] : at] if cuts else ()
                gone.update(str(step.step) for step in after if isinstance(step, StepRecord))
    return gone
