"""That steps seem wrong, whoever says so: a detector, an agent, a person, a system outside; and what was found then."""

from msgspec import Struct

from protocol.ids import StepId

STEPS_MAX = 64
"""Of one suspicion."""


class Suspicion(Struct, frozen=True):
    """Steps that seem wrong. A policy decides what comes of it."""

    steps: tuple[StepId, ...]
    score: float = 1.0
    """How wrong, as `Finding.score` says it: from 1 on whoever says so calls them wrong."""
    evidence: dict[str, float | int | str] = {}
    detector: str = ""
    """Who says so: a detector's name, `agent/NAME`, `person/NAME`, or what a system outside calls itself."""
    version: str = ""
    """Of the detector."""


class LookAgain(Struct, frozen=True):
    """A watcher asks another agent to look again at steps.

    The answer is True, if they are right; a list of those that are wrong, as text; or a text, why all of them are.
    """

    step: StepId
    suspicion: Suspicion


class Verdict(Struct, frozen=True):
    """What was found of a step in the end, by a person or a system outside: the watcher learns from it."""

    step: StepId
    wrong: bool
    by: str = ""
    why: str = ""
