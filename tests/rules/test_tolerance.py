"""Rule RB-11: sums that are read with a tolerance."""

from itertools import permutations

from protocol.agent.folds import Op, encode_op
from protocol.event import CutWanted, Learned, Settled, SubscriberSeen
from protocol.ids import StepId
from protocol.message import Ballot, Data, Done
from protocol.records import BaseRecord, VoteRecord
from protocol.step import EntryDraft, Read, Tolerated, space_key
from tests.rules.bench import Bench, Mail
from tests.rules.test_loss import lose_last_step
from tests.rules.test_sharing import share

KEY = space_key("s", "x")
ADD = (EntryDraft(KEY, encode_op(Op("add", b"1"))),)


def summing(*amounts: int, limit: int = 5, cuts: bool = False) -> tuple[Bench, list[StepId], StepId]:
    """Let `a` write entries, and `b` read their sum with a tolerance and tell `c`, who handles that.

    `e` and `f` subscribe, too: without their votes nobody decides.
    """
    bench = Bench("a", "b", "c", "d", "e", "f")
    for subscriber in ("b", "e", "f"):
        bench.feed("a", SubscriberSeen("s", subscriber))
    if cuts:
        bench.step("b")
        for name in bench.machines:
            bench.feed(name, CutWanted(1))
    writers = [bench.step("a", entries=ADD) for _ in amounts]
    share(bench)
    parts = tuple(zip(writers, amounts, strict=True))
    reader = bench.step("b", tolerated=(Tolerated(KEY, limit, parts),), sends=(("c", b"m"),))
    bench.deliver()
    bench.ran("c")
    bench.deliver()
    return bench, writers, reader


def undo(bench: Bench, *steps: StepId) -> None:
    """Roll steps back, one after the other."""
    for step in steps:
        bench.propose("d", step)
        bench.deliver()
        assert bench.undone(step)


def but_for_silent(mail: Mail) -> bool:
    """Want all mail but that to `e` and `f`."""
    return mail[1] not in ("e", "f")


def votes_of(bench: Bench, name: str) -> list[tuple[StepId, ...]]:
    """Return the cones of an agent's votes, in order."""
    votes = [record for record in bench.disks[name] if isinstance(record, VoteRecord)]
    return [tuple(step.step for step in record.vote.cone) for record in votes]


def test_rb11_as_much_as_the_limit_is_tolerated_and_no_more() -> None:
    bench, writers, reader = summing(3, 2, 1)
    undo(bench, writers[0], writers[1])
    assert not bench.undone(reader)
    assert not bench.undone(StepId("c", 1, 1))
    undo(bench, writers[2])
    assert bench.undone(reader)
    assert bench.undone(StepId("c", 1, 1)), "what hangs on it goes with it"


def test_rb11_one_rollback_of_several_writers_counts_them_together() -> None:
    for limit, goes in ((5, False), (4, True)):
        bench, writers, reader = summing(3, 2, limit=limit)
        bench.propose("d", *writers)
        bench.deliver()
        assert bench.undone(writers[0])
        assert bench.undone(reader) == goes


def test_rb11_the_order_of_rollbacks_makes_no_difference() -> None:
    for order in permutations(range(3)):
        bench, writers, reader = summing(1, 2, 3)
        undo(bench, *(writers[at] for at in order[:2]))
        assert not bench.undone(reader)
        undo(bench, writers[order[2]])
        assert bench.undone(reader)


def test_rb11_two_undecided_proposals_can_not_exceed_the_limit_together() -> None:
    bench, writers, reader = summing(3, 3)
    for writer in writers:
        bench.propose("d", writer)
    bench.deliver(but_for_silent)
    assert not any(bench.undone(writer) for writer in writers)
    assert [reader in cone for cone in votes_of(bench, "b")] == [False, True]
    bench.deliver()
    assert bench.undone(writers[0])
    assert bench.undone(writers[1])
    assert bench.undone(reader)


def test_rb11_a_vote_that_others_may_have_decided_by_does_not_grow_by_another_proposal() -> None:
    bench, writers, reader = summing(3, 3)
    bench.propose("d", writers[0])
    bench.deliver(but_for_silent)
    bench.propose("d", writers[1])
    bench.deliver(but_for_silent)
    bench.deliver(lambda mail: mail[1] != "f")  # `b` hears of another vote, and looks at its own again
    assert [reader in cone for cone in votes_of(bench, "b")] == [False, True]
    bench.deliver()
    assert bench.undone(writers[0])
    assert bench.undone(reader)
    assert [reader in cone for cone in votes_of(bench, "b")] == [False, True]


def test_rb11_what_was_frozen_for_a_vote_stays_in_it_whatever_becomes_of_other_proposals() -> None:
    bench, writers, reader = summing(3, 3)
    bench.propose("d", writers[0])
    bench.deliver(but_for_silent)
    bench.asks_by_hand = True
    bench.propose("d", writers[1])
    bench.deliver(but_for_silent)
    bench.answer("a")
    bench.deliver(but_for_silent)
    assert bench.machines["b"].core.quarantine.freezes(reader)
    bench.asks_by_hand = False
    bench.agrees = lambda agent: agent != "e"
    bench.deliver(
        lambda mail: (
            (isinstance(mail[2], Ballot) and mail[2].proposal.roots == (writers[0],))
            or (isinstance(mail[2], Done) and mail[2].proposal == "d/1/p1")
        )
    )
    assert len(bench.machines["b"].rollback.undecided()) == 1
    bench.agrees = lambda agent: True
    bench.answer("b")
    bench.deliver()
    assert [bench.undone(writer) for writer in writers] == [False, True]
    assert [reader in cone for cone in votes_of(bench, "b")] == [False, True]
    assert bench.undone(reader)


def test_rb11_who_reads_more_frozen_than_it_tolerates_waits_and_who_reads_less_goes_on() -> None:
    for limit, waits in ((3, False), (2, True)):
        bench, writers, _ = summing(3, 3)
        bench.propose("d", writers[0])
        bench.deliver(but_for_silent)
        late = bench.step("b", tolerated=(Tolerated(KEY, limit, ((writers[0], 3), (writers[1], 3))),))
        assert (late not in bench.machines["b"].core.cone) == waits
        bench.deliver()
        assert ("b" in bench.runs) == waits, "after the decision it is run again"
        assert not bench.undone(late)


def test_rb11_what_was_undone_while_the_handler_ran_is_read_anew() -> None:
    bench, writers, _ = summing(3)
    bench.submit("b", b"x")
    undo(bench, writers[0])
    late = bench.ran("b", tolerated=(Tolerated(KEY, 5, ((writers[0], 3),)),))
    assert late not in bench.machines["b"].core.cone
    assert "b" in bench.runs


def test_rb11_what_has_been_used_up_outlives_a_crash() -> None:
    bench, writers, reader = summing(3, 3)
    undo(bench, writers[0])
    bench.crash("b")
    assert not bench.undone(reader)
    undo(bench, writers[1])
    assert bench.undone(reader)


def test_rb11_a_pending_part_outlives_a_crash() -> None:
    bench, writers, reader = summing(3, 3)
    bench.propose("d", writers[0])
    bench.deliver(but_for_silent)
    bench.crash("b")
    bench.propose("d", writers[1])
    bench.deliver()
    assert [reader in cone for cone in votes_of(bench, "b")] == [False, True]
    assert bench.undone(reader)


def test_rb11_what_has_been_used_up_is_in_a_base() -> None:
    bench, writers, reader = summing(3, 3, cuts=True)
    undo(bench, writers[0])
    bench.feed("b", Settled(1, (), 1))
    base = next(record for record in bench.disks["b"] if isinstance(record, BaseRecord))
    assert [record.step for record in base.steps] == [reader]
    bench.disks["b"] = [base]
    bench.crash("b")
    assert not bench.undone(reader)
    undo(bench, writers[1])
    assert bench.undone(reader)


def test_rb11_a_reader_that_also_depends_on_a_writer_tolerates_nothing_of_it() -> None:
    bench, writers, _ = summing(3)
    parts = ((writers[0], 3),)
    both = bench.step("b", tolerated=(Tolerated(KEY, 5, parts),), reads=(Read(KEY, writers[0]),))
    undo(bench, writers[0])
    assert bench.undone(both)


def test_rb11_losses_know_no_tolerance() -> None:
    bench, _, reader = summing(1)
    assert bench.machines["b"].core.cone.record(reader).clock == {"a": (1, 1), "b": (1, 1)}
    fact = lose_last_step(bench, "a")
    for name in ("b", "c"):
        bench.feed(name, Learned(fact))
    assert bench.undone(reader)
    assert bench.undone(StepId("c", 1, 1))
    assert not [mail for mail in bench.mail if isinstance(mail[2], Data) and mail[1] == "a"]
