"""One question to many agents: one a host, again where there was no answer, and elsewhere if they have moved."""

import asyncio
from collections.abc import Mapping

import pytest

from peer import errors
from peer.host import questions, rounds
from peer.host.patience import FIRST_S, MOST_S, Patience
from peer.host.rounds import ask_each
from peer.host.together import EACH, Each, Said


class _Hosts:
    """Hosts that answer as they are told to."""

    def __init__(self, lives: dict[str, str], silent: tuple[str, ...] = (), coming: tuple[str, ...] = ()) -> None:
        self.lives: Mapping[str, str] = lives
        self.here = "asker"
        self.silent = silent
        self.coming = dict.fromkeys(coming)
        self.asked: list[tuple[str, int]] = []

    def is_here(self, agent: str) -> bool:
        return False

    async def ask_host(self, host: str, what: str, body: bytes, *, timeout_s: float) -> bytes:
        assert what == EACH
        asked = questions.decode(body, Each)
        self.asked.append((host, len(asked.agents)))
        await asyncio.sleep(0)
        if host in self.silent:
            self.lives = dict.fromkeys(self.lives, "heir")
            raise errors.AskTimeout("down")
        said = [
            Said(agent, b"why", "AgentBroken") if agent == "broken" else Said(agent, f"{agent}@{host}".encode())
            for agent in asked.agents
            if agent not in self.coming
        ]
        self.coming.clear()
        return questions.encode(said)

    def unheard_s(self, agent: str, timeout_s: float) -> float:
        return 0.0

    def unknown(self, agent: str, waited_s: float) -> errors.AgentUnknown:
        return errors.AgentUnknown(agent)

    def meeting(self, agent: str) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()


def _ask(hosts: _Hosts, agents: list[str], timeout_s: float = 5.0) -> dict[str, bytes | errors.EbbtideError]:
    return asyncio.run(ask_each(hosts, agents, "status", b"", timeout_s))


def test_a_thousand_agents_of_three_hosts_are_three_questions() -> None:
    agents = [f"a{number}" for number in range(1000)]
    hosts = _Hosts({agent: f"h{number % 3}" for number, agent in enumerate(agents)})
    found = _ask(hosts, agents)
    assert hosts.asked == [("h0", 334), ("h1", 333), ("h2", 333)]
    assert list(found) == agents
    assert found["a4"] == b"a4@h1"


def test_agents_that_come_up_are_asked_again_and_nobody_else() -> None:
    hosts = _Hosts({"a": "h", "b": "h", "c": "h"}, coming=("b",))
    assert _ask(hosts, ["a", "b", "c"]) == {"a": b"a@h", "b": b"b@h", "c": b"c@h"}
    assert hosts.asked == [("h", 3), ("h", 1)]


def test_agents_whose_host_is_silent_are_asked_where_they_live_by_then() -> None:
    hosts = _Hosts({"a": "dead", "b": "dead"}, silent=("dead",))
    assert _ask(hosts, ["a", "b"]) == {"a": b"a@heir", "b": b"b@heir"}
    assert hosts.asked == [("dead", 2), ("heir", 2)]


def test_one_that_is_broken_and_one_that_nobody_knows_hold_up_nobody() -> None:
    found = _ask(_Hosts({"a": "h", "broken": "h"}), ["a", "broken", "nobody"])
    assert found["a"] == b"a@h"
    assert isinstance(found["broken"], errors.AgentBroken)
    assert isinstance(found["nobody"], errors.AgentUnknown)


def test_who_does_not_answer_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "PAUSE_S", 0.001)
    hosts = _Hosts({"a": "h"}, coming=("a",))
    hosts.coming = _Always()
    found = _ask(hosts, ["a"], timeout_s=0.05)
    assert isinstance(found["a"], errors.AskTimeout)


class _Always(dict[str, None]):
    def __contains__(self, key: object) -> bool:
        return True


def test_a_host_is_given_as_long_as_its_answers_take() -> None:
    patience = Patience()
    waits = patience.waits("h")
    assert [next(waits) for _ in range(4)] == [FIRST_S, 2 * FIRST_S, MOST_S, MOST_S]
    for _ in range(20):
        patience.took("h", 3.0)
    first = next(patience.waits("h"))
    assert 3.0 < first < 3.5
    assert next(patience.waits("other")) == FIRST_S
    patience.was_late("h", 8.0)
    assert next(patience.waits("h")) >= 8.0, "it would be asked again before it can answer"
    for _ in range(60):
        patience.took("h", 0.001)
    assert next(patience.waits("h")) == FIRST_S
