"""Rule MB-9: an agent moves by one record, and is in one place at any time."""

from protocol.checkpoints.condensing import condensed
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.messages import (
    CheckpointRecord,
    ComingRecord,
    CommitRecord,
    HandedRecord,
    KnownRecord,
    MovedRecord,
    RestoreVoteRecord,
    StatedRecord,
    SucceededRecord,
    TakenRecord,
)
from protocol.checkpoints.moves import Moves
from protocol.fact import Began
from protocol.ids import HostId
from tests.rules.crowd import Crowd

BEGAN = Began("a", 2, ((1, 7),))


def moved(id: str = "m", to: HostId = "h1", undecided: int | None = None) -> MovedRecord:
    return MovedRecord("a", id, to, "h0", "kinds:A", b"", 1, 0, 0, (BEGAN,), undecided)


def of(*records: CheckpointRecord, host: HostId = "h0") -> Moves:
    return Moves.of(host, records)


def test_mb9_from_one_record_on_an_agent_is_another_hosts_and_is_handed_over_until_that_one_has_it() -> None:
    before, after = of(), of(moved())
    assert (before.is_away("a"), before.pending()) == (False, [])
    assert (after.is_away("a"), after.pending()) == (True, [moved()])
    over = of(moved(), HandedRecord("a", "m", 3))
    assert (over.is_away("a"), over.pending()) == (True, [])


def test_mb9_what_comes_does_not_live_here_before_it_is_said_to() -> None:
    assert of(ComingRecord("a", "m"), host="h1").is_away("a")
    there = of(ComingRecord("a", "m"), TakenRecord("a", "m", "kinds:A", b"", 2), host="h1")
    assert not there.is_away("a")
    assert [record.term for record in there.taken()] == [2]
    gone_on = of(TakenRecord("a", "m", "kinds:A", b""), moved("n", "h2"), host="h1")
    assert (gone_on.is_away("a"), gone_on.taken()) == (True, [])


def test_mb9_a_move_is_taken_once_also_by_who_has_succeeded_whom_it_went_to() -> None:
    taken = of(TakenRecord("a", "m", "kinds:A", b""), moved("n", "h2"), host="h1")
    assert "m" in taken.known
    successor = of(SucceededRecord("h1", "h3"), KnownRecord(tuple(taken.known)), host="h3")
    assert "m" in successor.known
    assert successor.has_inherited("h1")
    assert not of(SucceededRecord("h1", "h2"), host="h3").has_inherited("h1")


def test_mb9_what_has_come_back_before_it_was_anywhere_else_is_here() -> None:
    moves = of(moved(to="h1"), SucceededRecord("h1", "h0"), TakenRecord("a", "m", "kinds:A", b""))
    assert (moves.is_away("a"), moves.pending()) == (False, [])


def test_mb9_what_a_dead_host_has_given_to_this_one_is_here_though_its_word_comes_late() -> None:
    given = moved(to="h1")
    late = of(TakenRecord("a", "m", "kinds:A", b""), SucceededRecord("h0", "h1"), given, host="h1")
    assert (late.is_away("a"), late.pending()) == (False, [])


def test_mb9_what_was_inherited_and_has_moved_on_is_not_inherited_again_with_the_next_start() -> None:
    stale = of(moved(), HandedRecord("a", "m", 0), SucceededRecord("h1", "h0"))
    assert stale.is_away("a")
    assert not stale.has_moved_on("a", "h1"), "it was there when that one died: it comes here with the rest"
    on = of(SucceededRecord("h1", "h0"), moved("n", "h2"))
    assert on.has_moved_on("a", "h1")
    later = of(SucceededRecord("h1", "h0"), moved("n", "h2"), SucceededRecord("h2", "h0"))
    assert later.has_moved_on("a", "h1")
    assert not later.has_moved_on("a", "h2")
    assert not later.has_moved_on("a", "h3"), "what it has never had it can't have moved on"


def test_mb9_cuts_speak_for_an_agent_that_is_on_its_way_until_others_do() -> None:
    moves = of(moved(undecided=2))
    assert moves.said_for(5, 5, ()) == (2, (BEGAN,))
    moves.apply(HandedRecord("a", "m", 6))
    # Whom it went to may have made that cut before it came.
    assert moves.said_for(6, 6, ()) == (2, (BEGAN,))
    assert moves.said_for(7, 7, ()) == (7, ())


def test_mb9_a_cut_is_stated_with_what_an_agent_on_its_way_has_lost() -> None:
    crowd = Crowd("h0", "h1")
    crowd.checkpoint("h0")
    crowd.machines["h0"].core.moves.apply(moved(undecided=1))
    crowd.checkpoint("h1")
    stated = [record for record in crowd.logs["h0"] if isinstance(record, StatedRecord) and record.epoch == 2]
    assert [(each.statement.begun, each.statement.undecided) for each in stated] == [((BEGAN,), 1)]
    commit = crowd.machines["h1"].epochs.commit
    assert commit is not None
    assert commit.begun == (BEGAN,)


def test_mb9_nobody_agrees_to_a_restore_while_an_agent_is_on_its_way() -> None:
    crowd = Crowd("h0", "h1")
    crowd.checkpoint("h0")
    crowd.machines["h0"].core.moves.apply(moved())
    crowd.do("h1", crowd.machines["h1"].restore(9, "r", 1, "discard", "", 0, crowd.now_us))
    crowd.rounds(40)
    votes = [record.statement.reject for record in crowd.logs["h0"] if isinstance(record, RestoreVoteRecord)]
    assert votes == ["agent a moves to host h1; try again when it is there"]
    assert crowd.machines["h1"].restores.era == 0


def test_mb9_a_condensed_log_says_the_same_of_who_is_here() -> None:
    view = ("h0", "h1")
    records: list[CheckpointRecord] = [
        TakenRecord("b", "old", "kinds:B", b""),
        moved("1"),
        HandedRecord("a", "1", 1),
        ComingRecord("a", "2"),
        TakenRecord("a", "2", "kinds:A", b"", 3),
        SucceededRecord("h9", "h0"),
        moved("3"),
        *(CommitRecord(Commit(epoch, view)) for epoch in range(10)),
        KnownRecord(("before",)),
    ]
    found = condensed(records)
    assert len(found) < len(records)
    for host in ("h0", "h1"):
        whole, short = of(*records, host=host), of(*found, host=host)
        assert short.pending() == whole.pending()
        assert short.known.keys() == whole.known.keys() == {"old", "2", "before"}
        assert [short.is_away(agent) for agent in "ab"] == [whole.is_away(agent) for agent in "ab"] == [True, False]
        assert short.has_moved_on("a", "h9") == whole.has_moved_on("a", "h9")
    assert condensed(found) == found
