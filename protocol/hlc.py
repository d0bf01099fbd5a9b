"""Hybrid logical time in one whole number of microseconds: never behind the wall, always after its causes.

Source: Kulkarni et al. 2014, with the logical part folded into the microseconds.
"""


class HybridTime:
    """The highest time that this peer has given or seen."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0

    def tick(self, now_us: int) -> int:
        """Return a time after everything seen, and not before `now_us`."""
        self.last = max(self.last + 1, now_us)
        return self.last

    def see(self, time_us: int) -> None:
        """Take in a time that somebody else gave."""
        self.last = max(self.last, time_us)
