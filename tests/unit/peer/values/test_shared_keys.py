"""Keys of shared spaces are told apart, and what no reader could fold is refused when it is written."""

from decimal import Decimal
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer import CallerError
from peer.values.shared_keys import checked_amount, checked_member, keys_of, map_key, total

PARTS = ["a", "b", "a/b", "b/c", "a/b/c", "/", "", "{1}a", "{3}a/b", ("a", "b/c"), 1, "1", "%2F"]


def test_no_two_keys_share_a_text() -> None:
    texts = [map_key("s", name, key)[0] for name, key in product(PARTS, PARTS)]
    assert len(set(texts)) == len(PARTS) ** 2


TEXTS = st.text(st.sampled_from('a/{}1"['), max_size=5)


@given(st.tuples(TEXTS, TEXTS), st.tuples(TEXTS, TEXTS))
def test_equal_texts_are_of_equal_keys(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (map_key("s", *one)[0] == map_key("s", *other)[0]) == (one == other)


def test_the_keys_inside_a_map_are_found_again() -> None:
    texts = [map_key("s", name, key)[0] for name, key in product(PARTS, PARTS) if isinstance(name, str)]
    for name in PARTS:
        if isinstance(name, str) and "/" in name:
            assert set(keys_of("s", name, texts)) == set(PARTS)


@pytest.mark.parametrize("amount", ["3", None, float("nan"), float("inf"), Decimal("nan"), [1], b"1", 1j])
def test_what_is_no_finite_number_is_not_added(amount: object) -> None:
    with pytest.raises(CallerError, match=r"can't be added to a counter.*Nothing was written"):
        checked_amount(amount)


def test_a_number_beyond_all_floats_is_not_added() -> None:
    for amount in (10**400, 10**5_000, -(10**400), Decimal("1e400")):
        with pytest.raises(CallerError, match=r"can't be added to a counter.*Nothing was written"):
            checked_amount(amount)


def test_numbers_of_models_are_numbers() -> None:
    assert [checked_amount(each) for each in (np.float32(0.5), np.int64(3), True, Decimal("1.5"))] == [
        0.5,
        3,
        1,
        Decimal("1.5"),
    ]
    assert type(checked_amount(np.int64(3))) is int


def test_numbers_of_different_types_are_added_up() -> None:
    assert total([1, 0.1, Decimal("0.2")]) == Decimal("1.3")
    assert total([1, 2]) == 3
    assert total([0.5, "x", None]) == 0.5


@pytest.mark.parametrize("member", [[1], {"a": 1}, {1}, ([1],)])
def test_what_has_no_hash_is_no_member(member: object) -> None:
    with pytest.raises(CallerError, match=r"can't be a member of a set.*Nothing was written"):
        checked_member(member)


def test_a_signaling_nan_is_not_added() -> None:
    with pytest.raises(CallerError, match="can't be added"):
        checked_amount(Decimal("sNaN"))
