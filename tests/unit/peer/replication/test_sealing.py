from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.replication.sealing import SECRET_BYTES, Seal, derived, level_of
from peer.store.chunking import CHUNKED_FROM, split

SEAL = Seal(b"s" * SECRET_BYTES, 2)
RECORDS = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda word, times: word * times, st.binary(min_size=1, max_size=40), st.integers(0, 2000)),
    st.integers(CHUNKED_FROM, 40_000).map(lambda size: Random(size).randbytes(size)),
)


@given(RECORDS)
@settings(max_examples=60, deadline=None)
def test_what_was_sealed_is_opened_as_it_was(record: bytes) -> None:
    sealed = SEAL.close("a", 7, record)
    assert level_of(sealed) == 2
    assert SEAL.open("a", 7, sealed) == record
    assert len(sealed) < len(record) + 40 + len(record) // 8


@given(RECORDS, st.data())
@settings(max_examples=60, deadline=None)
def test_what_was_altered_or_put_elsewhere_is_not_opened(record: bytes, data: st.DataObject) -> None:
    sealed = SEAL.close("a", 7, record)
    at = data.draw(st.integers(1, len(sealed) - 1))
    altered = bytes((*sealed[:at], sealed[at] ^ 1, *sealed[at + 1 :]))
    wrong = [("a", 8, sealed), ("b", 7, sealed), ("a", 7, altered), ("a", 7, sealed[:-1]), ("a", 7, sealed + b"\x00")]
    for log, number, body in (*wrong, ("a", 7, sealed[:1]), ("a", 7, sealed[: len(sealed) // 2])):
        with pytest.raises(ValueError, match=r"sealed|bytes|form"):
            SEAL.open(log, number, body)
    with pytest.raises(ValueError, match="as it was sealed"):
        Seal(b"t" * SECRET_BYTES, 2).open("a", 7, sealed)


def test_a_plain_record_is_not_taken_for_a_sealed_one() -> None:
    assert [level_of(record) for record in (b"", b"\x01abc", b"\x02", b"\x80", b"\x81")] == [0, 0, 0, 0, 1]


def test_of_a_large_value_of_which_little_has_changed_little_is_stored_anew() -> None:
    value, fresh = Random(1).randbytes(1_000_000), Random(2).randbytes(200)
    changed = value[:500_000] + fresh + value[500_200:]
    stored: dict[bytes, bytes] = {}
    split(SEAL.close("a", 1, value), stored.setdefault)
    before = sum(map(len, stored.values()))
    split(SEAL.close("a", 2, changed), stored.setdefault)
    assert sum(map(len, stored.values())) - before < 40_000
    assert before < 1_100_000


def test_secrets_for_different_purposes_have_nothing_in_common() -> None:
    assert derived(b"k" * 32, "level 1") != derived(b"k" * 32, "level 2") != derived(b"l" * 32, "level 2")
