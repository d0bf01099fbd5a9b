"""What a detector sees of a step, and what it says of it."""

from math import isfinite

from msgspec import Struct

from protocol.ids import AgentId, StepId

COUNTS = ("attempt", "reads", "writes", "sent", "calls")
"""Features that every step has; `confidence` and what its handler has reported come beside them."""


class Seen(Struct, frozen=True):
    """One step as detectors see it: what its log says of it, and nothing of its message but what its handler reported.

    The same is seen while an agent works and of a run that is over.
    """

    step: StepId
    handled: str
    """The name of the class of the message that it handled."""
    at_us: int
    """When it ran, in microseconds since 1970."""
    attempt: int = 1
    """How often its input was run: also where what came before it was undone, and nothing was wrong with it."""
    confidence: float | None = None
    model: str = ""
    scores: dict[str, float] = {}
    """What its handler has reported by `ctx.report(name=value)`."""
    reads: int = 0
    writes: int = 0
    sent: int = 0
    calls: int = 0
    failure: str = ""
    """What has gone wrong in it, by the name of an error or a code that its handler reported; empty: nothing."""
    revised: bool = False
    """An earlier run of its input was called wrong itself, and undone: its handler was given the evidence."""

    @property
    def agent(self) -> AgentId:
        """Whose step it is."""
        return self.step.agent

    def value(self, feature: str) -> float | None:
        """Return `confidence`, one of `COUNTS`, or a score by its name; None if there is none, or no number."""
        found = self.scores.get(feature)
        if found is None:
            found = self.confidence if feature == "confidence" else self._count(feature)
        return found if found is not None and isfinite(found) else None

    def _count(self, feature: str) -> float | None:
        return float(getattr(self, feature)) if feature in COUNTS else None


class Finding(Struct, frozen=True):
    """What a detector says of one step."""

    score: float
    """0: as usual. From 1 on the detector itself would call it wrong; a policy may set its limit elsewhere."""
    evidence: dict[str, float | int | str] = {}
    """By what: numbers and short texts, for the log and for people."""
    since: StepId | None = None
    """The first step that seems wrong, where a change crept in; None: this one."""
