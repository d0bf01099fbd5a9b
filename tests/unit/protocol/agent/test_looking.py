"""What can be asked of a machine, and that nothing happens in it by that."""

from protocol.agent.cone import Cone
from protocol.event import CutWanted, RestoreDecided, Settled
from protocol.ids import StepId
from protocol.proposal import Restore
from protocol.step import EntryDraft, Input, StepRecord, space_key
from tests.rules.bench import Bench


def looking(bench, name):
    return bench.machines[name].looking


def test_a_part_has_own_steps_alone_with_what_they_sent_and_the_effects_that_stand():
    bench = Bench("a", "b")
    bench.submit("a", b"x")
    order = bench.call("a", b"args")
    bench.used("a", order)
    root = bench.ran("a", writes={"k": b"1"}, sends=(("b", b"m"),))
    after = bench.step("a", reads=(), writes={"other": b"2"})
    bench.deliver()
    there = bench.ran("b")
    part = looking(bench, "a").part((root, there), ())
    assert [step.step for step in part.cone] == [root]
    assert [debit.receiver for debit in part.cone[0].sends] == ["b"]
    assert part.effects == (order.intent,)
    assert (part.unknown, part.retracted) == ((), ())
    unknown = StepId("a", 1, 99)
    assert looking(bench, "a").part((unknown,), ()).unknown == (unknown,)
    assert looking(bench, "a").suffix(root) == (after,)
    assert looking(bench, "a").suffix(unknown) is None


def test_steps_come_from_where_somebody_has_stopped_and_tell_who_undid_them():
    bench = Bench("a")
    bench.submit("a", b"x")
    order = bench.call("a", b"args")
    bench.used("a", order)
    first, second = bench.ran("a", writes={"k": b"1"}), bench.step("a", writes={"k": b"2"})
    bench.propose("a", first)
    bench.deliver()
    seen = list(looking(bench, "a").steps_after(None))
    assert [(record.step, bool(by)) for record, by in seen] == [(first, True), (second, False)]
    assert looking(bench, "a").effects_in([record for record, _ in seen])[order.intent][0] == "post"
    assert [record.step for record, _ in looking(bench, "a").steps_after(first)] == [second]
    assert list(looking(bench, "a").steps_after(second)) == []
    assert looking(bench, "a").part((first,), ()).effects == ()
    assert looking(bench, "a").part((first,), ()).retracted == (first,)


def test_steps_of_all_lives_come_one_after_the_other():
    cone = Cone()
    steps = [StepId("a", 1, 1), StepId("a", 1, 2), StepId("a", 3, 1), StepId("a", 3, 2)]
    for step in steps:
        item = Input("ext:x", 0, step.seq, b"x", f"ext:x#{step}")
        cone.add(StepRecord(step, item, (), (), (), (), (), {}, 0))
    for at, step in enumerate(steps):
        assert [record.step for record in cone.following(step)] == steps[at + 1 :]
    cone.drop(steps[0])
    assert [record.step for record in cone.following(steps[0])] == steps[1:]
    assert [record.step for record in cone.following(None)] == steps[1:]
    assert list(Cone().following(None)) == []


def test_a_status_counts_all_steps_and_names_what_is_under_way():
    bench = Bench("a")
    bench.step("a", writes={"k": b"1"})
    bench.submit("a", b"x")
    status = looking(bench, "a").status()
    assert (status.incarnation, status.steps, status.undone, status.steps_kept) == (1, 1, 0, 1)
    assert status.under_way == ("inputs: 1",) == tuple(bench.machines["a"].under_way())
    assert (status.epoch, status.committed, status.era, status.dead_letters) == (0, 0, 0, 0)
    bench.ran("a")
    assert looking(bench, "a").status().under_way == ()


def test_rollbacks_are_seen_by_electors_and_by_whoever_proposed_them():
    bench = Bench("a", "b")
    root = bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    bench.ran("b")
    bench.propose("b", root)
    bench.deliver()
    elector, proposer = looking(bench, "a").ballots(), looking(bench, "b").ballots()
    assert [proposal.roots for proposal, _ in elector.votes] == [(root,)]
    assert [(seen.decision, seen.electors) for seen in elector.decided] == [("commit", ("a", "b"))]
    assert elector.outcomes == ()
    assert [outcome.decision for outcome in proposer.outcomes] == ["commit"]
    pid = elector.decided[0].proposal
    assert looking(bench, "b").outcome(pid) == proposer.outcomes[0]
    assert looking(bench, "a").outcome(pid) is None


def test_cuts_and_restores_are_seen_with_their_times():
    bench = Bench("a")
    first = bench.step("a", writes={"k": b"1"})
    bench.feed("a", CutWanted(1))
    second = bench.step("a", writes={"k": b"2"})
    bench.feed("a", Settled(1, (), 0))
    assert looking(bench, "a").state() == {"k": b"2"}
    assert looking(bench, "a").state(first) == {"k": b"1"}
    restore = Restore(1, 1, "r1", 1)
    bench.feed("a", RestoreDecided(restore))
    seen = looking(bench, "a").cuts()
    assert seen.last == (1, second.seq)
    assert [(cut.epoch, cut.era, cut.seq) for cut in seen.cuts] == [(1, 0, first.seq)]
    assert (seen.committed, seen.committed_us) == (1, {1: bench.now_us})
    assert [(one, at_us > 0) for one, at_us in seen.restores] == [(restore, True)]
    assert looking(bench, "a").state() == {"k": b"1"}


def test_what_the_horizon_has_passed_can_not_be_read_at():
    bench = Bench("a")
    first = bench.step("a", writes={"k": b"1"})
    bench.feed("a", CutWanted(1))
    second = bench.step("a", writes={"k": b"2"})
    assert looking(bench, "a").oldest() == first
    bench.feed("a", Settled(1, (), 1))
    assert looking(bench, "a").horizon() == 1
    assert not looking(bench, "a").can_read_at(first)
    assert looking(bench, "a").can_read_at(second)
    assert looking(bench, "a").oldest() == second


def test_entries_and_dead_letters_are_listed():
    bench = Bench("a")
    key = space_key("s", "x")
    step = bench.step("a", entries=(EntryDraft(key, b"op"),))
    assert [(entry.writer, entry.op) for entry in looking(bench, "a").entries()] == [(step, b"op")]
    root = bench.step("a")
    bench.propose("a", root)
    bench.deliver()
    assert [(item.payload, bool(why)) for item, why, _ in looking(bench, "a").dead_letters()] == [(b"x", True)]
