"""When each step was first named as wrong: by a watcher's case, or as a root of a rollback that was proposed.

A watcher's case names the first of the steps that it suspects; the others are named by its proposal, if there is one.
"""

from peer.audit.trail import Trail
from peer.errors import EbbtideError
from peer.values.key_text import decode_key
from peer.watching.doubted import CASE
from protocol.ids import StepId

_CASE = f'["{CASE}",'
"""Begins the texts of the keys under which a watcher keeps its cases."""


def first_named(trail: Trail) -> dict[StepId, int]:
    """Return the steps that anybody has called wrong, and when that was first said, in microseconds since 1970."""
    found: dict[StepId, int] = {}
    for step in trail.steps.values():
        for write in step.record.writes:
            if write.key.startswith(_CASE) and (named := _step_of(write.key)) is not None:
                _say(found, named, step.record.time_us)
    for rollback in trail.rollbacks.values():
        for root in rollback.proposal.roots:
            _say(found, root, rollback.proposal.began_us)
    return found


def _say(found: dict[StepId, int], step: StepId, at_us: int) -> None:
    found[step] = min(at_us, found.get(step, at_us))


def _step_of(key: str) -> StepId | None:
    """Return the step that a case is about; None for a key of somebody else that only begins so."""
    try:
        decoded = decode_key(key)
        return StepId.parse(str(decoded[1])) if isinstance(decoded, tuple) and len(decoded) == 2 else None
    except (EbbtideError, ValueError):
        return None
