"""A host's numbers, handed to Ray: its own Prometheus endpoint has them then, beside those of Ray.

Ray's counters can only be added to, so what has come since the last time is. Ray drops what is handed to it where its
metrics are not installed (`pip install "ray[default]"`).
"""

from collections.abc import Callable
from typing import Any

from peer.host.measures import COUNTER, SERIES, Measured
from peer.observing.prometheus import PREFIX

EVERY_S = 5.0
"""How often numbers are handed over: Ray passes them on as often, unless it is told else."""


class RayMetrics:
    """What one host hands to Ray.

    Args:
        metrics: `ray.util.metrics`.
        host: its name.
        measured: returns the numbers.
    """

    def __init__(self, metrics: Any, host: str, measured: Callable[[], Measured]) -> None:
        self._host = host
        self._measured = measured
        self._given: dict[tuple[str, str], float] = {}
        self._series = {
            each.name: (metrics.Counter if each.kind == COUNTER else metrics.Gauge)(
                PREFIX + each.name.removesuffix("_total"), each.help,
                tag_keys=("host", each.label) if each.label else ("host",),
            )
            for each in SERIES
        }  # fmt: skip

    def report(self) -> None:
        """Hand over how the numbers stand."""
        measured = self._measured()
        for each in SERIES:
            for value, number in measured.get(each.name, {}).items():
                tags = {"host": self._host} | ({each.label: value} if each.label else {})
                if each.kind != COUNTER:
                    self._series[each.name].set(float(number), tags=tags)
                    continue
                new = number - self._given.get((each.name, value), 0)
                if new > 0:
                    self._series[each.name].inc(float(new), tags=tags)
                    self._given[each.name, value] = number
