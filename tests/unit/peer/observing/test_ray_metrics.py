"""What a host hands to Ray: gauges as they stand, counters by what has come since."""

from typing import Any, ClassVar

from peer.host.measures import COUNTER, SERIES
from peer.observing.ray_metrics import RayMetrics


class Metric:
    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        self.name, self.tag_keys = name, tag_keys
        self.got: list[tuple[float, dict[str, str]]] = []
        Library.made[name] = self

    def set(self, value: float, tags: dict[str, str]) -> None:
        assert set(tags) == set(self.tag_keys)
        self.got.append((value, tags))

    inc = set


class Library:
    made: ClassVar[dict[str, Metric]] = {}
    Counter = Gauge = Metric


def test_counters_are_handed_over_by_what_has_come_since_and_gauges_as_they_stand() -> None:
    numbers: dict[str, dict[str, float]] = {"steps_total": {"": 3}, "agents": {"up": 2, "broken": 0}}
    metrics: Any = RayMetrics(Library, "host-1", lambda: numbers)
    metrics.report()
    numbers["steps_total"] = {"": 5}
    numbers["agents"] = {"up": 1, "broken": 1}
    metrics.report()
    metrics.report()
    assert Library.made["ebbtide_steps"].got == [(3, {"host": "host-1"}), (2, {"host": "host-1"})]
    assert [value for value, tags in Library.made["ebbtide_agents"].got if tags["state"] == "up"] == [2, 1, 1]


def test_each_number_has_a_name_that_says_of_what_kind_it_is() -> None:
    assert len({each.name for each in SERIES}) == len(SERIES)
    for each in SERIES:
        assert each.name.endswith("_total") == (each.kind == COUNTER), each.name
        assert each.help.endswith("."), each.name
