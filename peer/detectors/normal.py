"""How a feature is on normal steps: its mean and its standard deviation, given or learnt."""

from collections.abc import Sequence
from math import fsum, inf, sqrt
from typing import Any, Self

from msgspec import Struct

from peer.detectors.features import column
from peer.detectors.seen import Seen
from peer.detectors.settings import number, positive, settle, text
from peer.errors import CallerError

STEPS_MIN = 20
"""Fewer say next to nothing of a deviation."""
DEVIATIONS_MAX = 1e6
"""A value farther off counts as if it were so far: sums stay finite."""


class Normal(Struct, frozen=True):
    """How a feature is on normal steps."""

    mean: float
    sd: float

    @classmethod
    def of(cls, steps: Sequence[Seen], feature: str, what: str) -> Self:
        """Learn it.

        Raises: CallerError, if the steps are too few, or all have the same value.
        """
        values = column(steps, feature, STEPS_MIN, what)
        # Around the first value: a mean of huge numbers with small differences would lose them.
        first = values[0]
        mean = fsum(value - first for value in values) / len(values)
        spread = fsum((value - first - mean) * (value - first - mean) for value in values) / (len(values) - 1)
        if not 0 < sqrt(spread) < inf:
            raise CallerError(
                f"{what}: {feature} is {first:g} on each of {len(values)} steps, or varies beyond measure, so nothing"
                f" can be said of how it varies. It was not trained. Bounds({feature!r}, low, high) needs no deviation."
            )
        return cls(first + mean, sqrt(spread))

    def deviations(self, value: float) -> float:
        """Return how many standard deviations a value is above the mean."""
        return min(max((value - self.mean) / self.sd, -DEVIATIONS_MAX), DEVIATIONS_MAX)


def given(mean: float | None, sd: float | None, what: str) -> Normal:
    """Return what a chart was given, or has learnt.

    Raises: CallerError, if it has neither.
    """
    if mean is None or sd is None:
        raise CallerError(
            f"{what} does not know what is normal. Nothing was watched."
            f" Give it mean= and sd=, or steps of a normal run: {what.split('(')[0].capitalize()}(...).train(steps)"
        )
    return Normal(mean, sd)


def settle_normal(detector: Any) -> None:
    """Check what detectors of one feature have in common: its name, `mean` and `sd`.

    Raises: ConfigInvalid.
    """
    settle(detector, feature=text("feature", detector.feature))
    if detector.mean is not None:
        settle(detector, mean=number("mean", detector.mean))
    if detector.sd is not None:
        settle(detector, sd=positive("sd", detector.sd))
