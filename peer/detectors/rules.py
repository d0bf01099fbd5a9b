"""Rules: limits, bounds, a validator of one's own, and steps that have failed. They need no training.

The score of a limit grows in line with the value, and is 1 at the limit. Which side of 1 it is on is exact: a value
that the rule allows scores less, however near it is.
"""

from collections.abc import Callable, Sequence
from inspect import getsource
from math import nextafter
from typing import Any, ClassVar

from msgspec import Struct

from peer.detectors.seen import Finding, Seen
from peer.detectors.settings import hash_of, number, settle, text, texts, version_of, whole
from peer.errors import ConfigInvalid

SCORE_MAX = 1e6
"""Scores stay finite, so that a log and a table can hold them."""
TEXT_LENGTH_MAX = 200
"""Characters of what a validator, or its error, says."""
ATTEMPTS_MAX = 1_000_000
JUST_ALLOWED = nextafter(1.0, 0.0)


def graded(score: float, wrong: bool) -> float:
    """Return a score within what scores may be, and on the right side of 1 for a rule that knows what is wrong."""
    score = min(max(score, 0.0), SCORE_MAX)
    return max(score, 1.0) if wrong else min(score, JUST_ALLOWED)


class Threshold(Struct, frozen=True):
    """A feature that is below, or above, a limit is wrong.

    Args:
        below, above: the limit; exactly one of them. The score falls to 0 as far within the limit as the limit is from
            0 (for a limit of 0: within 1).

    Raises: ConfigInvalid.
    """

    memoryless: ClassVar[bool] = True

    feature: str
    below: float | None = None
    above: float | None = None

    def __post_init__(self) -> None:
        if (self.below is None) == (self.above is None):
            raise ConfigInvalid(
                f"below={self.below!r}, above={self.above!r}: give one of them (Bounds has two). No detector was made."
            )
        settle(self, feature=text("feature", self.feature))
        if self.below is not None:
            settle(self, below=number("below", self.below))
        if self.above is not None:
            settle(self, above=number("above", self.above))

    @property
    def name(self) -> str:
        """`threshold(feature)`."""
        return f"threshold({self.feature})"

    @property
    def version(self) -> str:
        """Changes with the limit."""
        return version_of(self)

    def begin(self) -> "Threshold":
        """Return itself: what it says of a step hangs on that step alone."""
        return self

    def see(self, step: Seen) -> Finding | None:
        """Compare the feature with the limit."""
        value = step.value(self.feature)
        return None if value is None else self.judge(value)

    def judge(self, value: float) -> Finding:
        """Compare a value with the limit."""
        if self.below is not None:
            score = graded(1.0 + (self.below - value) / (abs(self.below) or 1.0), value < self.below)
            return Finding(score, {self.feature: value, "below": self.below})
        above = 0.0 if self.above is None else self.above
        score = graded(1.0 + (value - above) / (abs(above) or 1.0), value > above)
        return Finding(score, {self.feature: value, "above": above})


def Confidence(below: float) -> Threshold:
    """Return a detector of steps whose handler was less sure than this of what it did.

    A model's own confidence is seldom a probability: see `peer.detectors.calibration.Calibrated`.

    Raises: ConfigInvalid.
    """
    return Threshold("confidence", below=number("below", below, 0.0, 1.0))


class Bounds(Struct, frozen=True):
    """A feature outside two bounds is wrong; both belong to what is allowed.

    The score is 0 in their middle and 1 at either.

    Raises: ConfigInvalid.
    """

    memoryless: ClassVar[bool] = True

    feature: str
    low: float
    high: float

    def __post_init__(self) -> None:
        low, high = number("low", self.low), number("high", self.high)
        if low > high:
            raise ConfigInvalid(f"low={low:g}, high={high:g}: low is at most high. No detector was made.")
        settle(self, feature=text("feature", self.feature), low=low, high=high)

    @property
    def name(self) -> str:
        """`bounds(feature)`."""
        return f"bounds({self.feature})"

    @property
    def version(self) -> str:
        """Changes with the bounds."""
        return version_of(self)

    def begin(self) -> "Bounds":
        """Return itself: what it says of a step hangs on that step alone."""
        return self

    def see(self, step: Seen) -> Finding | None:
        """Compare the feature with both."""
        value = step.value(self.feature)
        if value is None:
            return None
        # Halves first: the sum, or the difference, of two finite bounds may not be finite.
        half = self.high / 2 - self.low / 2
        away = abs(value / 2 - self.low / 4 - self.high / 4) * 2
        wrong = not self.low <= value <= self.high
        # Bounds that are one value have no middle to be away from.
        score = away / half if half else wrong * (1.0 + away / (abs(self.low) or 1.0))
        return Finding(graded(score, wrong), {self.feature: value, "low": self.low, "high": self.high})


class Check(Struct, frozen=True):
    """A validator of one's own: a function that is given a step, and returns True, or why it is wrong.

    Any other answer but True says that the step is wrong, a text says why. A function that raises has found the step
    wrong, too: its error is the evidence.

    Args:
        name: as in logs.
        function: pure, and quick. To be sent to other processes it has to be one of a module's.
        edition: put another text here when what the function calls, or was made with, has changed: the version hangs on
            the text of its own source alone.

    Raises: ConfigInvalid.
    """

    memoryless: ClassVar[bool] = True

    name: str
    function: Callable[[Seen], Any]
    edition: str = ""

    def __post_init__(self) -> None:
        text("name", self.name)
        if not callable(self.function):
            raise ConfigInvalid(f"function={self.function!r}: a function of a step. No detector was made.")

    @property
    def version(self) -> str:
        """Changes with the function's source, and the edition."""
        return hash_of(["Check", self.name, self.edition, _source(self.function)])

    def begin(self) -> "Check":
        """Return itself: what it says of a step hangs on that step alone."""
        return self

    def see(self, step: Seen) -> Finding | None:
        """Ask the function."""
        try:
            answer = self.function(step)
            fine = not isinstance(answer, str) and answer is not None and bool(answer)
            why = answer if isinstance(answer, str) and answer else f"returned {answer!r}"
        except Exception as error:  # noqa: BLE001  # a validator may raise anything, and says so of this step alone
            return Finding(1.0, {"error": _said(error)})
        return Finding(0.0) if fine else Finding(1.0, {"why": why[:TEXT_LENGTH_MAX]})


class Failures(Struct, frozen=True):
    """A step that has failed, or took too many attempts, is wrong.

    Args:
        codes: the failures that count, by the name of an error or a code that the handler reports; empty: any.
        attempts: the most that a step may take; None: any number.

    Raises: ConfigInvalid.
    """

    memoryless: ClassVar[bool] = True

    codes: Sequence[str] = ()
    attempts: int | None = None

    def __post_init__(self) -> None:
        settle(self, codes=texts("codes", self.codes) if self.codes else ())
        if self.attempts is not None:
            whole("attempts", self.attempts, 1, ATTEMPTS_MAX)

    @property
    def name(self) -> str:
        """`failures`, with the codes."""
        return f"failures({','.join(self.codes)})" if self.codes else "failures"

    @property
    def version(self) -> str:
        """Changes with what counts."""
        return version_of(self)

    def begin(self) -> "Failures":
        """Return itself: what it says of a step hangs on that step alone."""
        return self

    def see(self, step: Seen) -> Finding | None:
        """Look at the step's failure and its attempts."""
        failed = bool(step.failure) and (not self.codes or step.failure in self.codes)
        if failed:
            return Finding(1.0, {"failure": step.failure[:TEXT_LENGTH_MAX]})
        if self.attempts is not None and step.attempt > self.attempts:
            return Finding(step.attempt / self.attempts, {"attempt": step.attempt, "attempts": self.attempts})
        return Finding(0.0)


def _said(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:TEXT_LENGTH_MAX]
    except Exception:  # noqa: BLE001  # an error whose text can't be had is one all the same
        return type(error).__name__


def _source(function: Callable[..., Any]) -> str:
    try:
        return getsource(function)
    except (OSError, TypeError):
        # Typed in by hand, a partial, or an object: its name is what can be told the same in every process.
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}"
