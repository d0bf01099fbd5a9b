"""A rollback that somebody wants, checked and encoded."""

from collections.abc import Mapping
from typing import Any

from peer import errors
from peer.agents.past import as_step
from peer.values import payload
from peer.values.brief import brief
from peer.values.fields import TEXT_CHARS_MAX, text
from peer.values.texts import check_choice
from protocol.ids import StepId
from protocol.proposal import Amendment
from protocol.step import RollbackDraft


def rollback_draft(
    steps: tuple[StepId | str, ...], inputs: str, reason: str, evidence: Any, amend: Mapping[StepId | str, Any]
) -> RollbackDraft:
    """Check and encode what somebody wants rolled back.

    Raises: CallerError, naming the value.
    """
    check_choice("inputs", inputs, ("discard", "retry", "amend"), "Nothing was proposed.")
    roots = tuple(sorted({as_step(step) for step in steps}))
    if not roots:
        raise errors.CallerError("a rollback needs at least one step. Nothing was proposed.")
    if not isinstance(amend, Mapping):
        raise errors.CallerError(
            f"amend={brief(amend)}: it is corrected inputs by their roots, as in {{'a/1/1': message}}."
            " Nothing was proposed."
        )
    amendments = tuple(Amendment(as_step(root), payload.encode_message(message)) for root, message in amend.items())
    missing = set(roots) - {amendment.root for amendment in amendments}
    if inputs == "amend" and missing:
        raise errors.CallerError(f"amend gives no corrected input for {min(missing)}. Nothing was proposed.")
    why = reason_text(reason)
    shown = payload.encode(evidence if evidence is not None else why)
    return RollbackDraft(roots, str(inputs), why, shown, amendments)


def reason_text(reason: Any) -> str:
    """Return why something is done, for people; None counts as no reason.

    Raises: CallerError, if it is no text, or too long for one.
    """
    return "" if reason is None else text("reason", reason, TEXT_CHARS_MAX)
