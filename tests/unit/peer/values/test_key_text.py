from enum import IntEnum
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.errors import PayloadInvalid, PayloadTooLarge, PayloadUnsupported
from peer.values.payload import decode_key, encode_key

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
TRICKY = st.sampled_from(
    ["", "1", "-", "true", "null", "truer", "space:x", "spaces", "[", '"', "{", '"a"', "[1]", "٣", "\n"]
)
KEYS = st.recursive(
    st.booleans() | st.integers() | TEXTS | TRICKY, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6
)


def nested(depth):
    value = ()
    for _ in range(depth - 1):
        value = (value,)
    return value


class Level(IntEnum):
    HIGH = 3


class Pair(NamedTuple):
    a: int
    b: int


def apart(key):
    """A key with its types: Python takes 1 and True for equal."""
    return (type(key).__name__, tuple(map(apart, key)) if isinstance(key, tuple) else key)


@given(KEYS)
def test_a_key_comes_back_from_its_text(key):
    assert apart(decode_key(encode_key(key))) == apart(key)


@given(KEYS, KEYS)
def test_distinct_keys_have_distinct_texts(one, other):
    assert (encode_key(one) == encode_key(other)) == (apart(one) == apart(other))


@given(st.text(st.sampled_from('[]",{}1 -abspce:truefalsnul.\\'), max_size=8))
def test_a_text_is_some_keys_or_refused(text):
    try:
        key = decode_key(text)
    except PayloadInvalid:
        return
    assert encode_key(key) == text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("total", "total"),
        ("a/b c", "a/b c"),
        ("é", "é"),
        ("1", '"1"'),
        (1, "1"),
        (-5, "-5"),
        (True, "true"),
        ("true", '"true"'),
        ("truth", "truth"),
        ("null", '"null"'),
        ("", '""'),
        ("space:x", '"space:x"'),
        ("-x", '"-x"'),
        ("[x", '"[x"'),
        ((1,), "[1]"),
        (("a", (2, False)), '["a",[2,false]]'),
        ((), "[]"),
    ],
)
def test_keys_texts(key, text):
    assert encode_key(key) == text
    assert apart(decode_key(text)) == apart(key)


@pytest.mark.parametrize(
    "key", [None, 1.0, b"x", [1], ("a", None), Level.HIGH, Pair(1, 2), np.int64(1), "\ud800", ("\ud800",)]
)
def test_a_key_of_another_type_is_refused(key):
    with pytest.raises(PayloadUnsupported):
        encode_key(key)


@pytest.mark.parametrize("key", ["x" * 5000, 10**4000, 1 << 10**6, nested(20), ("x" * 4095,)], ids=range(5))
def test_a_key_over_a_limit_is_refused(key):
    with pytest.raises(PayloadTooLarge):
        encode_key(key)


@pytest.mark.parametrize(
    "text",
    ["", "null", "space:x", "1.5", "01", "[1, 2]", '"a"', "[null]", "{}", "[" * 4000, "9" * 4090, "x" * 5000, '["a'],
    ids=lambda text: text[:16],
)
def test_a_text_that_is_no_keys_is_refused(text):
    with pytest.raises(PayloadInvalid):
        decode_key(text)
