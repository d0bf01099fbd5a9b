"""Rule EF-7: several calls of one step, each on its own way."""

from types import SimpleNamespace
from typing import cast

import pytest

from protocol.agent.intents import Effect, Intents
from protocol.event import Elapsed, StepRan
from protocol.records import BaseRecord
from protocol.step import StepDraft
from tests.rules.bench import Bench
from tests.rules.test_effects import verbs


def test_ef7_each_of_two_calls_at_once_has_its_own_intent_and_answer() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    one, two = bench.call("a", b"1", call=1), bench.call("a", b"2", call=2)
    assert one is not None
    assert two is not None
    assert one.intent != two.intent
    bench.used("a", two, result=b"two")
    bench.used("a", one, result=b"one")
    assert [(resume.call, resume.answer, resume.result) for _, resume in bench.resumed] == [
        (2, "done", b"two"),
        (1, "done", b"one"),
    ]
    bench.ran("a")
    assert {effect.claimed_by is not None for effect in bench.machines["a"].core.intents.all()} == {True}


def test_ef7_two_calls_at_once_with_equal_arguments_are_two_calls() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    one, two = bench.call("a", b"1", call=1), bench.call("a", b"1", call=2)
    assert one is not None
    assert two is not None
    assert one.intent != two.intent


def test_ef7_the_next_attempt_awaits_a_call_that_is_still_under_way_and_calls_nothing_again() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    order = bench.call("a", b"1", call=1)
    assert order is not None
    fail(bench)
    assert bench.call("a", b"1", call=1) is None  # neither asked for nor repeated
    bench.used("a", order, result=b"late")
    assert [(resume.call, resume.result) for _, resume in bench.resumed] == [(1, b"late")]
    bench.ran("a")
    assert [order.verb for _, order in bench.tools] == ["call"]


def test_ef7_a_call_under_way_that_the_next_attempt_wants_otherwise_is_undone_at_its_end_and_then_done_anew() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    order = bench.call("a", b"1", call=1)
    assert order is not None
    fail(bench)
    assert bench.call("a", b"2", call=1) is None
    assert verbs(bench) == [("call", b"1")]
    bench.used("a", order)
    assert verbs(bench)[1:] == [("undo", b"1")]
    bench.used("a", bench.tools[-1][1])
    assert verbs(bench)[2:] == [("call", b"2")]
    bench.used("a", bench.tools[-1][1], result=b"new")
    assert [resume.result for _, resume in bench.resumed] == [b"new"]


def test_ef7_a_call_that_nobody_awaits_any_more_belongs_to_its_step_and_is_undone_with_it() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    order = bench.call("a", b"1", call=1)
    assert order is not None
    step = bench.ran("a")  # it has not waited
    bench.propose("a", step, inputs="discard")
    bench.deliver()
    assert [order.verb for _, order in bench.tools] == ["call"]  # not undone while it is under way
    bench.used("a", order)
    assert verbs(bench) == [("call", b"1"), ("undo", b"1")]


def test_ef7_of_a_dead_letter_what_was_under_way_is_undone_once_it_has_ended() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    order = bench.call("a", b"1", call=1)
    assert order is not None
    run = bench.runs.pop("a")
    bench.feed("a", StepRan(run.run, StepDraft(error="no", poison=True)))
    assert verbs(bench) == [("call", b"1")]
    bench.used("a", order)
    assert verbs(bench) == [("call", b"1"), ("undo", b"1")]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_ef7_calls_are_undone_in_the_reverse_of_the_order_in_which_they_ended(
    order: tuple[int, int], restarts: bool
) -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    calls = {at: bench.call("a", str(at).encode(), call=at) for at in (1, 2)}
    for at in order:
        call = calls[at]
        assert call is not None
        bench.used("a", call)
    step = bench.ran("a")
    if restarts:
        bench.crash("a")
    bench.propose("a", step, inputs="discard")
    bench.deliver()
    undone = [int(use.args) for _, use in bench.tools if use.verb == "undo"]
    assert undone == list(reversed(order))


def test_ef7_the_order_of_ends_is_kept_when_what_is_before_a_base_is_forgotten() -> None:
    intents, again = Intents(), Intents()
    for number in range(3):
        intents.add(Effect(f"a/l/{number}", "l", "post", b"", None, number))
    for number in (2, 0, 1):
        intents.set_state(f"a/l/{number}", "done", b"r")
    again.load(cast("BaseRecord", SimpleNamespace(**intents.told())), 0)
    assert [effect.number for effect in again.doom("l")] == [2, 0, 1]
    assert [effect.number for effect in again.of("l")] == [0, 1, 2]


def fail(bench: Bench) -> None:
    """Let the running handler of `a` fail, and be tried again."""
    run = bench.runs.pop("a")
    bench.feed("a", StepRan(run.run, StepDraft(error="no")))
    bench.now_us += 60_000_000
    bench.feed("a", Elapsed())
    assert "a" in bench.runs
