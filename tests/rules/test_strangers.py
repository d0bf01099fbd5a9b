"""Rule CL-7: what is said to a name that nobody has heard of has not left, and binds nobody."""

from protocol.event import CutWanted, Reached, Settled
from protocol.ids import StepId
from protocol.limits import Limits
from protocol.message import Ballot, Data, Void
from protocol.records import BaseRecord, PlacedRecord, StepRecord
from tests.rules.bench import Bench


def heard(bench: Bench, name: str, of_whom: str) -> None:
    """Let an agent hear of another."""
    bench.strange.discard(of_whom)
    bench.feed(name, Reached(of_whom))


def said(bench: Bench, receiver: str) -> list[bytes]:
    """Return what was ever sent to an agent by a step."""
    return [mail[2].input.payload for mail in bench.sent if mail[1] == receiver and isinstance(mail[2], Data)]


def test_cl7_a_message_to_a_name_that_nobody_has_is_no_debit_and_its_step_can_be_undone() -> None:
    bench = Bench("a", "z", strange={"typo"})
    step = bench.step("a", sends=(("typo", b"m"),), writes={"k": b"1"})
    assert bench.machines["a"].looking.part((step,), ()).cone[0].sends == ()
    bench.propose("z", step)
    bench.deliver()
    assert bench.undone(step)
    assert bench.finished[0].outcome.decision == "commit"
    assert bench.finished[0].outcome.electors == ("a",)
    assert not [mail for mail in bench.sent if mail[1] == "typo"]
    assert bench.machines["a"].is_idle()


def test_cl7_it_leaves_when_its_receiver_is_heard_of_and_that_is_durable() -> None:
    bench = Bench("a", "b", strange={"b"})
    bench.step("a", sends=(("b", b"1"), ("b", b"2")))
    bench.elapse()
    assert said(bench, "b") == []
    bench.slow.add("a")
    heard(bench, "a", "b")
    assert said(bench, "b") == []
    bench.sync("a")
    assert said(bench, "b") == [b"1", b"2"]
    bench.deliver()
    assert bench.ran("b")
    assert bench.ran("b")


def test_cl7_it_waits_over_crashes_and_leaves_in_the_life_in_which_its_receiver_is_known() -> None:
    bench = Bench("a", "b", strange={"b"})
    bench.step("a", sends=(("b", b"m"),))
    bench.crash("a")
    bench.elapse()
    assert said(bench, "b") == []
    bench.strange.discard("b")
    bench.crash("a")
    assert said(bench, "b") == [b"m"]
    bench.strange.add("b")
    bench.crash("a")
    assert said(bench, "b") == [b"m", b"m"], "what may have left once is sent until it is acknowledged"


def test_cl7_what_may_have_left_is_a_debit_again() -> None:
    bench = Bench("a", "b", "z", strange={"b"})
    step = bench.step("a", sends=(("b", b"m"),))
    heard(bench, "a", "b")
    bench.propose("z", step)
    bench.deliver(lambda mail: not isinstance(mail[2], Data))
    assert bench.undone(step)
    assert bench.finished[0].outcome.electors == ("a", "b")


def test_cl7_an_undone_message_keeps_its_place_so_that_its_receiver_does_not_wait_for_it() -> None:
    bench = Bench("a", "b", "z", strange={"b"})
    first = bench.step("a", sends=(("b", b"wrong"),))
    bench.propose("z", first)
    bench.deliver()
    bench.step("a", sends=(("b", b"right"),))
    bench.crash("a")
    heard(bench, "a", "b")
    bench.deliver()
    assert bench.runs["b"].input.payload == b"right"
    assert said(bench, "b") == [b"right"]
    assert any(isinstance(mail[2], Void) and not mail[2].lineage for mail in bench.sent)


def test_cl7_while_a_rollback_is_open_whose_votes_do_not_name_it_it_does_not_leave() -> None:
    for agrees in (True, False):
        bench = Bench("a", "b", "c", "z", strange={"b"})
        step = bench.step("a", sends=(("b", b"m"), ("c", b"n")))
        bench.deliver()
        bench.ran("c")
        bench.agrees = lambda agent, agrees=agrees: agrees or agent == "a"
        bench.propose("z", step)
        bench.deliver(lambda mail: mail[1] != "c")
        heard(bench, "a", "b")
        bench.elapse()
        assert said(bench, "b") == [], "the vote says that b has nothing of it"
        bench.deliver()
        assert bench.undone(step) == agrees
        assert said(bench, "b") == ([] if agrees else [b"m"])
        assert not [mail for mail in bench.sent if mail[1] == "b" and isinstance(mail[2], Ballot)]


def test_cl7_a_run_that_does_not_send_it_again_calls_nothing_off() -> None:
    bench = Bench("a", "b", "z", strange={"b"})
    step = bench.step("a", sends=(("b", b"m"),))
    bench.propose("z", step, inputs="retry")
    bench.deliver()
    bench.ran("a")
    record = bench.disks["a"][-1]
    assert isinstance(record, StepRecord)
    assert record.voids == ()


def test_cl7_a_base_keeps_it() -> None:
    bench = Bench("a", "b", strange={"b"})
    step = bench.step("a", sends=(("b", b"m"),))
    bench.step("a")
    for epoch in (1, 2):
        bench.feed("a", CutWanted(epoch))
        bench.feed("a", Settled(epoch, (), epoch))
    assert step not in bench.machines["a"].core.cone
    assert any(isinstance(record, BaseRecord) and record.unplaced for record in bench.disks["a"])
    bench.crash("a")
    assert said(bench, "b") == []
    heard(bench, "a", "b")
    bench.deliver()
    assert bench.runs["b"].input.payload == b"m"


def test_cl7_past_a_bound_it_is_told_once_and_counts_as_a_dead_letter_until_it_leaves() -> None:
    bench = Bench("a", "b", strange={"b"}, limits=Limits(unplaced_us=60_000_000))
    bench.step("a", sends=(("b", b"1"), ("b", b"2")))
    looking = bench.machines["a"].looking
    assert looking.undeliverable() == ()
    assert looking.status().unplaced == ("b",)
    assert bench.machines["a"].deadline_us == bench.now_us + 60_000_000
    for _ in range(7):
        bench.elapse()
    assert [(name, item.payload) for name, item in looking.undeliverable()] == [("b", b"1"), ("b", b"2")]
    assert [tell.subject for _, tell in bench.told if tell.notice == "undeliverable"] == ["b"]
    assert looking.status().dead_letters == 2
    assert bench.machines["a"].deadline_us is None
    heard(bench, "a", "b")
    assert looking.undeliverable() == ()
    assert [record for record in bench.disks["a"] if isinstance(record, PlacedRecord)] == [PlacedRecord("b")]
    bench.deliver()
    assert [bench.ran("b"), bench.ran("b")] == [StepId("b", 1, 1), StepId("b", 1, 2)]
