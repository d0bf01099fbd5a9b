"""Who hangs on whom: the dependencies of a trail, followed back to the outside, or forward to all consequences.

The logged edges alone decide, as in docs/export.md. A step that tolerated something hangs on it only beyond its limit
(RB-11).
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from peer.audit.trail import Step, Trail
from protocol.ids import MessageId, StepId
from protocol.step import Tolerated


class Cause(NamedTuple):
    """Why a step depends on another."""

    step: StepId
    """The one depended on."""
    how: str
    """`message`: it sent the input; `key`: it wrote what was read; `sum`: it added to what was tolerated."""
    via: str
    """The message, or the key."""


class Edges:
    """A trail's dependencies in both directions."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._after: dict[StepId, dict[StepId, Cause]] = {}
        """By step, those that hang on it directly, and why: each once."""
        self._tolerant: dict[StepId, list[tuple[StepId, Tolerated]]] = {}
        for step in trail.steps.values():
            for cause in self.causes(step):
                self._after.setdefault(cause.step, {}).setdefault(step.id, cause)
            for sums in step.record.tolerated:
                for writer, _ in sums.parts:
                    if writer != step.id:
                        self._tolerant.setdefault(writer, []).append((step.id, sums))

    def causes(self, step: Step) -> list[Cause]:
        """Return what a step depends on, its input first; what it tolerated is not there."""
        record, found = step.record, list[Cause]()
        if record.input.producer is not None:
            found.append(Cause(record.input.producer, "message", str(record.input)))
        for read in record.reads:
            if read.writer is not None and read.writer != step.id:
                found.append(Cause(read.writer, "key", read.key))
        return found

    def chain(self, step: Step) -> list[StepId]:
        """Return the producers of a step's input, of that one's, and so on: the nearest first.

        The last may be a step that the logs do not tell of any more.
        """
        found: list[StepId] = []
        at: Step | None = step
        while at is not None and at.producer is not None and at.producer not in found:
            found.append(at.producer)
            at = self._trail.steps.get(at.producer)
        return found

    def consumers(self, message: MessageId) -> list[StepId]:
        """Return the steps that handled a message, in order; undone ones too."""
        after = self._after.get(message.producer, {})
        return [step for step, cause in after.items() if cause.how == "message" and cause.via == str(message)]

    def cone(self, roots: Iterable[StepId]) -> dict[StepId, Cause | None]:
        """Return the roots and all their consequences, each with the cause by which it was found first (None: a root).

        Raises: KeyError, for a root that is not in the trail.
        """
        found: dict[StepId, Cause | None] = {self._trail.steps[root].id: None for root in roots}
        todo = deque(found)
        while todo:
            step = todo.popleft()
            after = [*self._after.get(step, {}).items(), *self._exceeded(step, found)]
            for reader, cause in after:
                if reader not in found:
                    found[reader] = cause
                    todo.append(reader)
        return found

    def _exceeded(self, writer: StepId, found: dict[StepId, Cause | None]) -> list[tuple[StepId, Cause]]:
        """Return the tolerant readers that lose more than they tolerate with this writer."""

        def is_gone(step: StepId) -> bool:
            known = self._trail.steps.get(step)
            return step in found or (known is not None and known.undone is not None)

        readers = self._tolerant.get(writer, ())
        return [(step, Cause(writer, "sum", sums.key)) for step, sums in readers if sums.is_exceeded(is_gone)]

    def path(self, roots: Iterable[StepId], step: StepId) -> list[tuple[StepId, Cause | None]]:
        """Return how a step hangs on one of the roots, from the root on; empty if it hangs on none."""
        cone = self.cone(root for root in roots if root in self._trail.steps)
        if step not in cone:
            return []
        found = [(step, cone[step])]
        while (cause := found[-1][1]) is not None:
            found.append((cause.step, cone[cause.step]))
        return found[::-1]
