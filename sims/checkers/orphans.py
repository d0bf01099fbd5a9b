"""No surviving step depends on one that is retracted or lost."""

from sims.checkers.view import View, need, some
from sims.oracle import orphans

INVARIANT = "no surviving step depends on a retracted one"


def check(view: View) -> None:
    """Raises: Broken."""
    kept = [step for step in view.logged if step.step not in view.lost_names]
    left = orphans(kept, view.retracted | view.lost_names)
    need(not left, INVARIANT, some(set(left)))
