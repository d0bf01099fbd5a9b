"""Sets of whole numbers kept as sorted, disjoint intervals, whose last may be open: `[5, inf)`."""

from bisect import bisect_right

OPEN = 1 << 62
"""The end of an open interval: larger than any sequence number."""


class IntervalSet:
    """A growing set of whole numbers; memory follows the number of gaps, not of members."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, intervals: tuple[tuple[int, int], ...] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in intervals:
            self.add(start, end)

    def add(self, start: int, end: int | None = None) -> bool:
        """Add `start` to `end`, both included (`end` is `start` if left out).

        Returns: True if the set grew.
        """
        end = start if end is None else end
        starts, ends = self._starts, self._ends
        # The common case: one past the end, or inside the last interval.
        if ends and starts[-1] <= start:
            if end <= ends[-1]:
                return False
            if start <= ends[-1] + 1:
                ends[-1] = end
                return True
        low = bisect_right(ends, start - 2) if ends else 0
        while low < len(ends) and ends[low] < start - 1:
            low += 1
        high = low
        while high < len(starts) and starts[high] <= end + 1:
            high += 1
        if low < high:
            if starts[low] <= start and end <= ends[low]:
                return False
            start, end = min(start, starts[low]), max(end, ends[high - 1])
        starts[low:high] = [start]
        ends[low:high] = [end]
        return True

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number <= self._ends[at]

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntervalSet) and self.intervals() == other.intervals()

    def __repr__(self) -> str:
        return f"IntervalSet({self.intervals()})"

    def intervals(self) -> tuple[tuple[int, int], ...]:
        """Return the intervals in order, ends included; an open end is `OPEN`."""
        return tuple(zip(self._starts, self._ends, strict=True))
