"""Whose copy of a log an heir goes on with, where one heir has died after another."""

from peer.replication.inquiry import FoundCopy
from peer.replication.successor import best_of


def copy(first, *records):
    found = FoundCopy()
    found.first, found.records = first, list(records)
    return found


def test_of_a_part_and_the_whole_of_a_log_the_whole_is_taken_and_what_was_begun_anew_before_both():
    whole = copy(1, b"1", b"2", b"3", b"4")
    part, anew = copy(1, b"1", b"2"), copy(1, b"1", b"2", b"anew")
    assert best_of({"heir": part, "first": whole}) == "first"
    assert best_of({"heir": anew, "first": whole}) == "heir"
    assert best_of({"heir": copy(1, *whole.records, b"anew"), "first": whole}) == "heir"
    assert best_of({"heir": part}) == "heir"
    # One of three: the second has begun anew on what the first had.
    assert best_of({"third": copy(1, b"1"), "second": anew, "first": whole}) == "second"
    # The whole one begins later, with an anchor that the part does not reach.
    assert best_of({"heir": part, "first": copy(4, b"4", b"5")}) == "first"
    assert best_of({"heir": copy(3, b"3"), "first": copy(2, b"2", b"3", b"4")}) == "first"
