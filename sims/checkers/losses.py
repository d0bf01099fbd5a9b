"""A lost disk takes nothing that was promised, and what it takes is said (CP-10, FR-1)."""

from sims.checkers.view import View, need, some

INVARIANT = "what is promised is kept, and what is lost is said"


def check(view: View) -> None:
    """Judge what disks have lost.

    Raises: Broken, naming what was acknowledged and is lost, or whose loss nobody was told of.
    """
    need(not view.broken_promises, INVARIANT, "; ".join(view.broken_promises))
    silent = {record.step.agent for record in view.lost}.difference(view.losses_said)
    need(not silent, INVARIANT, f"steps of {some(silent)} are lost, and that was not said")
    if view.is_replicated:
        forced = {f"{agent}: {tell.detail} ({tell.subject})" for agent, tell in view.notices if tell.notice == "forced"}
        need(not forced, INVARIANT, f"a lost disk has undone steps elsewhere: {some(forced)}")
