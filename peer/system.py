"""The operating system's side of two ports: time, and chance."""

import os
import secrets
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable

from peer.errors import ConfigInvalid
from peer.ports import Cancel

AHEAD = "EBBTIDE_CLOCK_AHEAD_S"
"""Names the environment's variable that says by how many seconds the clock is ahead: a night can be tried at once."""
AHEAD_S_MAX = 10 * 366 * 86_400


class SystemClock:
    """Wall time when it was made, plus monotonic time since: never goes back, whatever is done to the wall clock.

    It is ahead by what the environment says (`AHEAD`). Raises: ConfigInvalid, if that is no number of seconds.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._start_ns = time.time_ns() - time.monotonic_ns() + _ahead_ns()

    def now_us(self) -> int:
        """Return the time in microseconds since the Unix epoch."""
        return (self._start_ns + time.monotonic_ns()) // 1000

    def wake(self, at_us: int, call: Callable[[], None]) -> Cancel:
        """Call `call` once on the loop, never before `now_us()` has reached `at_us`, and never inside this call.

        Args:
            at_us: when; a time in the past means as soon as the loop is free.

        Returns: a function that cancels it; calling that late or twice does nothing.
        """
        timer: TimerHandle

        def ring() -> None:
            # The loop's timers may be early by its resolution; a machine fed early would only ask again.
            if self.now_us() < at_us:
                arm()
            else:
                call()

        def arm() -> None:
            nonlocal timer
            timer = self._loop.call_later(max(0, at_us - self.now_us()) / 1e6, ring)

        arm()
        return lambda: timer.cancel()


class SystemRandomness:
    """Chance from the operating system: implements `ports.Randomness`."""

    def seed(self) -> int:
        """Return 64 bits that nobody can foretell."""
        return secrets.randbits(64)


def _ahead_ns() -> int:
    text = os.environ.get(AHEAD, "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= AHEAD_S_MAX:
        raise ConfigInvalid(
            f"{AHEAD}={text!r}: it is seconds, from 0 to {AHEAD_S_MAX}. Nothing was started. Set it so, or unset it."
        )
    return int(seconds * 1e9)
