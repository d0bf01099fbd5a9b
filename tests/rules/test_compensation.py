"""Rule EF-8: an effect is countered though its step stands."""

import pytest

from protocol.agent.requesting import Requesting
from protocol.event import EffectAsked
from protocol.ids import StepId
from protocol.records import EffectRecord
from tests.rules.bench import Bench


def bought(kind: str = "compensable") -> tuple[Bench, str, StepId]:
    """Let `a` pay once, in a step; return the intent, and the step."""
    bench = Bench("a")
    bench.submit("a", b"x")
    order = bench.call("a", b"5")
    assert order is not None
    bench.machines["a"].core.intents[order.intent].kind = kind
    bench.used("a", order)
    return bench, order.intent, bench.ran("a")


def counter(bench: Bench, intent: str) -> str:
    """Have an effect countered; return the answer."""
    bench.feed("a", EffectAsked(7, intent, "counter", note="called off", by="ann"))
    return bench.replies[-1].value


def verbs(bench: Bench) -> list[str]:
    return [order.verb for _, order in bench.tools]


def test_ef8_an_effect_is_undone_once_and_its_step_stands() -> None:
    bench, intent, step = bought()
    assert counter(bench, intent) == "undoing"
    (record,) = [each for each in bench.disks["a"] if isinstance(each, EffectRecord) and each.state == "undoing"]
    assert (record.note, record.by) == ("called off", "ann")
    assert counter(bench, intent) == "undoing"
    bench.used("a", bench.tools[-1][1])
    assert counter(bench, intent) == "undone"
    assert verbs(bench) == ["call", "undo"]
    assert not bench.undone(step)
    bench.propose("a", step, inputs="discard")
    bench.deliver()
    assert bench.undone(step)
    assert verbs(bench) == ["call", "undo"], "what is countered is not undone again with its step"


@pytest.mark.parametrize("durable", [True, False])
def test_ef8_a_crash_in_between_goes_on_with_it_where_it_was_written_down(durable: bool) -> None:
    bench, intent, _ = bought()
    if not durable:
        bench.slow.add("a")
    bench.feed("a", EffectAsked(7, intent, "counter", note="called off", by="ann"))
    bench.slow.clear()
    bench.crash("a")
    bench.elapse()
    if not durable:
        assert (verbs(bench), bench.machines["a"].core.intents[intent].state) == (["call"], "done")
        return
    assert verbs(bench) == ["call", "undo", "check"], "the world is asked whether the undo took effect"
    bench.used("a", bench.tools[-1][1], "no")
    assert bench.machines["a"].core.intents[intent].state == "undone"


def test_ef8_without_it_a_crash_would_leave_the_effect_half_countered(monkeypatch: pytest.MonkeyPatch) -> None:
    def apply_effect(self: Requesting, record: EffectRecord) -> None:
        self._core.intents.set_state(record.intent, record.state, record.result)

    monkeypatch.setattr(Requesting, "apply_effect", apply_effect)
    with pytest.raises(AssertionError):
        test_ef8_a_crash_in_between_goes_on_with_it_where_it_was_written_down(True)


def test_ef8_an_undo_that_fails_is_tried_on_and_a_person_may_settle_it() -> None:
    bench, intent, _ = bought()
    counter(bench, intent)
    bench.used("a", bench.tools[-1][1], "failed", b"the bank is shut")
    assert counter(bench, intent) == "undoing"
    bench.elapse()
    assert verbs(bench) == ["call", "undo", "undo"]
    bench.feed("a", EffectAsked(8, intent, "settle", happened=True, note="it stays", by="ann"))
    assert counter(bench, intent) == "kept"


def test_ef8_what_can_t_be_undone_or_is_being_undone_is_left_as_it_is() -> None:
    bench, intent, _ = bought("irreversible")
    assert counter(bench, intent) == "done"
    assert counter(bench, "a/nothing/0") == "final"
    assert verbs(bench) == ["call"]


def test_ef8_a_new_run_of_the_input_does_anew_what_was_countered() -> None:
    bench, intent, step = bought()
    counter(bench, intent)
    bench.used("a", bench.tools[-1][1])
    bench.propose("a", step, inputs="retry")
    bench.deliver()
    assert bench.call("a", b"5") is not None
    assert verbs(bench) == ["call", "undo", "call"]
