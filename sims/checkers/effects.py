"""The world outside holds exactly the effects that surviving steps stand behind, each once."""

from sims.checkers.view import View, need

INVARIANT = "effects are those that surviving steps claim"


def check(view: View) -> None:
    """Raises: Broken."""
    # Who has lost the log of a call, and nobody has a copy, can't know that it was made: people are told of the loss.
    doubled = [intent for intent in view.doubled if not (view.has_lost and intent.split("/", 1)[0] in view.losses_said)]
    need(not doubled, INVARIANT, f"called again while they stood: {doubled[:5]}")
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
