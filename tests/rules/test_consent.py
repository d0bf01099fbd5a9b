"""Rule RB-12: an agent's word is of the part that it was asked about."""

import pytest

from protocol.agent.rollback import Rollback
from protocol.event import Consulted
from protocol.ids import StepId
from protocol.message import Propose
from protocol.proposal import Finding
from protocol.records import BaseRecord, VoteRecord
from tests.rules.bench import Bench, of

STALE = Finding("price", False, "it is 5 now", 7)
FRESH = Finding("price", True, "", 9)


def votes(bench: Bench, name: str) -> list[VoteRecord]:
    return [record for record in bench.disks[name] if isinstance(record, VoteRecord)]


def grown(bench: Bench) -> tuple[StepId, StepId]:
    """Have `b` asked about its second step, and its first one join its part while it thinks."""
    first = bench.step("a", sends=(("b", b"one"),))
    bench.deliver()
    one = bench.ran("b")
    second = bench.step("b", sends=())
    bench.propose("d", first, second)
    bench.asks_by_hand = True
    # Asked as an owner of a root, before it hears that a message of the other root has come to it.
    bench.deliver(lambda mail: mail[1] == "b" and of(Propose)(mail))
    assert bench.consults["b"].part == (second,)
    bench.asks_by_hand = False
    bench.deliver(lambda mail: mail[1] == "a")
    bench.deliver(lambda mail: mail[1] == "b")
    return one, second


def agree(bench: Bench, looked_back: bool, *findings: Finding, accepts: bool = True) -> None:
    order = bench.consults["b"]
    bench.asks_by_hand = True
    bench.feed("b", Consulted(order.proposal.id, accepts, "" if accepts else "stale", findings, looked_back))
    bench.asks_by_hand = False


def test_rb12_an_agent_that_was_shown_its_past_is_asked_again_if_its_part_reaches_further_back() -> None:
    bench = Bench("a", "b", "d")
    one, second = grown(bench)
    agree(bench, True, FRESH)
    assert votes(bench, "b") == []
    assert bench.consults["b"].part == (one, second)
    agree(bench, True, STALE, accepts=False)
    bench.deliver()
    (vote,) = votes(bench, "b")
    assert (vote.vote.accepts, vote.vote.why, vote.findings) == (False, "stale", (FRESH, STALE))
    assert not bench.undone(one)
    assert bench.finished[0].outcome.rejects == (("b", "stale"),)


def test_rb12_one_that_has_seen_nothing_of_its_past_or_rejects_is_not_asked_again() -> None:
    for looked_back, accepts in ((False, True), (True, False)):
        bench = Bench("a", "b", "d")
        one, _ = grown(bench)
        agree(bench, looked_back, accepts=accepts)
        assert [record.vote.accepts for record in votes(bench, "b")] == [accepts]
        bench.deliver()
        assert bench.undone(one) is accepts


def test_rb12_switched_off_an_agent_agrees_to_what_it_was_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Rollback.consulted

    def consulted(self: Rollback, event: Consulted) -> None:
        real(self, Consulted(event.proposal, event.accepts, event.why, event.findings))

    monkeypatch.setattr(Rollback, "consulted", consulted)
    with pytest.raises(AssertionError):
        test_rb12_an_agent_that_was_shown_its_past_is_asked_again_if_its_part_reaches_further_back()


def test_rb12_what_was_looked_at_outlasts_a_crash_and_stands_in_a_base_once() -> None:
    bench = Bench("a", "b", "d")
    step = bench.step("b")
    bench.propose("d", step)
    bench.asks_by_hand = True
    bench.deliver(of(Propose))
    bench.slow.add("d")
    agree(bench, True, FRESH)
    bench.crash("b")
    told = bench.machines["b"].rollback.told()["votes"]
    assert [record.findings for record in told] == [(FRESH,)]
    assert [record.findings for record in votes(bench, "b")] == [(FRESH,)]
    assert not [record for record in bench.disks["b"] if isinstance(record, BaseRecord)]


def test_rb13_who_has_to_ask_people_asks_again_if_its_part_has_grown_meanwhile() -> None:
    bench = Bench("a", "b", "d")
    one, second = grown(bench)
    order = bench.consults["b"]
    bench.asks_by_hand = True
    bench.feed("b", Consulted(order.proposal.id, True, "", (FRESH,), overseen=True))
    assert votes(bench, "b") == []
    assert bench.consults["b"].part == (one, second)
    bench.feed("b", Consulted(order.proposal.id, True, "", (FRESH,), overseen=True))
    bench.asks_by_hand = False
    bench.deliver()
    assert bench.undone(one)
    assert bench.undone(second)


def test_rb13_a_rejection_is_final_whatever_has_come_to_the_part() -> None:
    bench = Bench("a", "b", "d")
    one, _ = grown(bench)
    bench.feed("b", Consulted(bench.consults["b"].proposal.id, False, "rejected by eve", overseen=True))
    bench.deliver()
    assert not bench.undone(one)
    assert bench.finished[0].outcome.rejects == (("b", "rejected by eve"),)
