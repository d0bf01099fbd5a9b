"""Stretches of time in which something was so, in microseconds: they may overlap, and count once."""

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """From a moment to a later one."""

    first_us: int
    last_us: int


def covered_us(spans: Iterable[Span], window: Span) -> int:
    """Return how much of a window some spans cover together."""
    total, at = 0, window.first_us
    for first, last in sorted(spans):
        first, last = max(first, at), min(last, window.last_us)
        if last > first:
            total += last - first
            at = last
    return total
