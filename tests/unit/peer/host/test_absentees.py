"""Hosts of the views of which nobody tells are taken for failed, and for back once somebody does."""

from collections.abc import Callable
from types import SimpleNamespace

from peer.host.absentees import Absentees
from protocol.fact import HostFact

PERIOD_US = 1_000


class House:
    """A host, its clock, and what it knows."""

    host_id = "me"

    def __init__(self) -> None:
        self.clock = self
        self.known: list[str] = []
        self.answers: list[str] = []
        self.woken: list[tuple[int, Callable[[], None]]] = []
        self.time_us = 0

    def now_us(self) -> int:
        return self.time_us

    def wake(self, at_us: int, call: Callable[[], None]) -> Callable[[], None]:
        self.woken.append((at_us, call))
        return self.woken.clear

    def known_hosts(self) -> list[HostFact]:
        return [HostFact(host, 1, "", ("a",), ()) for host in self.known]

    def living(self) -> list[str]:
        return self.answers

    def look(self) -> None:
        [(self.time_us, call)] = self.woken
        self.woken.clear()
        call()


def looking(*members: str) -> tuple[House, Absentees, list[tuple[str, str]]]:
    house, told = House(), list[tuple[str, str]]()
    succession = SimpleNamespace(members=lambda: dict.fromkeys(members))
    absentees = Absentees(house, succession, PERIOD_US, lambda host, how: told.append((host, how)))  # type: ignore[arg-type]
    absentees.open()
    return house, absentees, told


def test_cp8_who_is_in_the_views_and_not_known_for_a_while_has_failed() -> None:
    house, _, told = looking("me", "there", "out")
    house.known = house.answers = ["there"]
    house.look()
    assert told == [], "it may be on its way"
    house.look()
    house.look()
    assert told == [("out", "failed")]
    assert house.time_us == 3 * PERIOD_US


def test_cp8_who_becomes_known_and_answers_is_back() -> None:
    house, _, told = looking("me", "late", "dead")
    house.look()
    house.look()
    assert told == [("late", "failed"), ("dead", "failed")]
    house.known, house.answers = ["late", "dead"], ["late"]
    house.look()
    assert told[2:] == [("late", "recovered")], "of the dead one membership tells"
    house.known = []
    house.look()
    assert told[3:] == []
    house.look()
    assert told[3:] == [("late", "failed"), ("dead", "failed")]


def test_cp8_who_was_unknown_for_a_moment_has_not_failed() -> None:
    house, absentees, told = looking("me", "there")
    house.look()
    house.known = ["there"]
    house.look()
    house.known = []
    house.look()
    house.known = ["there"]
    house.look()
    assert told == []
    absentees.close()
    assert house.woken == []
