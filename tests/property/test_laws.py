"""Laws that hold for all values, and twins: the same thing done in the plainest way."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.agent.folds import Op, counter_amounts, encode_op, map_winner, set_members, tag_of
from protocol.agent.inbox import Inbox
from protocol.agent.lineage import inherited, lineage_of
from protocol.agent.versions import Versions
from protocol.clock import covers, joined
from protocol.ids import StepId
from protocol.interval import IntervalSet
from protocol.retraction import Retraction
from protocol.step import Entry, Input, Output, OutputDraft, space_key

settings.register_profile("laws", deadline=None)
settings.load_profile("laws")
"""How long an example takes depends on what else the machine does."""

spans = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 8)), max_size=30)
steps = st.builds(StepId, st.sampled_from("abc"), st.integers(1, 2), st.integers(1, 20))


@given(spans)
def test_an_interval_set_is_a_set(added: list[tuple[int, int]]) -> None:
    intervals, twin = IntervalSet(), set[int]()
    for start, length in added:
        numbers = set(range(start, start + length + 1))
        assert intervals.add(start, start + length) == (not numbers <= twin)
        twin |= numbers
        assert all((number in intervals) == (number in twin) for number in range(75))
        parts = intervals.intervals()
        assert all(before[1] + 1 < after[0] for before, after in pairwise(parts))


retractions = st.builds(
    lambda some, lost: _retraction(some, lost),
    st.lists(steps, max_size=10),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 2), st.integers(1, 9)), max_size=3),
)


def _retraction(some: Sequence[StepId], lost: Sequence[tuple[str, int, int]]) -> Retraction:
    retraction = Retraction()
    retraction.add_all(some)
    for agent, incarnation, first in lost:
        retraction.add_lost(agent, incarnation, first)
    return retraction


@given(retractions, retractions, retractions)
def test_retractions_are_a_join_semilattice(a: Retraction, b: Retraction, c: Retraction) -> None:
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(a) == a


@given(retractions, retractions, steps)
def test_a_join_holds_what_either_holds(a: Retraction, b: Retraction, step: StepId) -> None:
    assert (step in a.join(b)) == (step in a or step in b)


clocks = st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(1, 3), st.integers(1, 9)), max_size=4)


@given(st.lists(clocks, max_size=4))
def test_a_joined_clock_is_the_least_that_covers_all(many: list[dict[str, tuple[int, int]]]) -> None:
    result = joined(many)
    for agent in "abcd":
        entries = [clock[agent] for clock in many if agent in clock]
        assert result.get(agent) == (max(entries) if entries else None)


# -- shared entries


def _entry(number: int, op: Op) -> Entry:
    writer = StepId("abc"[number % 3], 1, number + 1)
    return Entry(space_key("s", "k"), writer, 1, encode_op(op), {writer.agent: (1, writer.seq)}, 100 + number // 2)


ops = st.one_of(
    st.builds(lambda n: Op("add", b"%d" % n), st.integers(-5, 5)),
    st.builds(lambda n: Op("put", b"%d" % n), st.integers(0, 5)),
    st.just(Op("del")),
    st.builds(lambda n: Op("sadd", b"%d" % n), st.integers(0, 3)),
)


def check_order(versions: Versions) -> None:
    """Entries which one replica orders by time are never ordered against their causes."""
    for key in versions.shared_keys():
        for earlier, later in pairwise(versions.entries(key)):
            assert (
                later.writer == earlier.writer
                or not covers(earlier.clock, later.writer)
                or (earlier.writer.agent == later.writer.agent)
            )


@given(st.lists(ops, max_size=12), st.randoms(use_true_random=False), st.sets(st.integers(0, 11)))
def test_replicas_with_the_same_entries_and_retractions_read_the_same(many, chance, undone) -> None:  # type: ignore[no-untyped-def]
    entries = [_entry(number, op) for number, op in enumerate(many)]
    if len(entries) > 2:
        seen = tuple(tag_of(entry) for entry in entries[:2])
        entries.append(_entry(len(entries), Op("srem", b"1", seen)))
    views = []
    for _ in range(3):
        retraction = Retraction()
        versions = Versions(retraction)
        retraction.add_all(entries[number].writer for number in undone if number < len(entries))
        arrivals = [*entries, *entries[:3]]
        chance.shuffle(arrivals)
        for entry in arrivals:
            versions.merge(entry)
        check_order(versions)
        views.append(versions.entries(space_key("s", "k")))
    assert views[0] == views[1] == views[2]
    assert {entry.writer for entry in views[0]} == {
        entry.writer for number, entry in enumerate(entries) if number not in undone
    }
    assert counter_amounts(views[0]) == counter_amounts(views[1])
    assert map_winner(views[0]) == map_winner(views[2])
    assert set_members(views[0]) == set_members(views[1])


# -- messages


@given(st.permutations(range(1, 9)), st.sets(st.integers(1, 8)), st.lists(st.integers(0, 7), max_size=5))
def test_an_inbox_delivers_each_number_once_and_in_order(order: list[int], void: set[int], again: list[int]) -> None:
    inbox = Inbox()
    delivered: list[int] = []
    for number in sorted(void):
        for item in inbox.settle("a", 1, number):
            delivered.append(item.number)
    for number in [*order, *(order[at] for at in again)]:
        item = Input("a", 1, number, b"", f"L{number}", StepId("a", 1, number))
        for passed in inbox.arrive("a", 1, number, item) or ():
            delivered.append(passed.number)
            inbox.check()
    assert delivered == [number for number in range(1, 9) if number not in void]


@given(st.permutations(range(1, 7)), st.sets(st.integers(1, 6)))
def test_order_passes_parked_numbers_and_they_come_late(order: list[int], parked: set[int]) -> None:
    inbox = Inbox()
    delivered: list[int] = []
    for number in sorted(parked):
        delivered += [item.number for item in inbox.park("a", 1, number)]
    for number in order:
        item = Input("a", 1, number, b"", f"L{number}", StepId("a", 1, number))
        delivered += [passed.number for passed in inbox.arrive("a", 1, number, item) or ()]
    assert delivered == [number for number in range(1, 7) if number not in parked]
    for number in sorted(parked):
        delivered += [item.number for item in inbox.unpark("a", 1, number)]
    assert sorted(delivered) == list(range(1, 7))


outputs = st.tuples(st.sampled_from("bc"), st.sampled_from([b"1", b"2", b"3"]), st.sampled_from([None, None, "k", "j"]))


@given(st.lists(outputs, max_size=6), st.lists(outputs, max_size=6))
def test_no_two_outputs_of_a_run_share_a_lineage_and_none_is_forgotten(
    before: list[tuple[str, bytes, str | None]], now: list[tuple[str, bytes, str | None]]
) -> None:
    counts: dict[str, int] = {}
    old: list[Output] = []
    for receiver, data, key in before:
        ordinal = counts.get(receiver, 0)
        counts[receiver] = ordinal + 1
        old.append(Output(receiver, ordinal + 1, data, lineage_of("L", "a", receiver, ordinal), key))
    drafts = [OutputDraft(*out) for out in now]
    lineages, unclaimed = inherited("L", "a", drafts, old)
    assert len(set(lineages)) == len(drafts)
    named = {(draft.receiver, lineage) for draft, lineage in zip(drafts, lineages, strict=True)} | set(unclaimed)
    assert {(output.receiver, output.lineage) for output in old} <= named
    assert not {lineage for _, lineage in unclaimed} & set(lineages)
    same, none = inherited("L", "a", [OutputDraft(*out) for out in before], old)
    assert (sorted(same), none) == (sorted(output.lineage for output in old), [])
