"""Rule SH-5: what tools have written outside; worlds have the rest (tests/simulation/test_world_outside.py)."""

from peer.agents.outside import latest
from protocol.agent.folds import Op, encode_op
from protocol.event import CutWanted, Merged, Settled, SubscriberSeen
from protocol.ids import StepId
from protocol.step import OUTSIDE, Entry, EntryDraft, Read, space_key
from tests.rules.bench import Bench

SPACE = f"{OUTSIDE}stock"
KEY = space_key(SPACE, "tea")
MARK = (EntryDraft(KEY, encode_op(Op("mark"))),)


def told() -> tuple[Bench, StepId]:
    """Let `a` write outside, and `b` hear of it."""
    bench = Bench("a", "b")
    bench.feed("a", SubscriberSeen(SPACE, "b"))
    step = bench.step("a", entries=MARK)
    for _, action in bench.shared:
        bench.feed("b", Merged(action.entries))
    return bench, step


def settle(bench: Bench, name: str) -> None:
    """Commit two epochs, and forget what is before them."""
    for epoch in (1, 2):
        bench.feed(name, CutWanted(epoch))
        bench.feed(name, Settled(epoch, (), epoch))


def test_sh5_who_has_read_what_is_undone_is_undone_with_it() -> None:
    bench, step = told()
    reader = bench.step("b", reads=(Read(KEY, step),))
    bench.propose("a", step, inputs="discard")
    bench.deliver()
    assert bench.undone(reader)
    assert bench.machines["b"].core.versions.entries(KEY) == []


def test_sh5_behind_the_horizon_entries_are_forgotten_at_both_ends() -> None:
    bench, _ = told()
    for name in ("a", "b"):
        assert len(bench.machines[name].core.versions.entries(KEY)) == 1
        settle(bench, name)
        assert list(bench.machines[name].core.versions.all_entries()) == []
    assert bench.machines["a"].core.shared_entries() == []


def test_sh5_an_entry_that_is_forgotten_while_a_handler_runs_is_no_cause_any_more() -> None:
    bench, step = told()
    bench.submit("b", b"x")
    settle(bench, "b")
    reader = bench.ran("b", reads=(Read(KEY, step),))
    assert "a" not in bench.machines["b"].core.cone.record(reader).clock


def entry(step: StepId, time_us: int, **clock: tuple[int, int]) -> Entry:
    return Entry(KEY, step, 0, b"", {**clock, step.agent: (step.incarnation, step.seq)}, time_us)


def test_sh5_latest_are_those_that_no_other_is_known_to_follow() -> None:
    first, second = entry(StepId("a", 1, 1), 1), entry(StepId("b", 1, 1), 2, a=(1, 1))
    beside, third = entry(StepId("c", 1, 4), 3), entry(StepId("a", 1, 2), 4, b=(1, 1))
    assert latest([]) == []
    assert latest([first, second]) == [second.writer]
    assert set(latest([first, second, beside])) == {second.writer, beside.writer}
    assert set(latest([first, second, beside, third])) == {third.writer, beside.writer}
