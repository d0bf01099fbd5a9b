"""Rules RQ-5 and RB-14: what a doubted agent requests is held, and a proposer hears how a rollback has ended."""

from protocol.event import HoldAsked
from protocol.records import BaseRecord
from protocol.step import RollbackDraft
from protocol.words import HeldRecord
from tests.rules.bench import Bench
from tests.rules.test_requests import called, requested, settle


def test_rq5_a_held_agents_request_goes_when_nobody_holds_it_any_more_over_crashes() -> None:
    bench = Bench("a")
    bench.feed("a", HoldAsked(1, "guard/1", True, "too much"))
    bench.feed("a", HoldAsked(2, "guard/2", True, "odd"))
    requested(bench, "irreversible")
    bench.crash("a")
    settle(bench)
    assert called(bench) == []
    bench.feed("a", HoldAsked(3, "guard/1", False, ""))
    assert bench.replies[-1].value == "held"
    assert called(bench) == []
    bench.feed("a", HoldAsked(4, "guard/2", False, ""))
    assert (bench.replies[-1].value, called(bench)) == ("", ["call"])


def test_rq5_a_held_agent_works_on() -> None:
    bench = Bench("a")
    bench.feed("a", HoldAsked(1, "guard", True, ""))
    step = bench.step("a")
    assert not bench.undone(step)
    assert bench.machines["a"].is_idle()


def test_rq5_said_again_it_writes_nothing_and_a_base_keeps_it() -> None:
    bench = Bench("a")
    for number in (1, 2):
        bench.feed("a", HoldAsked(number, "guard", True, "odd"))
    assert sum(isinstance(record, HeldRecord) for record in bench.disks["a"]) == 1
    base = bench.machines["a"].core.told()
    assert base["held"] == (("guard", "odd"),)
    assert BaseRecord.__struct_fields__.count("held") == 1


def test_rb14_an_outcome_says_who_is_to_hear_it_over_crashes_though_the_proposing_step_is_undone() -> None:
    bench = Bench("a", "b")
    step = bench.step("a", sends=(("b", b"wrong"),))
    bench.deliver(lambda mail: mail[1] == "b")
    draft = RollbackDraft((step,), "discard", "test", b"evidence", then="decided")
    own = bench.ran("b", rollbacks=(draft,))
    bench.crash("b")
    bench.deliver()
    bench.elapse()
    bench.deliver()
    assert bench.undone(step)
    assert bench.undone(own)
    (outcome,) = bench.machines["b"].proposer.outcomes.values()
    assert (outcome.then, outcome.roots, outcome.evidence) == ("decided", (step,), b"evidence")
    bench.crash("b")
    assert bench.machines["b"].proposer.outcomes[outcome.proposal] == outcome


def test_rb14_nobody_is_told_who_has_not_asked_to_be() -> None:
    bench = Bench("a")
    step = bench.step("a")
    bench.propose("a", step)
    bench.deliver()
    (outcome,) = bench.machines["a"].proposer.outcomes.values()
    assert (outcome.then, outcome.roots, outcome.evidence) == ("", (), b"")
