"""What repetitions come to: medians with their ranges, ratios within one run, bytes a step."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The median of some repetitions, and their range."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise; at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 0) -> str:
        """Return median and range for people."""
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f} to {self.most:,.{digits}f})"


def ratios(ours: Sequence[float], others: Mapping[str, Sequence[float]]) -> tuple[str, Spread]:
    """Compare with the best of others, repetition by repetition: what disturbed one has disturbed its neighbour too.

    Args:
        ours: a value a repetition; more is better.
        others: the same by system, as many of each.

    Returns: the system with the highest median, and our values as multiples of its own.
    """
    best = max(others, key=lambda name: statistics.median(others[name]))
    return best, Spread.of([own / other for own, other in zip(ours, others[best], strict=True)])


def per_step(found: Mapping[str, int]) -> float:
    """Return the bytes a step of a measured folder."""
    return found["bytes"] / max(1, found["steps"])


def growth(sizes: Mapping[str, Mapping[str, int]]) -> float:
    """Return how many times the bytes a step at the last mark are those at the first: 1 is flat in the history."""
    ordered = sorted(sizes.values(), key=lambda found: found["steps"])
    return per_step(ordered[-1]) / per_step(ordered[0])


def is_capped(found: Mapping[str, float], wanted: float) -> bool:
    """Tell whether time was over before all was done."""
    return found["steps"] < wanted
