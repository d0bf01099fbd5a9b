"""Rules EF: effects in the world, each once."""

from itertools import pairwise

import pytest

from protocol.agent.intents import Effect, Intents
from protocol.event import Learned
from protocol.ids import StepId
from protocol.limits import Limits
from protocol.message import Data, Done, Void
from protocol.records import EffectRecord, IntentRecord
from tests.rules.bench import Bench, of
from tests.rules.test_loss import lose_last_step


def paid(bench: Bench, args: bytes = b"5") -> None:
    """Let the running handler of `a` call the tool, and have it done."""
    order = bench.call("a", args)
    assert order is not None
    assert order.verb == "call"
    bench.used("a", order)


def verbs(bench: Bench) -> list[tuple[str, bytes]]:
    """Return what was asked of tools."""
    return [(order.verb, order.args) for _, order in bench.tools]


def discarded_chain() -> Bench:
    """Let `a` pay and cause `b` to pay, and have `a`'s step discarded."""
    bench = Bench("a", "b")
    bench.submit("a", b"x")
    paid(bench, b"first")
    root = bench.ran("a", sends=(("b", b"m"),))
    bench.deliver()
    order = bench.call("b", b"second")
    assert order is not None
    bench.used("b", order)
    bench.ran("b")
    bench.deliver()
    bench.propose("a", root, inputs="discard")
    bench.deliver()
    return bench


def retried_message() -> Bench:
    """Let `b` cause `a` to pay, and have `b`'s step undone, to be tried again."""
    bench = Bench("b", "a")
    root = bench.step("b", sends=(("a", b"m"),))
    bench.deliver()
    paid(bench)
    bench.ran("a")
    bench.deliver()
    bench.propose("b", root, inputs="retry")
    bench.deliver()
    return bench


def test_ef1_the_intent_is_durable_before_the_call_and_the_result_before_the_handler_sees_it() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    bench.slow.add("a")
    assert bench.call("a", b"5") is None
    bench.sync("a")
    assert any(isinstance(record, IntentRecord) for record in bench.disks["a"])
    bench.used("a", bench.tools[-1][1])
    assert bench.resumed == []
    bench.sync("a")
    assert [resume.answer for _, resume in bench.resumed] == ["done"]


def test_ef2_a_rerun_that_calls_with_equal_arguments_claims_the_effect() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    paid(bench)
    step = bench.ran("a")
    bench.propose("a", step, inputs="retry")
    bench.deliver()
    assert bench.call("a", b"5") is None
    assert bench.resumed[-1][1].answer == "done"
    bench.ran("a")
    assert verbs(bench) == [("call", b"5")]


def test_ef2_with_other_arguments_the_old_effect_is_undone_first() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    paid(bench)
    step = bench.ran("a")
    bench.propose("a", step, inputs="retry")
    bench.deliver()
    undo = bench.call("a", b"6")
    assert undo is not None
    assert undo.verb == "undo"
    bench.used("a", undo)
    bench.used("a", bench.tools[-1][1])
    bench.ran("a")
    assert verbs(bench) == [("call", b"5"), ("undo", b"5"), ("call", b"6")]


def test_ef2_a_key_names_a_call_whatever_its_arguments() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    for args, key in ((b"1", "one"), (b"2", "two")):
        order = bench.call("a", args, key)
        assert order is not None
        bench.used("a", order)
    step = bench.ran("a")
    bench.propose("a", step, inputs="retry")
    bench.deliver()
    assert bench.call("a", b"2", "two") is None
    assert bench.call("a", b"1", "one") is None
    bench.ran("a")
    assert verbs(bench) == [("call", b"1"), ("call", b"2")]


@pytest.mark.parametrize(("answer", "then"), [("yes", "done"), ("no", "done"), ("unknown", "doubt")])
def test_ef3_after_a_crash_between_intent_and_result_the_world_is_asked(answer: str, then: str) -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    assert bench.call("a", b"5") is not None
    bench.crash("a")
    check = bench.call("a", b"5")
    assert check is not None
    assert check.verb == "check"
    bench.used("a", check, answer)
    if answer == "no":
        assert bench.tools[-1][1].verb == "call"
        bench.used("a", bench.tools[-1][1])
    assert bench.resumed[-1][1].answer == then
    assert [verb for verb, _ in verbs(bench)].count("call") == (2 if answer == "no" else 1)
    assert any(tell.notice == "in-doubt" for _, tell in bench.told) == (answer == "unknown")


def test_ef3_without_a_check_nothing_is_repeated_and_doubt_is_told() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    assert bench.call("a", b"5", checks=False) is not None
    bench.crash("a")
    assert bench.call("a", b"5", checks=False) is None
    assert bench.resumed[-1][1].answer == "doubt"
    assert any(tell.notice == "in-doubt" for _, tell in bench.told)


def test_ef4_what_the_rerun_does_not_claim_is_undone_and_an_undo_is_told_of_and_tried_on() -> None:
    bench = Bench("a", limits=Limits(undo_tries_max=2))
    bench.submit("a", b"x")
    paid(bench)
    step = bench.ran("a")
    bench.propose("a", step, inputs="retry")
    bench.deliver()
    bench.ran("a")
    assert verbs(bench)[-1] == ("undo", b"5")
    bench.used("a", bench.tools[-1][1], "failed")
    assert len(bench.tools) == 2
    bench.elapse()
    assert verbs(bench)[-1] == ("undo", b"5")
    assert len(bench.tools) == 3
    bench.used("a", bench.tools[-1][1], "failed")
    assert [tell.notice for _, tell in bench.told] == ["undo-failed"]
    assert [effect.state for effect in bench.machines["a"].core.intents.all()] == ["undoing"]
    waits = []
    for tries in range(3, 20):
        at_us = bench.now_us
        while len(bench.tools) == tries:
            bench.elapse()
        waits.append(bench.now_us - at_us)
        assert len(bench.tools) == tries + 1
        bench.used("a", bench.tools[-1][1], "failed")
    # At least half of twice as long, each time, up to three minutes; told once.
    assert all(later > 0.9 * earlier / 2 for earlier, later in pairwise(waits))
    assert 90_000_000 <= waits[-1] <= 180_000_000
    assert [tell.notice for _, tell in bench.told] == ["undo-failed"]
    bench.crash("a")
    bench.elapse()
    bench.used("a", bench.tools[-1][1], "no" if bench.tools[-1][1].verb == "check" else "done")
    assert [effect.state for effect in bench.machines["a"].core.intents.all()] == ["undone"]


def test_ef4_an_undo_that_an_earlier_release_gave_up_is_tried_again() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    paid(bench)
    step = bench.ran("a")
    bench.propose("a", step, inputs="discard")
    bench.deliver()
    (intent,) = [effect.intent for effect in bench.machines["a"].core.intents.all()]
    bench.disks["a"].append(EffectRecord(intent, "failed"))
    count = len(bench.tools)
    bench.crash("a")
    bench.elapse()
    assert len(bench.tools) > count
    assert bench.machines["a"].core.intents.doomed()


def test_ef4_an_effect_that_nobody_comes_back_for_is_undone_in_time() -> None:
    bench = Bench("b", "a", limits=Limits(effect_wait_us=1_000_000))
    root = bench.step("b", sends=(("a", b"m"),))
    bench.deliver()
    paid(bench)
    bench.ran("a")
    bench.deliver()
    bench.propose("b", root, inputs="retry")
    bench.deliver()
    assert verbs(bench) == [("call", b"5")]  # b may send it again
    bench.elapse(2_000_000)
    assert verbs(bench)[-1] == ("undo", b"5")


def test_ef5_an_output_that_the_rerun_does_not_send_is_void_and_what_hung_on_it_is_undone() -> None:
    bench = retried_message()
    bench.ran("b")  # sends nothing this time
    bench.deliver()
    assert verbs(bench)[-1] == ("undo", b"5")


def test_ef5_an_input_that_is_discarded_while_it_waits_to_run_again_ends_it_for_its_receivers_too() -> None:
    bench = Bench("b", "a")
    root = bench.step("b", sends=(("a", b"m"),))
    bench.deliver()
    paid(bench)
    bench.ran("a")
    bench.deliver()
    bench.submit("b", b"long")  # runs, so what is given back waits
    bench.propose("b", root, inputs="retry")
    bench.deliver()
    bench.propose("b", root, inputs="discard")
    bench.deliver()
    assert verbs(bench)[-1] == ("undo", b"5")


def test_ef5_voids_pass_at_once_along_a_chain_within_one_agent() -> None:
    bench = Bench("a")
    root = bench.step("a", sends=(("a", b"m"),))
    for _ in range(50):
        bench.deliver(of(Data))
        bench.ran("a", sends=(("a", b"m"),))
    bench.deliver(of(Data))
    bench.ran("a")
    bench.deliver()
    bench.propose("a", root, inputs="discard")
    bench.deliver(lambda mail: not isinstance(mail[2], Void))
    first = next(mail for mail in bench.mail if isinstance(mail[2], Void))
    bench.deliver(lambda mail: mail is first)
    # Not one with each: the first has ended all of them.
    assert sum(isinstance(mail[2], Void) for mail in bench.sent) == 51
    bench.deliver()
    assert bench.machines["a"].is_idle()


def test_ef5_an_output_that_the_rerun_sends_again_claims_its_effects_far_away() -> None:
    bench = Bench("b", "a")
    root = bench.step("b", sends=(("a", b"m"),))
    bench.deliver()
    paid(bench)
    bench.ran("a")
    bench.deliver()
    bench.propose("b", root, inputs="retry")
    bench.deliver()
    bench.ran("b", sends=(("a", b"m"),))
    bench.deliver(lambda mail: isinstance(mail[2], Data))
    assert bench.call("a", b"5") is None
    bench.ran("a")
    bench.deliver()
    assert verbs(bench) == [("call", b"5")]


def test_ef5_a_rerun_waits_here_until_the_old_run_is_undone() -> None:
    bench = Bench("b", "a", "c")
    root = bench.step("b", sends=(("a", b"m"), ("c", b"m")))
    bench.deliver()
    bench.ran("a")
    bench.ran("c")
    bench.deliver()
    bench.propose("b", root, inputs="retry")
    bench.deliver(lambda mail: mail[1] != "a" or (mail[0] == "b" and not isinstance(mail[2], Done)))
    # b and c have decided; a has not heard of it, nor c's vote. What b sends now stands for what a still holds.
    bench.ran("b", sends=(("a", b"m"), ("c", b"m")))
    bench.deliver(lambda mail: isinstance(mail[2], Data))
    assert "a" not in bench.runs
    bench.deliver()
    bench.elapse()
    bench.deliver()
    assert bench.runs["a"].input.payload == b"m"


def test_ef6_with_discard_effects_are_undone_after_those_that_hang_on_them() -> None:
    bench = discarded_chain()
    assert verbs(bench)[2:] == [("undo", b"second")]
    bench.used("b", bench.tools[-1][1])
    bench.deliver()
    assert verbs(bench)[2:] == [("undo", b"second"), ("undo", b"first")]


def test_ef6_past_a_bound_an_undo_goes_on_and_says_so() -> None:
    bench = discarded_chain()
    bench.elapse(bench.limits.order_wait_us + 1)
    assert verbs(bench)[-1] == ("undo", b"first")
    assert any(tell.notice == "undo-unordered" for _, tell in bench.told)


def test_ef3_the_answer_to_an_undos_check_is_no_answer_to_a_run() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    bench.call("a", b"1")
    bench.crash("a")
    step = bench.ran("a")
    check = bench.tools[-1][1]
    assert check.verb == "check", "the effect that was not claimed is to be undone"
    bench.propose("a", step, inputs="retry")
    bench.deliver()
    bench.slow.add("a")
    bench.used("a", check, "yes")
    bench.call("a", b"1")
    bench.resumed.clear()
    bench.sync("a")
    assert bench.resumed == [], "it waits until the undo is done"
    undo = bench.tools[-1][1]
    assert undo.verb == "undo"
    bench.used("a", undo)
    bench.sync("a")
    assert bench.tools[-1][1].verb == "call"


def test_ef5_a_run_that_was_called_off_and_then_lost_its_cause_is_over() -> None:
    bench = Bench("a", "b")
    root = bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    bench.ran("b")
    bench.deliver()
    bench.propose("a", root, inputs="retry")
    bench.deliver()
    bench.ran("a", sends=(("b", b"m"),))
    bench.deliver()
    order = bench.call("b", b"5")
    assert order is not None
    bench.used("b", order)
    bench.ran("b")
    bench.deliver()
    fact = lose_last_step(bench, "a")
    # `a` runs once more without what its first run had sent, and says so; only then `b` hears of the loss.
    bench.ran("a")
    bench.deliver()
    assert bench.machines["b"].effects.voided
    bench.feed("b", Learned(fact))
    bench.deliver()
    assert verbs(bench) == [("call", b"5"), ("undo", b"5")]
    assert not bench.machines["b"].effects.voided


@pytest.mark.parametrize(
    ("found", "then"),
    [("no", [("call", b"6")]), ("yes", [("undo", b"5"), ("call", b"6")]), ("unknown", [])],
)
def test_ef4_what_a_crash_cut_short_is_not_taken_for_a_call_with_other_arguments(
    found: str, then: list[tuple[str, bytes]]
) -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    bench.call("a", b"5")
    bench.crash("a")
    bench.tools.clear()
    check = bench.call("a", b"6")
    assert check is not None
    bench.used("a", check, found)
    if found == "yes":
        bench.used("a", bench.tools[-1][1])
    assert verbs(bench) == [("check", b"5"), *then]
    if then:
        bench.used("a", bench.tools[-1][1])
    assert [resume.answer for _, resume in bench.resumed] == ["done" if then else "doubt"]


def test_cp6_the_journal_of_a_run_that_has_not_returned_is_kept() -> None:
    # Its lineage ended before the horizon, when its input was discarded; then a restore brought that again.
    intents = Intents()
    effect = Effect("a/x/1", "x", "post", b"", None, 1, state="done")
    intents.add(effect)
    assert not intents.forget("x")
    effect.claimed_by = StepId("a", 1, 4)
    assert intents.forget("x")
    assert intents.all() == []
