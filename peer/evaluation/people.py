"""What was asked of persons: how often, and how long it was waited for."""

from typing import NamedTuple

from peer.audit.trail import Trail
from peer.evaluation.spans import Span

MINUTES = 5.0
"""That a person takes for a question, or to go back to a checkpoint, unless it is said otherwise."""


class Asked(NamedTuple):
    """Of one run."""

    questions: int
    unanswered: int
    waiting_us: int


def asked(trail: Trail, window: Span) -> Asked:
    """Return what persons were asked: a question counts, too, if its step was undone before anybody had answered.

    It was waited for until the step that has handled the answer, or until the question was undone, or else to the end.
    """
    answers = {
        (step.producer, step.record.input.index): step.record.time_us
        for step in trail.steps.values()
        if step.producer is not None and step.producer.agent == step.id.agent
    }
    questions = unanswered = waiting = 0
    for step in trail.steps.values():
        for place, request in step.record.requests:
            if request.hold is None:
                continue
            questions += 1
            at = answers.get((step.id, place))
            unanswered += at is None
            end = at or (step.undone.time_us if step.undone else 0) or window.last_us
            waiting += max(0, end - step.record.time_us)
    return Asked(questions, unanswered, waiting)
