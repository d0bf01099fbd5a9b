"""Rule ST-12: inputs that somebody outside calls off."""

import pytest

from protocol.action import INPUT_HANDLED, INPUT_UNKNOWN, Reply
from protocol.event import CallOffAsked, LetterAsked, StepRan
from protocol.message import Data
from protocol.step import StepDraft
from tests.rules.bench import Bench, make_draft, of

ONE, TWO = "ext:test#1", "ext:test#2"
WHY = "called off by ann: ordered twice"


def calls_off(bench: Bench, name: str, agent: str = "a", number: int = 7) -> None:
    bench.feed(agent, CallOffAsked(number, name, "ordered twice", "ann"))


def replies(bench: Bench) -> list[Reply]:
    return [reply for reply in bench.replies if reply.request]


def letters(bench: Bench, agent: str = "a") -> list[tuple[str, str]]:
    return [(letter.input.lineage, letter.why) for letter in bench.machines[agent].core.dead]


def test_st12_an_input_that_waits_is_a_dead_letter_and_can_be_redriven() -> None:
    bench = Bench("a")
    bench.submit("a", b"x", b"y")
    calls_off(bench, TWO)
    assert (replies(bench), letters(bench), bench.cut) == ([Reply(7, WHY)], [(TWO, WHY)], [])
    bench.ran("a")
    assert "a" not in bench.runs
    bench.feed("a", LetterAsked(0, TWO, "redrive"))
    assert bench.runs["a"].input.payload == b"y"


def test_st12_one_that_runs_is_cut_off_and_the_next_begins_once_its_handler_has_ended() -> None:
    bench = Bench("a", "b")
    bench.submit("a", b"x", b"y")
    run = bench.runs.pop("a")
    calls_off(bench, ONE)
    assert [(order.run, order.why) for order in bench.cut] == [(run.run, WHY)]
    assert letters(bench) == [(ONE, WHY)]
    assert "a" not in bench.runs
    assert not bench.machines["a"].is_idle()
    # It swallows that, and comes to an end as if nothing were.
    bench.feed("a", StepRan(run.run, make_draft(writes={"k": b"1"}, sends=(("b", b"hello"),))))
    assert bench.runs["a"].input.payload == b"y"
    bench.ran("a")
    assert bench.value("a", "k") is None
    assert not any(of(Data)(mail) for mail in bench.mail)
    assert bench.machines["a"].is_idle()


def test_st12_what_it_has_done_is_undone_also_the_call_that_is_under_way() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    first = bench.call("a", b"1")
    assert first is not None
    bench.used("a", first)
    second = bench.call("a", b"2")
    assert second is not None
    calls_off(bench, ONE)
    bench.feed("a", StepRan(bench.runs.pop("a").run, StepDraft(error="cancelled")))
    undo = bench.tools[-1][1]
    assert (undo.verb, undo.intent) == ("undo", first.intent)
    bench.used("a", undo)
    assert bench.tools[-1][1] is undo
    bench.used("a", second)
    assert (bench.tools[-1][1].verb, bench.tools[-1][1].intent) == ("undo", second.intent)
    bench.used("a", bench.tools[-1][1])
    assert bench.machines["a"].is_idle()


def test_st12_a_call_that_the_cut_handler_still_asks_for_is_not_made() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    calls_off(bench, ONE)
    assert bench.call("a", b"1") is None


def test_st12_what_has_become_a_step_is_refused_with_the_step() -> None:
    bench = Bench("a")
    step = bench.step("a")
    calls_off(bench, ONE)
    (reply,) = replies(bench)
    assert (reply.kind, str(step) in reply.error, letters(bench)) == (INPUT_HANDLED, True, [])


def test_st12_nothing_is_said_before_it_is_durable() -> None:
    bench = Bench("a")
    bench.submit("a", b"x", b"y")
    bench.slow.add("a")
    calls_off(bench, TWO)
    bench.ran("a")
    calls_off(bench, ONE, number=8)
    assert replies(bench) == []
    bench.crash("a")
    assert bench.runs["a"].input.lineage == ONE
    assert letters(bench) == []
    calls_off(bench, TWO)
    bench.sync("a")
    assert replies(bench) == [Reply(7, WHY)]
    bench.crash("a")
    assert letters(bench) == [(TWO, WHY)]


def test_st12_asked_again_nothing_more_happens() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    for _ in range(3):
        calls_off(bench, ONE)
    bench.feed("a", StepRan(bench.runs.pop("a").run, StepDraft(error="cancelled")))
    bench.crash("a")
    calls_off(bench, ONE)
    assert replies(bench) == [Reply(7, WHY)] * 4
    assert letters(bench) == [(ONE, WHY)]
    assert "a" not in bench.runs


def test_st12_what_is_a_dead_letter_for_another_reason_is_left_as_it_is() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    bench.feed("a", StepRan(bench.runs.pop("a").run, StepDraft(error="boom", poison=True)))
    calls_off(bench, ONE)
    assert (replies(bench), letters(bench)) == ([Reply(7, "boom")], [(ONE, "boom")])


def test_st12_an_input_that_nobody_knows_is_refused() -> None:
    bench = Bench("a")
    calls_off(bench, "ext:test#9")
    (reply,) = replies(bench)
    assert (reply.kind, "ext:test#9" in reply.error) == (INPUT_UNKNOWN, True)


@pytest.mark.parametrize("is_crashed", [False, True])
def test_st12_a_message_is_called_off_by_who_sent_it_and_its_sender_need_not_send_it_again(is_crashed: bool) -> None:
    bench = Bench("a", "b")
    bench.submit("b", b"busy")
    step = bench.step("a", sends=(("b", b"hello"),))
    bench.deliver(of(Data))
    calls_off(bench, f"{step}#0", "b")
    assert [why for _, why in letters(bench, "b")] == [WHY]
    if is_crashed:
        bench.crash("b")
    bench.ran("b")
    bench.elapse()
    bench.deliver()
    assert "b" not in bench.runs
    assert bench.machines["a"].is_idle()
    calls_off(bench, f"{step}#0", "b")
    assert [reply.value for reply in replies(bench)] == [WHY, WHY]
    # As any other dead letter it hangs on its sender.
    bench.propose("a", step)
    bench.deliver()
    assert bench.undone(step)
    bench.elapse()
    bench.deliver()
    assert all(bench.machines[name].is_idle() for name in "ab")


def test_st12_one_that_a_rollback_gave_back_is_called_off_and_what_its_first_run_sent_is_void() -> None:
    bench = Bench("a", "b")
    step = bench.step("a", sends=(("b", b"hello"),))
    bench.deliver()
    bench.ran("b")
    bench.propose("a", step, inputs="retry")
    bench.deliver()
    run = bench.runs.pop("a")
    assert run.input.attempt == 2
    calls_off(bench, ONE)
    bench.feed("a", StepRan(run.run, StepDraft(error="cancelled")))
    for _ in range(3):
        bench.elapse()
        bench.deliver()
    assert letters(bench) == [(ONE, WHY)]
    assert all(bench.machines[name].is_idle() for name in "ab")
