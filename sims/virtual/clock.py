"""A host's clock in virtual time: it may be wrong from the start (skew), and run fast or slow (drift)."""

from collections.abc import Callable

from peer.ports import Cancel
from sims.virtual.loop import VirtualLoop

EPOCH_US = 1_700_000_000_000_000
"""What a clock without skew shows at virtual time 0."""


class VirtualClock:
    """Implements `ports.Clock`; never goes back within a host's life.

    Args:
        skew_us: how far it is ahead (or behind) at virtual time 0.
        drift_ppm: how many microseconds a second it gains.
    """

    def __init__(self, loop: VirtualLoop, skew_us: int = 0, drift_ppm: int = 0) -> None:
        self._loop = loop
        self._skew_us = skew_us
        self._drift_ppm = drift_ppm

    def now_us(self) -> int:
        """Return what the clock shows, in microseconds since the Unix epoch."""
        virtual_us = self._loop.now_us
        return EPOCH_US + self._skew_us + virtual_us + virtual_us * self._drift_ppm // 1_000_000

    def wake(self, at_us: int, call: Callable[[], None]) -> Cancel:
        """Call back once the clock shows `at_us`, and never inside this call."""
        timer = self._loop.call_at_us(self._virtual(at_us), call)
        return timer.cancel

    def _virtual(self, at_us: int) -> int:
        """Return the first virtual time at which the clock shows `at_us`."""
        wanted = at_us - EPOCH_US - self._skew_us
        if not self._drift_ppm:
            return wanted
        # v + v*d//m >= wanted holds first at the ceiling of wanted*m/(m+d), as v + v*d/m is whole or floored.
        million = 1_000_000
        return -(-wanted * million // (million + self._drift_ppm))
