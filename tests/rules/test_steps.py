"""Rules ST: what a step is, and when it counts."""

import pytest

from protocol.agent.inbox import Inbox
from protocol.agent.lineage import inherited, lineage_of
from protocol.event import Appended, CutWanted, LetterAsked, Settled, Submitted
from protocol.ids import StepId
from protocol.limits import SOURCES_MAX
from protocol.message import Data
from protocol.records import BaseRecord
from protocol.retraction import Retraction
from protocol.step import Input, Output, OutputDraft, Read, RollbackDraft, StepRecord
from tests.rules.bench import Bench, of


def test_st1_the_record_holds_all_that_a_step_did() -> None:
    bench = Bench("a", "b")
    step = bench.step("a", writes={"k": b"1"}, sends=(("b", b"hello"),), reads=(Read("k", None),))
    record = next(record for record in bench.disks["a"] if isinstance(record, StepRecord))
    assert (record.step, record.input.payload) == (step, b"x")
    assert record.reads == (Read("k", None),)
    assert [(write.key, write.value) for write in record.writes] == [("k", b"1")]
    assert [(out.receiver, out.payload) for out in record.outputs] == [("b", b"hello")]
    assert record.clock == {"a": (1, 1)}


def test_st2_nothing_leaves_before_its_record_is_durable() -> None:
    bench = Bench("a", "b")
    bench.slow.add("a")
    bench.submit("a", b"x")
    bench.ran("a", sends=(("b", b"hello"),))
    assert bench.mail == []
    bench.elapse()
    assert bench.mail == []
    bench.sync("a")
    assert [mail for mail in bench.mail if of(Data)(mail)] != []


def test_st2_a_late_answer_of_an_earlier_life_is_ignored() -> None:
    bench = Bench("a", "b")
    bench.slow.add("a")
    bench.submit("a", b"x")
    ticket = bench.pending["a"][-1].ticket
    bench.start("a")
    bench.feed("a", Appended(ticket + 100))
    assert bench.mail == []


def test_st3_a_value_is_the_last_version_that_is_not_retracted() -> None:
    bench = Bench("a")
    bench.step("a", writes={"k": b"1"})
    second = bench.step("a", writes={"k": b"2"})
    third = bench.step("a", writes={"k": None})
    assert bench.value("a", "k") is None
    bench.propose("a", third)
    bench.deliver()
    assert bench.value("a", "k") == b"2"
    bench.propose("a", second)
    bench.deliver()
    assert bench.value("a", "k") == b"1"


def test_st3_the_past_is_read_at_a_step_and_what_is_undone_stays_hidden() -> None:
    bench = Bench("a")
    first = bench.step("a", writes={"k": b"1", "old": b"o"})
    second = bench.step("a", writes={"k": b"2", "new": b"n"})
    third = bench.step("a", writes={"k": None, "old": None})
    versions = bench.machines["a"].core.versions
    assert versions.read("k", first) == (b"1", first)
    assert versions.read("k", third) == versions.read("k") == (None, third)
    assert versions.read("new", first) == (None, None)
    assert {key for key, _, _ in versions.read_all(first)} == {"k", "old"}
    bench.propose("a", second)
    bench.deliver()
    assert versions.read("k", second) == (b"1", first)
    assert versions.read("old", second) == (b"o", first)


def test_st4_retractions_merge_in_any_order() -> None:
    one, other = Retraction(), Retraction()
    one.add(StepId("a", 1, 3))
    other.add_lost("a", 1, 7)
    other.add(StepId("b", 2, 1))
    assert one.join(other) == other.join(one) == one.join(other).join(one)
    assert StepId("a", 1, 99) in one.join(other)
    assert StepId("a", 2, 99) not in one.join(other)


def test_st5_a_rerun_inherits_the_lineages_that_it_claims_and_names_the_rest() -> None:
    old = [
        Output("b", 1, b"same", lineage_of("L", "a", "b", 0)),
        Output("b", 2, b"other", lineage_of("L", "a", "b", 1)),
        Output("b", 3, b"third", lineage_of("L", "a", "b", 2)),
        Output("c", 1, b"gone", lineage_of("L", "a", "c", 0)),
    ]
    drafts = [OutputDraft("b", b"new words"), OutputDraft("b", b"same")]
    lineages, unclaimed = inherited("L", "a", drafts, old)
    assert lineages == [old[1].lineage, old[0].lineage]
    assert unclaimed == [("b", old[2].lineage), ("c", old[3].lineage)]


def test_st5_a_key_names_an_output_across_runs() -> None:
    old = [Output("b", 1, b"1", "first", "x"), Output("b", 2, b"2", "second", "y")]
    lineages, _ = inherited("L", "a", [OutputDraft("b", b"other words", "y")], old)
    assert lineages == ["second"]


def test_st6_a_step_whose_reads_no_longer_stand_never_was() -> None:
    bench = Bench("a")
    first = bench.step("a", writes={"k": b"1"})
    bench.submit("a", b"second")
    bench.propose("a", first)
    bench.deliver()
    assert bench.undone(first)
    bench.ran("a", reads=(Read("k", first),), writes={"k": b"2"})
    # It is handled again, and sees that nobody has written the key.
    assert bench.runs["a"].input.payload == b"second"
    assert bench.value("a", "k") is None
    assert bench.runs["a"].step == StepId("a", 1, 2)


def test_st6_an_exception_undoes_that_step_alone_and_is_tried_again_then_buried() -> None:
    bench = Bench("a", "b")
    bench.submit("a", b"bad", b"good")
    for attempt in range(bench.limits.failures_max):
        while bench.runs["a"].input.payload != b"bad":
            bench.ran("a")
        bench.ran("a", error="boom", sends=(("b", b"never"),), writes={"k": b"never"})
        bench.elapse(60_000_000 * (attempt + 1))
        if "a" not in bench.runs:
            break
    assert [why for _, why, _ in bench.machines["a"].core.dead] == ["boom"]
    assert not any(of(Data)(mail) for mail in bench.mail)
    assert bench.value("a", "k") is None


def test_st6_a_rollback_that_a_step_asks_for_is_proposed_once_the_step_is_durable() -> None:
    bench = Bench("a")
    first = bench.step("a")
    bench.slow.add("a")
    bench.submit("a", b"x")
    bench.sync("a")
    bench.ran("a", rollbacks=(RollbackDraft((first,), "discard"),))
    assert bench.mail == []
    bench.slow.clear()
    bench.sync("a")
    bench.deliver()
    assert bench.undone(first)


def test_st7_a_step_that_may_only_read_leaves_out_what_it_read() -> None:
    bench = Bench("a")
    writer = bench.step("a", writes={"k": b"1"})
    other = bench.step("a", writes={"k": b"2"})
    looked = bench.step("a", reads=(Read("k", other),), observed=("k",), read_only=True)
    record = bench.machines["a"].core.cone.record(looked)
    assert (record.reads, record.observed, record.read_only) == ((), (), True)
    assert record.clock == {"a": (1, 3)}
    bench.propose("a", other)
    bench.deliver()
    assert bench.undone(other)
    assert not bench.undone(looked)
    assert bench.value("a", "k") == b"1"
    assert not bench.undone(writer)


def test_st7_a_step_that_may_only_read_and_wrote_stops_its_agent() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    with pytest.raises(AssertionError, match="was to read only"):
        bench.ran("a", writes={"k": b"1"}, read_only=True)


def test_st8_an_input_waits_for_as_long_as_it_takes_and_others_pass_it() -> None:
    bench = Bench("a")
    bench.submit("a", b"waits", b"good")
    waits_us: list[int] = []
    for _ in range(20):
        assert bench.runs["a"].input.payload == b"waits"
        bench.ran("a", error="no key yet", waits=True)
        if "a" in bench.runs:
            assert bench.runs["a"].input.payload == b"good"
            bench.ran("a", writes={"good": b"1"})
        due_us = bench.machines["a"].deadline_us
        assert due_us is not None
        waits_us.append(due_us - bench.now_us)
        bench.elapse(due_us - bench.now_us)
    assert waits_us == sorted(waits_us)
    assert waits_us[-1] == bench.limits.resend_us_max
    assert bench.machines["a"].core.dead == []
    bench.ran("a", writes={"k": b"1"})
    assert (bench.value("a", "k"), bench.value("a", "good")) == (b"1", b"1")


def test_st8_waits_do_not_count_as_failures() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    for _ in range(5):
        bench.ran("a", error="no key yet", waits=True)
        bench.elapse(60_000_000)
    for _ in range(bench.limits.failures_max):
        assert bench.machines["a"].core.dead == []
        bench.ran("a", error="boom")
        bench.elapse(60_000_000)
    assert [why for _, why, _ in bench.machines["a"].core.dead] == ["boom"]


def test_st8_an_input_that_waits_is_there_after_a_crash_and_can_be_discarded() -> None:
    bench = Bench("a")
    first = bench.step("a", writes={"k": b"1"})
    bench.propose("a", first, inputs="retry")
    bench.deliver()
    bench.ran("a", error="no key yet", waits=True)
    bench.crash("a")
    assert bench.runs["a"].input.payload == b"x"
    bench.ran("a", error="no key yet", waits=True)
    bench.propose("a", first, inputs="discard")
    bench.deliver()
    assert [why for _, why, _ in bench.machines["a"].core.dead] == ["discarded by a/1/p2"]
    bench.elapse(60_000_000)
    assert "a" not in bench.runs


def test_st10_a_number_stands_for_one_input_for_good() -> None:
    bench = Bench("a")
    handed = [
        Submitted(1, "s", 1, (b"x", b"y")), Submitted(2, "s", 1, (b"x", b"y", b"z")), Submitted(3, "s", 2, (b"other",)),
        Submitted(4, "s", 9, (b"late",)),
    ]  # fmt: skip
    for event in handed:
        bench.feed("a", event)
    assert [(reply.request, reply.value, reply.kind) for reply in bench.replies] == [
        (1, "2", ""), (2, "1", ""), (3, "", "InputsDiffer"), (4, "", "InputsOutOfOrder"),
    ]  # fmt: skip


def test_st10_the_sources_that_were_not_used_for_longest_are_forgotten_and_never_one_with_an_input_that_waits() -> None:
    inbox = Inbox()
    waits = Input("ext:waits", 0, 1, b"x", "ext:waits#1")
    inbox.arrive("ext:waits", 0, 1, waits)
    for number in range(SOURCES_MAX + 5):
        assert inbox.next_number(f"ext:{number}") == 1
        inbox.settle(f"ext:{number}", 0, 1)
        inbox.next_number("ext:0")
    sources = [sender for sender, _, _ in inbox.told()["channels"]]
    assert len(sources) == SOURCES_MAX + 1
    assert "ext:waits" in sources
    assert "ext:0" in sources
    assert "ext:1" not in sources
    assert inbox.next_number("ext:0") == 2


# -- ST-11


def letters(bench: Bench, name: str) -> list[bytes]:
    """Return what an agent has given up."""
    return [letter.input.payload for letter in bench.machines[name].core.dead]


def buried(bench: Bench, name: str) -> str:
    """Let an agent give up an input; return its lineage."""
    while bench.machines[name].core.dead == []:
        bench.elapse()
        bench.ran(name, error="boom")
    return bench.machines[name].core.dead[0].input.lineage


def test_st11_a_dead_letter_is_handled_after_all_as_another_lineage_and_is_one_no_more() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    lineage = buried(bench, "a")
    bench.slow.add("a")
    bench.feed("a", LetterAsked(7, lineage, "redrive"))
    assert [reply.request for reply in bench.replies] == [0], "only what is durable is answered"
    bench.sync("a")
    assert (bench.replies[-1].request, bench.replies[-1].value) == (7, f"{lineage}/again")
    assert letters(bench, "a") == []
    bench.slow.clear()
    bench.crash("a")
    assert letters(bench, "a") == []
    assert (bench.runs["a"].input.payload, bench.runs["a"].input.attempt) == (b"x", 1)
    bench.ran("a", writes={"k": b"1"})
    bench.crash("a")
    assert bench.value("a", "k") == b"1"
    assert "a" not in bench.runs


def test_st11_it_still_hangs_on_the_step_that_sent_it() -> None:
    bench = Bench("a", "b", "z")
    sent = bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    lineage = buried(bench, "b")
    bench.deliver()
    bench.feed("b", LetterAsked(1, lineage, "redrive"))
    step = bench.ran("b", writes={"k": b"1"})
    bench.propose("z", sent)
    bench.deliver()
    assert bench.undone(step)
    assert bench.value("b", "k") is None
    assert bench.machines["b"].is_idle()


def test_st11_what_is_undone_already_is_refused_and_so_is_what_is_no_dead_letter() -> None:
    bench = Bench("a", "b", "z")
    sent = bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    lineage = buried(bench, "b")
    bench.propose("z", sent)
    bench.deliver()
    for name, why in ((lineage, "is undone"), ("nothing", "no dead letter 'nothing'")):
        bench.feed("b", LetterAsked(1, name, "redrive"))
        assert why in bench.replies[-1].error
    assert "b" not in bench.runs


def test_st11_one_that_is_dropped_is_listed_no_more_and_a_base_knows_it() -> None:
    bench = Bench("a")
    for payload in (b"x", b"y"):
        bench.submit("a", payload)
        while payload not in letters(bench, "a"):
            bench.elapse()
            bench.ran("a", error="boom")
    bench.step("a")
    for epoch in (1, 2):
        bench.feed("a", CutWanted(epoch))
        bench.feed("a", Settled(epoch, (), epoch))
    bench.feed("a", LetterAsked(1, bench.machines["a"].core.dead[0].input.lineage, "discard"))
    bench.step("a")
    for epoch in (3, 4):
        bench.feed("a", CutWanted(epoch))
        bench.feed("a", Settled(epoch, (), epoch))
    assert bench.replies[-2].error == ""
    bench.crash("a")
    assert letters(bench, "a") == [b"y"]
    assert any(isinstance(record, BaseRecord) and record.redriven for record in bench.disks["a"])
