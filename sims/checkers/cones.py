"""Undone is what hangs on a committed root or on a lost step, and nothing else."""

from sims.checkers.view import View, need, some
from sims.oracle import cone

INVARIANT = "exactly the cones are retracted"


def check(view: View) -> None:
    """Raises: Broken."""
    truth = cone(view.lost_names, view.after) - view.lost_names
    for decided in view.decided.values():
        if decided[0][1].decision == "commit":
            truth |= view.cone_of(decided[0][1].proposal)
    # A root may have been lost with its disk after it was undone.
    truth -= view.lost_names
    wrongly, missed = view.retracted - truth, truth - view.retracted
    need(not wrongly, INVARIANT, f"undone, but in no cone: {some(wrongly)}")
    need(not missed, INVARIANT, f"in a cone, but kept: {some(missed)}")
