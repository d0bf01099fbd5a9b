"""Hands a host's numbers to Ray, again and again, as long as the host is up."""

import logging
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable

from peer.host.measures import Measured
from peer.observing.ray_metrics import EVERY_S, RayMetrics

logger = logging.getLogger("ebbtide")


class Reporting:
    """What reports for one host.

    Args:
        host: its name.
        measured: returns its numbers.
        loop: on which it is asked.
    """

    def __init__(self, host: str, measured: Callable[[], Measured], loop: AbstractEventLoop) -> None:
        from ray.util import metrics  # after `ray_import`, by whoever imports this

        self._metrics = RayMetrics(metrics, host, measured)
        self._loop = loop
        self._next: TimerHandle | None = loop.call_later(0, self._report)

    def _report(self) -> None:
        try:
            self._metrics.report()
        except Exception:
            # Numbers are for whoever looks on: the host goes on without them.
            logger.exception("the host's numbers can't be handed to Ray, and are not any more")
            self._next = None
            return
        self._next = self._loop.call_later(EVERY_S, self._report)

    def close(self) -> None:
        """Report no more."""
        if self._next is not None:
            self._next.cancel()
