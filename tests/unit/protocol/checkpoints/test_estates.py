"""What a successor takes over: whom it waits for, what it says then, and whose copy of a log it goes on with."""

from peer.replication.inquiry import FoundCopy
from protocol.action import CutReady
from protocol.checkpoints.estates import Estates, best_of, is_settled, longest, missing
from protocol.fact import Began


def copy(first, *records, whole=True):
    found = FoundCopy()
    found.first, found.records, found.is_whole = first, list(records), whole
    return found


def cut(epoch, *begun):
    return CutReady(epoch, epoch, begun)


def test_of_a_part_and_the_whole_of_a_log_the_whole_is_taken_and_what_was_begun_anew_before_both():
    whole = copy(1, b"1", b"2", b"3", b"4")
    part, anew = copy(1, b"1", b"2"), copy(1, b"1", b"2", b"anew")
    assert best_of({"successor": part, "first": whole}) == "first"
    assert best_of({"successor": anew, "first": whole}) == "successor"
    assert best_of({"successor": copy(1, *whole.records, b"anew"), "first": whole}) == "successor"
    assert best_of({"successor": part}) == "successor"
    # One of three: the second has begun anew on what the first had.
    assert best_of({"third": copy(1, b"1"), "second": anew, "first": whole}) == "second"
    # The whole one begins later, with an anchor that the part does not reach.
    assert best_of({"successor": part, "first": copy(4, b"4", b"5")}) == "first"
    assert best_of({"successor": copy(3, b"3"), "first": copy(2, b"2", b"3", b"4")}) == "first"


def test_copies_count_once_all_have_answered_in_full_that_must_have_one():
    full, cut_off = copy(1, b"1"), copy(1, b"1", whole=False)
    assert is_settled({"h1": full, "h2": full, "h3": cut_off}, ["h1", "h2"])
    assert not is_settled({"h1": full}, ["h1", "h2"])
    assert not is_settled({"h1": full, "h2": cut_off}, ["h1", "h2"])
    assert is_settled({}, [])


def test_the_longest_copy_is_taken_and_an_empty_one_is_none():
    short, long = copy(1, b"1", b"2"), copy(2, b"2", b"3")
    assert longest([short, long]) is long
    assert longest([copy(0)]) is None


def test_others_are_asked_once_for_whoever_is_not_here_and_never_for_a_log_that_is_a_host_s():
    assert missing(["a", "b", "host:", "b", "c"], {"a"}, "host:") == ["b", "c"]


def test_nothing_is_said_before_every_agent_has_made_the_cut_and_then_once():
    estates, began = Estates(), Began("a", 2, 1)
    estate = estates.begin("dead", [], ["a", "b"], [], ["a", "b"], ["said"])
    assert not estate.is_open
    estates.ready("a", cut(4, began), 2)
    assert estates.finished() == []
    estates.ready("elsewhere", cut(4), 9)
    estates.settled(3)
    estates.ready("b", cut(4), 1)
    assert estates.finished() == [("dead", ["said"], (began,), 3)]
    assert estates.finished() == []


def test_an_agent_that_can_not_come_up_or_lives_elsewhere_is_not_waited_for():
    estates = Estates()
    estates.begin("dead", [], ["a", "b", "c"], [], [], [])
    estates.ready("a", cut(4), 2)
    estates.drop("dead", "b")
    estates.gone("c")
    assert [done.horizon for done in estates.finished()] == [2]


def test_an_estate_is_open_while_an_agent_of_it_has_no_copy_here():
    estates = Estates()
    estate = estates.begin("dead", [], ["a"], [], ["a", "b"], [])
    assert estate.is_open
    estates.ready("a", cut(4), 0)
    assert estates.finished() == []
    estate.found(["b"])
    assert estates.finished() == []
    estates.ready("b", cut(4), 0)
    assert [done.dead for done in estates.finished()] == ["dead"]


def test_of_a_dead_successor_only_what_was_begun_here_comes_up_before_others_have_answered():
    estates = Estates()
    estate = estates.begin("successor", ["first"], ["a", "b"], ["b"], [], [])
    assert estate.agents == ("b",)
    assert estate.is_open
    assert estate.before == ["first"]
    older = estates.reopen("first", ["c"])
    assert older.agents == ("c",)
    for agent in ("b", "c"):
        estates.ready(agent, cut(4), 0)
    estate.found(["a"])
    older.found([])
    assert [done.dead for done in estates.finished()] == ["first"]
