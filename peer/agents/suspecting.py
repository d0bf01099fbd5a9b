"""What agents tell those who watch them: what each step was like, and which step they doubt.

Both are messages like any other. So a watcher that has learnt from a step hangs on it: if the step is undone, the
watcher has never seen it.
"""

from collections.abc import Sequence
from typing import Any

from peer import errors
from peer.agents import envelope
from peer.agents.past import as_step
from peer.detectors.seen import Seen
from peer.detectors.suspicion import STEPS_MAX, Suspicion
from peer.values import payload
from peer.values.fields import TEXT_CHARS_MAX, number, text
from protocol.ids import AgentId, StepId
from protocol.step import Input, OutputDraft, StepRecord

FAILURES = {envelope.TIME_OUT: "time-out", envelope.SAGA_FAILED: "saga-failed", envelope.SAGA_STUCK: "saga-stuck"}
"""By what an input is, the failure that its handling stands for."""


def watchers_of(cls: Any) -> tuple[AgentId, ...]:
    """Return who watches agents of a class."""
    named = getattr(cls, "watched_by", ())
    return (named,) if isinstance(named, str) else named


def check_watchers(cls: Any) -> None:
    """Check what a class says of its watchers. Raises: DeclarationRefused, naming the value."""
    named = cls.watched_by
    if not isinstance(named, str | tuple):
        raise errors.DeclarationRefused(
            f"class {cls.__qualname__}: watched_by = {named!r}: the name of an agent, or several in a tuple."
        )
    for name in watchers_of(cls):
        text(f"a watcher of class {cls.__qualname__}", name, is_empty_ok=False)


def seen_by_watchers(
    ctx: Any, reads: int, writes: int,
) -> tuple[OutputDraft, ...]:  # fmt: skip
    """Return what a step that has just run tells those who watch its agent.

    Args:
        ctx: the `Context` of the run.
        reads, writes: how many keys it has read and written.
    """
    watchers = () if ctx.run.read_only else watchers_of(ctx.owner)
    if not watchers:
        return ()
    item: Input = ctx.input
    seen = Seen(
        step=ctx.step, handled=envelope.handled_by_name(item.payload), at_us=item.time_us, attempt=item.attempt,
        confidence=ctx.confidence, model=ctx.model, scores=dict(ctx.scores), reads=reads, writes=writes,
        sent=len(ctx.outputs), calls=ctx.called, failure=_failure(item),
        revised=bool(item.evidence),
    )  # fmt: skip
    said = payload.encode_message(seen)
    return tuple(OutputDraft(watcher, said, SEEN) for watcher in watchers)


SEEN = "!seen"
"""The key of such a message: a step that runs again says the same thing anew."""


def seen_in_log(record: StepRecord) -> Seen:
    """Return what a detector sees of a step of a run that is over: what its watchers were told, were there any."""
    own = sum(payload.type_name(output.payload) == Seen.__name__ for output in record.outputs)
    return Seen(
        step=record.step, handled=envelope.handled_by_name(record.input.payload), at_us=record.input.time_us,
        attempt=record.input.attempt, confidence=record.confidence, model=record.model, scores=dict(record.scores),
        reads=len(record.reads), writes=len(record.writes), sent=len(record.outputs) - own, calls=len(record.calls),
        failure=_failure(record.input), revised=bool(record.input.evidence),
    )  # fmt: skip


def _failure(item: Input) -> str:
    return FAILURES.get(payload.type_name(item.payload), "")


def suspicion(steps: StepId | str | Sequence[StepId | str], score: Any, why: Any, by: str) -> Suspicion:
    """Return that somebody doubts a step, or several.

    Raises: CallerError, for what is no step, number or text, no step at all, and too many.
    """
    said = text("why", why, TEXT_CHARS_MAX)
    named = (steps,) if isinstance(steps, str | StepId) else tuple(steps)
    meant = tuple(dict.fromkeys(map(as_step, named)))
    if not 1 <= len(meant) <= STEPS_MAX:
        raise errors.CallerError(f"{len(meant):,} steps: one suspicion names 1 to {STEPS_MAX}. Nothing was said.")
    return Suspicion(meant, number("score", score), {"why": said} if said else {}, by)


def suspected(step: StepId | str, score: Any, why: Any, by: str) -> bytes:
    """Return the message that tells a watcher so. Raises: as `suspicion`."""
    return payload.encode_message(suspicion(step, score, why, by))
