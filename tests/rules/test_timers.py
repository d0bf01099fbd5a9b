"""Rules TI-1 and TI-2: what an agent tells itself for later."""

from protocol.event import CutWanted, Elapsed, RestoreDecided, Settled
from protocol.ids import MessageId, StepId
from protocol.message import Ballot, Data, Propose
from protocol.proposal import Restore
from protocol.records import BaseRecord, StepRecord
from protocol.wire import decode_record, encode_record
from tests.rules.bench import Bench, of

S = 1_000_000


def running(bench: Bench, name: str = "a") -> bytes | None:
    """Return the input of the running handler, or None."""
    return bench.runs[name].input.payload if name in bench.runs else None


def sets(bench: Bench, *timers: tuple[bytes, int, str | None], cancels: tuple[str, ...] = ()) -> StepId:
    """Let an agent take a step that sets and cancels timers."""
    return bench.step("a", timers=timers, cancels=cancels)


def undo(bench: Bench, step: StepId, inputs: str = "discard") -> None:
    """Undo a step and what followed from it."""
    bench.propose("a", step, inputs=inputs)
    bench.deliver()
    assert bench.undone(step)


# -- TI-1 ---------------------------------------------------------------------------------------------------------


def test_ti1_a_timer_comes_when_its_time_has_passed_and_not_before_and_once() -> None:
    bench = Bench("a")
    step = sets(bench, (b"later", 3 * S, None))
    assert bench.machines["a"].is_idle()
    assert bench.machines["a"].deadline_us == bench.now_us + 3 * S
    bench.elapse(3 * S - 1)
    assert running(bench) is None
    bench.elapse(1)
    assert running(bench) == b"later"
    assert bench.runs["a"].input.message == MessageId(step, 0)
    bench.ran("a")
    bench.elapse()
    assert running(bench) is None
    assert bench.machines["a"].deadline_us is None
    assert not bench.sent, "a timer leaves nothing on the wire, its acknowledgment neither"


def test_ti1_status_names_how_many_are_set_and_when_the_next_is_due() -> None:
    bench = Bench("a")
    now_us = bench.now_us
    sets(bench, (b"1", 9 * S, None), (b"2", 4 * S, "k"))
    status = bench.machines["a"].looking.status()
    assert (status.timers, status.next_timer_us, status.under_way) == (2, now_us + 4 * S, ())


def test_ti1_timers_delay_no_other_message_to_the_agent_itself() -> None:
    bench = Bench("a")
    bench.step("a", sends=(("a", b"first"),), timers=((b"timer", S, None),))
    bench.step("a", sends=(("a", b"second"),))
    bench.deliver()
    assert running(bench) == b"first"
    bench.ran("a")
    assert running(bench) == b"second"
    bench.ran("a")
    bench.deliver()
    bench.elapse(S)
    assert running(bench) == b"timer"


def test_ti1_what_fell_due_while_the_agent_was_away_comes_once() -> None:
    bench = Bench("a")
    sets(bench, (b"1", S, None), (b"2", 60 * S, None))
    bench.now_us += 5 * S
    bench.crash("a")
    bench.feed("a", Elapsed())
    assert running(bench) == b"1"
    bench.crash("a")
    assert running(bench) == b"1", "its step never was"
    bench.ran("a")
    bench.crash("a")
    assert running(bench) is None
    bench.elapse(60 * S)
    assert running(bench) == b"2"


def test_ti1_a_timer_goes_with_the_step_that_has_set_it() -> None:
    bench = Bench("a")
    undo(bench, sets(bench, (b"t", S, None)))
    bench.elapse(2 * S)
    assert running(bench) is None
    assert bench.machines["a"].looking.status().timers == 0
    bench.crash("a")
    bench.elapse(2 * S)
    assert running(bench) is None


def test_ti1_a_step_that_has_handled_a_timer_is_in_the_cone_of_the_one_that_has_set_it() -> None:
    bench = Bench("a", "b")
    step = sets(bench, (b"t", S, None))
    bench.elapse(S)
    fired = bench.ran("a", sends=(("b", b"on"),))
    bench.deliver()
    consumer = bench.ran("b")
    bench.deliver()
    assert bench.machines["a"].looking.part((step,), ()).cone[1].step == fired
    undo(bench, step)
    assert bench.undone(fired)
    assert bench.undone(consumer)
    bench.elapse(2 * S)
    assert running(bench) is None


def test_ti1_a_rerun_sets_it_anew_and_the_input_keeps_its_lineage() -> None:
    bench = Bench("a")
    step = sets(bench, (b"t", S, None))
    bench.elapse(S)
    lineage = bench.runs["a"].input.lineage
    bench.ran("a")
    undo(bench, step, "retry")
    assert running(bench) == b"x"
    bench.ran("a", timers=((b"other words", S, None),))
    bench.elapse(S - 1)
    assert running(bench) is None
    bench.elapse(1)
    assert running(bench) == b"other words"
    assert bench.runs["a"].input.lineage == lineage


def test_ti1_a_rerun_without_it_undoes_what_was_done_when_it_came() -> None:
    bench = Bench("a")
    step = sets(bench, (b"t", S, None))
    bench.elapse(S)
    order = bench.call("a", b"pay")
    assert order is not None
    bench.used("a", order)
    bench.ran("a")
    undo(bench, step, "retry")
    bench.ran("a")
    bench.deliver()
    assert [tool.verb for _, tool in bench.tools] == ["call", "undo"]


def test_ti1_a_timer_of_a_frozen_step_waits_for_the_decision() -> None:
    for agrees in (True, False):
        bench = Bench("a", "b")
        bench.agrees = lambda agent, agrees=agrees: agrees or agent != "b"
        step = bench.step("a", sends=(("b", b"m"),), timers=((b"t", S, None),))
        bench.deliver()
        bench.ran("b")
        bench.deliver()
        bench.propose("a", step)
        bench.deliver(of(Propose))
        bench.drop(of(Ballot))
        bench.elapse(S)
        assert running(bench) is None, "nobody knows yet whether its step stands"
        bench.deliver()
        bench.elapse()
        bench.deliver()
        assert bench.undone(step) is agrees
        assert running(bench) == (None if agrees else b"t")


def test_ti1_a_base_holds_the_timers_of_steps_that_are_forgotten() -> None:
    bench = Bench("a")
    step = sets(bench, (b"t", 60 * S, "k"))
    settle(bench, 1, 0)
    settle(bench, 2, 2)
    assert step not in bench.machines["a"].core.cone
    assert isinstance(bench.disks["a"][-1], BaseRecord)
    del bench.disks["a"][:-1]
    bench.crash("a")
    bench.elapse(60 * S)
    assert running(bench) == b"t"
    bench.ran("a")
    bench.crash("a")
    assert running(bench) is None


def settle(bench: Bench, epoch: int, horizon: int) -> None:
    """Let an agent make a cut, and an epoch be committed."""
    bench.feed("a", CutWanted(epoch))
    bench.feed("a", Settled(epoch, (), horizon))


def test_ti1_a_base_between_an_undone_handling_and_the_next_keeps_the_input_as_it_was_amended() -> None:
    bench = Bench("a")
    sets(bench, (b"t", S, None))
    bench.elapse(S)
    fired = bench.ran("a")
    sets(bench)
    bench.submit("a", b"holds the agent")
    bench.propose("a", fired, inputs="amend", amend=b"better")
    bench.deliver()
    told = bench.machines["a"].bases.make()
    assert [item.payload for item in told.line if item.number == 0] == [b"better"]
    assert told.timers == ()
    bench.disks["a"] = [told]
    bench.crash("a")
    seen = []
    while running(bench) is not None:
        seen.append(running(bench))
        bench.ran("a")
    assert sorted(seen) == [b"better", b"holds the agent"]


def test_ti1_a_restore_takes_back_what_was_set_since_and_gives_again_what_came_since() -> None:
    bench = Bench("a")
    sets(bench, (b"old", S, None))
    settle(bench, 1, 0)
    bench.elapse(S)
    bench.ran("a", timers=((b"new", S, None),))
    bench.feed("a", RestoreDecided(Restore(1, 1, "r1", 1)))
    assert running(bench) == b"old"
    bench.ran("a")
    bench.elapse(2 * S)
    assert running(bench) is None


def test_ti1_a_loss_of_the_handling_step_brings_it_again() -> None:
    bench = Bench("a")
    sets(bench, (b"t", S, None))
    kept = len(bench.disks["a"])
    bench.elapse(S)
    bench.ran("a")
    del bench.disks["a"][kept:]
    bench.start("a", lost=True)
    assert running(bench) == b"t"


def test_ti1_one_that_fails_too_often_is_a_dead_letter_and_does_not_come_again() -> None:
    bench = Bench("a")
    sets(bench, (b"t", S, None))
    bench.elapse(S)
    while running(bench) is not None:
        bench.ran("a", error="boom")
        bench.elapse()
    assert [item.payload for item, _, _ in bench.machines["a"].looking.dead_letters()] == [b"t"]
    bench.crash("a")
    bench.elapse()
    assert running(bench) is None


def test_ti1_a_record_without_timers_takes_no_bytes_for_them_and_one_with_them_is_read_as_it_was() -> None:
    bench = Bench("a")
    sets(bench)
    sets(bench, (b"t", S, "k"), cancels=("k",))
    plain, timed = [record for record in bench.disks["a"] if isinstance(record, StepRecord)]
    assert b"due_us" not in encode_record(plain)
    assert b"cancelled" not in encode_record(plain)
    assert decode_record(encode_record(timed)) == timed


# -- TI-2 ---------------------------------------------------------------------------------------------------------


def test_ti2_what_is_cancelled_does_not_come() -> None:
    bench = Bench("a")
    step = sets(bench, (b"t", S, "k"), (b"other", S, "l"))
    sets(bench, cancels=("k", "nobody set this"))
    assert bench.machines["a"].core.cone.records()[-1].cancelled == (MessageId(step, 0),)
    bench.crash("a")
    bench.elapse(2 * S)
    assert running(bench) == b"other"
    bench.ran("a")
    assert running(bench) is None


def test_ti2_setting_under_a_key_that_is_set_takes_its_place() -> None:
    bench = Bench("a")
    sets(bench, (b"1", S, "k"))
    sets(bench, (b"2", 5 * S, "k"))
    bench.elapse(4 * S)
    assert running(bench) is None
    bench.elapse(S)
    assert running(bench) == b"2"
    bench.ran("a", timers=((b"3", S, "k"),))
    bench.elapse(S)
    assert running(bench) == b"3"


def test_ti2_one_that_is_due_and_waits_for_its_turn_can_be_cancelled() -> None:
    bench = Bench("a")
    sets(bench, (b"t", S, "k"))
    bench.submit("a", b"long")
    bench.elapse(2 * S)
    assert bench.machines["a"].core.line.count() == 1
    bench.ran("a", cancels=("k",))
    assert running(bench) is None
    assert bench.machines["a"].is_idle()


def test_ti2_a_cancellation_that_is_undone_brings_the_timer_back() -> None:
    for away_us in (S, 10 * S):
        bench = Bench("a")
        due_us = bench.now_us + 5 * S
        sets(bench, (b"t", 5 * S, "k"))
        off = sets(bench, cancels=("k",))
        bench.elapse(away_us)
        undo(bench, off)
        bench.crash("a")
        bench.elapse(max(0, due_us - bench.now_us))
        assert running(bench) == b"t"


def test_ti2_two_steps_may_cancel_one_timer_and_it_comes_back_only_if_neither_stands() -> None:
    bench = Bench("a")
    sets(bench, (b"1", 5 * S, "k"))
    second = sets(bench, (b"2", 5 * S, "k"))
    third = sets(bench, cancels=("k",))
    undo(bench, second)
    bench.elapse(9 * S)
    assert running(bench) is None, "it was cancelled after that, and this stands"
    undo(bench, third)
    assert running(bench) == b"1"


def test_ti2_a_cancellation_depends_on_nobody() -> None:
    bench = Bench("a")
    step = sets(bench, (b"t", S, "k"))
    off = bench.step("a", cancels=("k",), writes={"v": b"1"})
    undo(bench, step)
    assert not bench.undone(off)


def test_ti2_what_a_step_has_handled_is_past_cancelling() -> None:
    bench = Bench("a")
    sets(bench, (b"t", S, "k"))
    bench.elapse(S)
    fired = bench.ran("a", writes={"v": b"1"})
    sets(bench, cancels=("k",))
    undo(bench, fired, "retry")
    assert running(bench) == b"t"


def test_ti2_effects_of_earlier_runs_of_what_is_cancelled_are_undone() -> None:
    bench = Bench("a")
    sets(bench, (b"t", S, "k"))
    bench.submit("a", b"long")
    bench.ran("a")
    bench.elapse(S)
    order = bench.call("a", b"pay")
    assert order is not None
    bench.used("a", order)
    bench.ran("a", error="boom")
    sets(bench, cancels=("k",))
    bench.deliver()
    assert [tool.verb for _, tool in bench.tools] == ["call", "undo"]


def test_ti2_messages_of_earlier_runs_of_what_is_cancelled_are_void() -> None:
    bench = Bench("a", "b")
    step = sets(bench, (b"t", S, "k"))
    bench.elapse(S)
    bench.ran("a", sends=(("b", b"on"),))
    bench.deliver()
    order = bench.call("b", b"pay")
    assert order is not None
    bench.used("b", order)
    bench.ran("b")
    bench.deliver()
    undo(bench, step, "retry")
    bench.ran("a", timers=((b"t", S, "k"),))
    assert [tool.verb for _, tool in bench.tools] == ["call"], "it may come again, and claim that"
    sets(bench, cancels=("k",))
    bench.deliver()
    assert [tool.verb for _, tool in bench.tools] == ["call", "undo"]


def test_ti2_a_cancelled_timer_is_forgotten_with_the_step_that_has_cancelled_it() -> None:
    bench = Bench("a")
    sets(bench, (b"t", S, "k"))
    sets(bench, cancels=("k",))
    settle(bench, 1, 0)
    assert bench.machines["a"].bases.make().timers
    settle(bench, 2, 2)
    assert bench.machines["a"].bases.make().timers == ()
    bench.crash("a")
    bench.elapse(2 * S)
    assert running(bench) is None


def test_ti2_a_step_may_cancel_the_key_of_what_it_handles() -> None:
    bench = Bench("a")
    sets(bench, (b"t", S, "k"))
    bench.elapse(S)
    bench.ran("a", cancels=("k",))
    assert bench.machines["a"].core.cone.records()[-1].cancelled == ()
    assert not [mail for mail in bench.sent if isinstance(mail[2], Data)]
    assert bench.machines["a"].is_idle()
