"""Means over few runs, and how far the true mean may be from them.

95 % confidence intervals by Student's t: with a handful of seeds a bootstrap would be too narrow.
"""

from collections.abc import Sequence
from math import sqrt
from statistics import mean, stdev
from typing import NamedTuple

T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""The 97.5 % points of Student's t for 1, 2, ... degrees of freedom. Source: any table of it."""
NORMAL95 = 1.96
"""With more."""


class Interval(NamedTuple):
    """A mean, and half of the width of its interval."""

    mean: float
    half: float | None
    """None: one value has no spread."""
    runs: int


def interval(values: Sequence[float]) -> Interval:
    """Return the mean of some values, at least one, and its interval."""
    count = len(values)
    if count < 2:
        return Interval(mean(values), None, count)
    t = T95[count - 2] if count - 2 < len(T95) else NORMAL95
    return Interval(mean(values), t * stdev(values) / sqrt(count), count)


def paired(values: Sequence[float], others: Sequence[float]) -> Interval:
    """Return by how much values are above others, which have the same seeds in the same order."""
    return interval([value - other for value, other in zip(values, others, strict=True)])
