"""Which steps an agent's state can be read at: those that the horizon has not passed (CP-6)."""

from peer import errors
from peer.values.fields import text
from protocol.agent.core import Core
from protocol.ids import StepId

_NUMBER_MAX = (1 << 62) - 1
"""The log holds integers of 64 bits."""


def as_step(step: StepId | str) -> StepId:
    """Read a step.

    Raises: CallerError, naming the text.
    """
    try:
        found = StepId.parse(text("a step", str(step) if isinstance(step, StepId) else step))
    except ValueError as error:
        raise errors.CallerError(f"{error}. Nothing changed.") from None
    if max(found.incarnation, found.seq) > _NUMBER_MAX:
        raise errors.CallerError(f"there is no step {found}: its numbers are too large. Nothing changed.")
    return found


def check_past(core: Core, step: StepId) -> None:
    """Check that an agent's state can be read as it stood after a step.

    Raises: StepUnknown, naming the step and the oldest that can be read: it is another agent's, unknown, or compacted.
    """
    if step.agent != core.agent:
        raise errors.StepUnknown(
            f"{step} is no step of {core.agent}, whose state was to be read at it. Nothing changed."
        )
    if step in core.cone and core.cone.record(step).epoch >= core.horizon:
        return
    oldest = core.cone.since(core.horizon)
    which = "none can be read at yet" if oldest is None else f"the oldest that can be read at is {oldest}"
    begins = f"those before checkpoint {core.horizon} are compacted" if core.horizon else "nothing is compacted yet"
    raise errors.StepUnknown(
        f"no step {step} of {core.agent} to read its state at: {which}, and {begins}. Nothing changed."
    )
