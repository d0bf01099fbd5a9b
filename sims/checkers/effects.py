"""The world outside holds exactly the effects that surviving steps stand behind, each once."""

from sims.checkers.view import View, need

INVARIANT = "effects are those that surviving steps claim"


def check(view: View) -> None:
    """Raises: Broken."""
    need(not view.doubled, INVARIANT, f"called again while they stood: {list(view.doubled)[:5]}")
    if view.standing is None or view.has_lost:
        return
    claims: dict[str, list[str]] = {}
    for record in view.steps:
        if view.survives(record):
            for intent in record.calls:
                claims.setdefault(intent, []).append(str(record.step))
    told = {notice.subject for _, notice in view.notices if notice.notice in ("undo-failed", "in-doubt", "not-undone")}
    for intent, stands in view.standing.items():
        by = claims.get(intent, [])
        need(len(by) < 2, INVARIANT, f"{intent} is claimed by {by}")
        if intent not in told:
            text = "stands, and nobody claims it" if stands else f"does not stand, and {by} claims it"
            need(stands == bool(by), INVARIANT, f"{intent} {text}")
