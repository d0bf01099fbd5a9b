"""Rule ST-14: a paused agent begins nothing, and everything else of it goes on."""

from protocol.event import PauseAsked, StepRan
from protocol.step import StepDraft
from protocol.words import PausedRecord
from tests.rules.bench import Bench


def test_st14_what_is_at_work_ends_and_nothing_else_begins_over_crashes() -> None:
    bench = Bench("a")
    bench.submit("a", b"one")
    order = bench.runs.pop("a")
    bench.feed("a", PauseAsked(1, True, "look", "ann"))
    assert bench.replies[-1].value == "paused by ann: look"
    bench.submit("a", b"two")
    bench.feed("a", StepRan(order.run, StepDraft()))
    bench.crash("a")
    assert "a" not in bench.runs
    assert bench.machines["a"].is_idle()
    bench.feed("a", PauseAsked(2, False, "", "bob"))
    assert bench.runs["a"].input.payload == b"two"


def test_st14_a_paused_agent_is_undone_as_any() -> None:
    bench = Bench("a", "z")
    step = bench.step("a", sends=())
    bench.feed("a", PauseAsked(1, True, "look", "ann"))
    bench.propose("z", step)
    bench.deliver()
    assert bench.undone(step)
    assert "a" not in bench.runs


def test_st14_resuming_who_is_not_paused_writes_nothing() -> None:
    bench = Bench("a")
    bench.feed("a", PauseAsked(1, False, "", "ann"))
    assert (bench.replies[-1].value, bench.replies[-1].error) == ("", "")
    assert not any(isinstance(record, PausedRecord) for record in bench.disks["a"])
