"""Batches for whoever watches a host: none is lost on the way, none is given twice, and no more is kept than that."""

from collections.abc import Callable
from typing import Any

import pytest

from peer.errors import CallerError
from peer.host import watchers
from peer.host.happenings import KINDS, Noticed, WatchAnswer, WatchAsk
from peer.host.questions import decode, encode
from peer.host.residents import Residents
from peer.host.watchers import FORGOTTEN_US, GATHER_US, Watchers
from peer.ports import Unobserved
from protocol.action import Tell


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.us = 1_000_000
        self._due: list[tuple[int, Callable[[], None]]] = []

    def now_us(self) -> int:
        return self.us

    def wake(self, at_us: int, call: Callable[[], None]) -> Callable[[], None]:
        entry = (at_us, call)
        self._due.append(entry)
        return lambda: self._due.remove(entry) if entry in self._due else None

    def move(self, us: int) -> None:
        self.us += us
        for entry in [entry for entry in self._due if entry[0] <= self.us]:
            self._due.remove(entry)
            entry[1]()


class Bench:
    def __init__(self) -> None:
        self.time = Time()
        self.host = Watchers(Unobserved(), Residents(), self.time)
        self.given: list[WatchAnswer] = []
        self.errors: list[tuple[str, str]] = []

    def ask(self, watch: str = "w", life: str = "", after: int = 0, what: str = "watch") -> None:
        def answered(body: bytes, error: str) -> None:
            if error:
                self.errors.append((error, body.decode()))
            else:
                self.given.append(decode(body, WatchAnswer))

        self.host.asked(what, encode(WatchAsk(watch, KINDS, (), life, after)), answered)

    def notice(self, text: str) -> None:
        self.host.noticed("a", Tell(text, "", ""))

    def texts(self) -> list[Any]:
        return [each.notice for answer in self.given for each in answer.happenings if isinstance(each, Noticed)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def begun(bench: Bench) -> str:
    bench.ask()
    life = bench.given.pop().life
    bench.ask(life=life)
    assert bench.given == []
    return life


def test_what_comes_together_is_one_batch_and_asked_again_the_same(bench: Bench) -> None:
    life = begun(bench)
    bench.notice("one")
    bench.notice("two")
    assert bench.given == []
    bench.time.move(GATHER_US)
    (first,) = bench.given
    assert (first.number, bench.texts()) == (1, ["one", "two"])
    bench.notice("three")
    bench.ask(life=life)  # the batch was lost on its way
    assert bench.given == [first, first]
    bench.ask(life=life, after=1)
    assert [answer.number for answer in bench.given] == [1, 1, 2]
    assert bench.texts()[-1] == "three"


def test_a_first_question_that_comes_late_or_twice_changes_nothing(bench: Bench) -> None:
    life = begun(bench)
    bench.notice("one")
    bench.ask()
    assert [(answer.life, answer.number) for answer in bench.given] == [(life, 0)]
    bench.time.move(GATHER_US)
    assert bench.texts() == ["one"]
    bench.given.clear()
    bench.ask()
    assert bench.given == []
    bench.notice("two")
    bench.ask(life=life, after=1)
    assert bench.texts() == ["two"]


def test_what_is_too_much_is_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "KEPT_MAX", 3)
    monkeypatch.setattr(watchers, "BATCH_MAX", 2)
    life = begun(bench)
    for number in range(5):
        bench.notice(str(number))
    bench.time.move(GATHER_US)
    bench.ask(life=life, after=1)
    assert [(answer.missed, len(answer.happenings)) for answer in bench.given] == [(2, 2), (0, 1)]
    assert bench.texts() == ["2", "3", "4"]


def test_who_does_not_ask_any_more_is_forgotten_and_told_so_when_it_comes_back(bench: Bench) -> None:
    life = begun(bench)
    bench.time.move(FORGOTTEN_US + 1)
    bench.notice("nobody hears it")
    bench.ask(life=life)
    (answer,) = bench.given
    assert (answer.life != life, answer.number, answer.happenings) == (True, 0, ())


def test_there_are_so_many_at_once_and_one_that_ends_makes_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "WATCHES_MAX", 1)
    begun(bench)
    bench.ask("other")
    assert bench.errors[0][0] == CallerError.__name__
    bench.host.asked("unwatch", encode("w"), lambda body, error: None)
    bench.ask("other")
    assert len(bench.given) == 1
    bench.ask(what="state")
    assert "no host can answer 'state'" in bench.errors[1][1]
