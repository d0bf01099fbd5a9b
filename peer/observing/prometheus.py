"""Hosts' numbers as Prometheus reads them: its text form, each number labelled by its host.

Source: the exposition format 0.0.4, as `prometheus_client` writes it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from peer.extras import needed
from peer.host.measures import COUNTER, SERIES, Measured

PREFIX = "ebbtide_"
ANSWERS = "host_answers"
"""Whether a host has said anything: else there is nothing else of it."""


class Exposition(NamedTuple):
    """What is sent to Prometheus."""

    content_type: str
    body: bytes


class _Hosts:
    """Yields what hosts have told, as a collector of Prometheus does."""

    def __init__(self, library: Any, found: Mapping[str, Measured | None]) -> None:
        self._library = library
        self._found = found

    def collect(self) -> Iterator[Any]:
        """Yield a family for each number."""
        answers = self._library.GaugeMetricFamily(
            PREFIX + ANSWERS, "1 if the host has said how it is; 0 if it does not answer.", labels=["host"]
        )
        for host, measured in self._found.items():
            answers.add_metric([host], float(measured is not None))
        yield answers
        for series in SERIES:
            kind = self._library.CounterMetricFamily if series.kind == COUNTER else self._library.GaugeMetricFamily
            labels = ["host", series.label] if series.label else ["host"]
            family = kind(PREFIX + series.name, series.help, labels=labels)
            for host, measured in self._found.items():
                for value, number in (measured or {}).get(series.name, {}).items():
                    family.add_metric([host, value] if series.label else [host], number)
            yield family


def exposition(found: Mapping[str, Measured | None]) -> Exposition:
    """Return numbers in Prometheus' text form.

    Args:
        found: by host's name what it has told; None where it does not answer.

    Raises: ConfigInvalid, where the library is missing.
    """
    library = needed("prometheus_client", "/metrics", "observe")
    core = needed("prometheus_client.core", "/metrics", "observe")
    registry = library.CollectorRegistry(auto_describe=False)
    registry.register(_Hosts(core, found))
    return Exposition("text/plain; version=0.0.4; charset=utf-8", library.generate_latest(registry))
