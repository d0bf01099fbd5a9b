"""Documents of shared entries between an author and its subscribers, without a network."""

import weakref

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Doc, Map

from peer.host.replicas import Replicas
from protocol.agent.folds import Op, encode_op
from protocol.ids import StepId
from protocol.message import Shared
from protocol.step import Entry, space_key


def entry(number: int, author: str = "a") -> Entry:
    writer = StepId(author, 1, number)
    return Entry(space_key("s", "k"), writer, 1, encode_op(Op("add", b"1")), {author: (1, number)}, number)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=25), st.integers(1, 8))
def test_a_replica_converges_whatever_is_lost_doubled_or_late(arrivals: list[tuple[int, bool]], count: int) -> None:
    author, reader = Replicas("a"), Replicas("b")
    updates = [update for number in range(1, count + 1) for update in author.write([entry(number)])]
    got: set[int] = set()
    for at, _ in arrivals:
        merged, _gap = reader.merge("a", updates[at % count])
        seqs = {found.writer.seq for found in merged}
        assert not seqs & got  # nothing comes twice
        got |= seqs
    author.asked("b", reader.vector("s"))
    answer = author.answer("b", "s")
    assert answer is not None
    merged, gap = reader.merge("a", answer)
    assert not gap
    assert got | {found.writer.seq for found in merged} == set(range(1, count + 1))
    assert reader.has()["s"]["a"] == author.serves("s")


def test_an_update_whose_forerunner_is_missing_is_a_gap() -> None:
    author, reader = Replicas("a"), Replicas("b")
    author.write([entry(1)])
    (second,) = author.write([entry(2)])
    assert reader.merge("a", second) == ([], True)


def test_an_author_that_comes_back_with_a_new_document_is_asked_anew() -> None:
    author, reader = Replicas("a"), Replicas("b")
    (first,) = author.write([entry(1)])
    reader.merge("a", first)
    back = Replicas("a")
    back.write([entry(1)])
    (second,) = back.write([entry(2)])
    assert reader.merge("a", second) == ([], True)
    back.asked("b", reader.vector("s"))
    answer = back.answer("b", "s")
    assert answer is not None
    merged, _ = reader.merge("a", answer)
    assert 2 in {found.writer.seq for found in merged}


def test_withdrawn_entries_never_reach_a_newcomer() -> None:
    author, late = Replicas("a"), Replicas("c")
    author.write([entry(1), entry(2)])
    author.withdraw([StepId("a", 1, 1)])
    author.asked("c", late.vector("s"))
    answer = author.answer("c", "s")
    assert answer is not None
    merged, _ = late.merge("a", answer)
    assert [found.writer.seq for found in merged] == [2]


def test_slots_in_the_name_of_another_or_of_no_form_are_refused_and_counted() -> None:
    forged = Doc()
    slots = forged.get("slots", type=Map)
    good = entry(1)
    with forged.transaction():
        slots[f"{good.key}\x1fa/1/1\x1f1"] = msgspec.msgpack.encode(good)
        slots["anything"] = b"\xc1"
        slots["elsewhere"] = msgspec.msgpack.encode(entry(3, author="m"))
    reader = Replicas("b")
    merged, _ = reader.merge("m", Shared("s", forged.get_update(), 0, 3, 1))
    assert merged == []
    assert reader.refused == 3


def test_an_update_or_a_vector_that_is_none_is_refused_and_counted() -> None:
    reader, author = Replicas("b"), Replicas("a")
    assert reader.merge("a", Shared("s", b"\xff\xff", 0, 1, 1)) == ([], False)
    assert reader.refused == 1
    author.asked("b", reader.vector("s").__class__("s", b"\xff\xff"))
    assert author.answer("b", "s") is None
    assert author.refused == 1


def test_slots_that_hold_no_entry_are_refused() -> None:
    reader = Replicas("b")
    for value in (1.5, None, "text", True, [1], b"\xc1", b""):
        doc: Doc[dict[str, object]] = Doc(client_id=7)
        doc.get("slots", type=Map)["slot"] = value
        assert reader.merge("m", Shared("s", doc.get_update(), 0, 1, 7)) == ([], False)
    assert reader.refused == 6, "two went by one place: the later is no news"


def test_an_update_at_which_the_library_panics_is_refused_and_the_next_one_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It is no Exception, and ended the process of whoever was sent it.
    monkeypatch.setattr("peer.host.replicas.check_update", lambda update: None)
    author, reader = Replicas("a"), Replicas("b")
    (first,) = author.write([entry(1)])
    assert len(reader.merge("a", first)[0]) == 1
    panics = bytes.fromhex("01020100270105736c6f747301780100000100016bff7c3f80000000")
    assert reader.merge("m", Shared("s", panics, 0, 1, 7)) == ([], False)
    assert reader.refused == 1
    author.asked("b", reader.vector("s"))
    answer = author.answer("b", "s")
    assert answer is not None
    assert [found.writer.seq for found in reader.merge("a", answer)[0]] == [1]


def test_documents_go_with_the_last_reference_to_them() -> None:
    reader = Replicas("b")
    (update,) = Replicas("a").write([entry(1)])
    reader.merge("a", update)
    left = weakref.ref(reader)
    del reader
    assert left() is None
