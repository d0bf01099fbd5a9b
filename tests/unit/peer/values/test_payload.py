import subprocess
import sys
from collections import OrderedDict, namedtuple
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum

import msgpack
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from peer.errors import PayloadInvalid, PayloadTooLarge, PayloadUnsupported
from peer.values import payload
from peer.values.payload import decode, encode

ZONES = st.one_of(st.none(), st.just(UTC), st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    TEXTS,
    st.binary(),
    st.datetimes(timezones=ZONES),
    st.dates(),
    st.decimals(allow_nan=False),
    st.uuids(),
)
HASHABLE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4)
)
VALUES = st.recursive(
    HASHABLE | st.sets(HASHABLE, max_size=4),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(HASHABLE, inner, max_size=5) | st.tuples(inner, inner),
    max_leaves=25,
)


def same(one, other):
    """Equal, of the same types throughout, dicts in the same order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, datetime):
        return one == other and one.utcoffset() == other.utcoffset()
    if isinstance(one, float | Decimal):
        return str(one) == str(other)
    return one == other


@given(VALUES)
@example(datetime(2000, 1, 1, tzinfo=timezone(timedelta(microseconds=-1))))
def test_a_value_comes_back_as_it_was(value):
    data = encode(value)
    assert same(decode(data), value)
    assert encode(decode(data)) == data


@given(npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_dims=0, min_side=0)))
def test_an_array_comes_back_as_it_was(array):
    if array.dtype in (np.longdouble, np.clongdouble):
        return
    back = decode(encode(array))
    assert isinstance(back, np.ndarray)
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert back.flags.writeable


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int8, np.uint64, np.bool_, np.complex64])
def test_a_numpy_scalar_comes_back_as_it_was(kind):
    back = decode(encode([kind(1)]))[0]
    assert type(back) is kind
    assert back == kind(1)


def test_numpy_of_other_kinds():
    for value in (np.datetime64("2024-01-02T03:04", "ns"), np.timedelta64(5, "s"), np.datetime64("NaT")):
        back = decode(encode(value))
        assert (back.dtype, str(back)) == (value.dtype, str(value))
    words = np.array([["a", "bcd"], ["é", "😀"]])
    assert (decode(encode(words)) == words).all()
    strided = np.arange(12).reshape(3, 4)[:, ::2]
    assert (decode(encode(strided)) == strided).all()


def test_equal_sets_have_equal_bytes_under_every_hash_seed():
    program = (
        "from peer.values.payload import encode; print(encode({'a', 'b', 'c', ('d', 1), frozenset('xyz'), 2.5}).hex())"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(made) == 1


def test_dicts_keep_their_order():
    assert list(decode(encode({"b": 1, "a": 2, 0: 3}))) == ["b", "a", 0]
    assert encode({"b": 1, "a": 2}) != encode({"a": 2, "b": 1})


def test_values_that_python_takes_for_equal_but_are_not_the_same_stay_apart():
    naive = datetime(2024, 1, 1)
    for group in ([1, True, 1.0, Decimal(1), np.float64(1)], [[1], (1,)], [{1}, frozenset([1])], [naive, naive.date()]):
        assert len({encode(value) for value in group}) == len(group)
    assert encode(naive) != encode(naive.replace(tzinfo=UTC))


# -- limits ---------------------------------------------------------------------------------------------------------


def nested(depth, kind):
    value = kind()
    for _ in range(depth - 1):
        value = kind([value])
    return value


@pytest.mark.parametrize("kind", [list, tuple, frozenset, lambda inner=(): {"k": inner[0]} if inner else {}])
def test_depth_is_limited(kind):
    assert decode(encode(nested(payload.DEPTH_MAX, kind))) == nested(payload.DEPTH_MAX, kind)
    with pytest.raises(PayloadTooLarge, match="deeper"):
        encode(nested(payload.DEPTH_MAX + 1, kind))


def test_a_value_in_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(PayloadTooLarge, match="in itself"):
        encode(value)


def test_items_are_limited_and_shared_ones_count_each_time():
    row = [0] * 1000
    assert len(decode(encode([row] * 998))) == 998
    with pytest.raises(PayloadTooLarge, match="items"):
        encode([row] * 1000)


def test_size_and_strings_are_limited():
    assert decode(encode("x" * payload.STRING_CHARS_MAX)) == "x" * payload.STRING_CHARS_MAX
    with pytest.raises(PayloadTooLarge, match=r"value\['text'\] is a str of length"):
        encode({"text": "x" * (payload.STRING_CHARS_MAX + 1)})
    with pytest.raises(PayloadTooLarge, match=r"value key .* is a str"):
        encode({"x" * (payload.STRING_CHARS_MAX + 1): 1})
    with pytest.raises(PayloadTooLarge, match="encoded"):
        encode(bytes(payload.PAYLOAD_BYTES_MAX))
    with pytest.raises(PayloadTooLarge):
        encode(bytes(payload.PAYLOAD_BYTES_MAX + 1))
    with pytest.raises(PayloadTooLarge, match="array of"):
        encode(np.zeros(payload.PAYLOAD_BYTES_MAX))
    with pytest.raises(PayloadTooLarge):
        encode([1, 2, 3], bytes_max=3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x01\x02",
        b"\x92\x01",
        b"\xa2\xff\xff",
        b"\x81\x90\x01",  # a list as key
        b"\xdd\xff\xff\xff\xff",
        b"\xd6\xff\x00\x00\x00\x00",  # MessagePack's own timestamp
        b"\x91" * 100 + b"\x01",
        b"\x91" * 5000 + b"\x01",
        b"\xdd\x00\x0f\x42\x40" * 1020 + bytes(1_000_000),
        msgpack.packb("x" * (payload.STRING_CHARS_MAX + 1)),
        bytes(payload.PAYLOAD_BYTES_MAX + 1),
        msgpack.packb([[0] * 1000] * 1000),
        *(
            msgpack.packb(msgpack.ExtType(code, raw))
            for code, raw in [
                (2, b"x"),
                (3, b"yesterday"),
                (4, b"2024-13-01"),
                (5, b"short"),
                (6, b"\x01"),
                (6, b"\xa3abc"),
                (7, b"\x91\x90"),
                (9, msgpack.packb(["|O", [1], bytes(8)])),
                (9, msgpack.packb(["<f8", [2], bytes(8)])),
                (9, msgpack.packb(["<f8", [1], bytes(16)])),
                (9, msgpack.packb(["<f8", [-1], bytes(8)])),
                (9, msgpack.packb(["<f8", [0, 2**62, 2**62], b""])),
                (9, msgpack.packb(["i4,i4", [1], bytes(8)])),
                (9, msgpack.packb([7, [1], bytes(8)])),
                (9, msgpack.packb(["<U1", [1], b"\xff" * 4])),
                (9, msgpack.packb(["<U1", [], b"\xff" * 4])),
                (10, msgpack.packb(["<f8", bytes(4)])),
                (10, msgpack.packb(["<U1", b"a\0\0\0"])),
                (99, b""),
            ]
        ),
    ],
    ids=lambda data: data[:16].hex(),
)
def test_what_encode_can_not_have_made_is_refused(data):
    with pytest.raises(PayloadInvalid):
        decode(data)


def test_extensions_inside_each_other_are_limited():
    data = b"\x90"
    for _ in range(70):
        data = msgpack.packb([msgpack.ExtType(6, data)])
    with pytest.raises(PayloadInvalid):
        decode(data)


@given(st.binary(max_size=60))
def test_noise_decodes_to_a_value_or_is_refused(noise):
    try:
        value = decode(noise)
    except PayloadInvalid:
        return
    encode(value)


# -- unsupported ----------------------------------------------------------------------------------------------------


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"a": [0, 1, 2, object()]}, r"value\['a'\]\[3\] is of type object"),
        ({("k", object()): 1}, r"value key \('k', .*\[1\] is of type object"),
        ([{1, Pair(1, 2)}], r"value\[0\] element Pair.* is of type Pair.*tuple\(value\)"),
        (bytearray(b"x"), r"bytearray.*bytes\(value\)"),
        (OrderedDict(), r"OrderedDict.*dict\(value\)"),
        (Colour.RED, r"Colour.*\.value"),
        (Level.HIGH, r"Level.*\.value"),
        (1j, "complex"),
        (timedelta(1), "timedelta"),
        (range(3), "range"),
        (np.array([object()]), "dtype object"),
        (np.zeros(2, [("a", "i4")]), "dtype"),
        (np.longdouble(1), "dtype"),
        (np.str_("x\0"), r"str_.*str\(value\)"),
        (np.ma.array([1]), "MaskedArray"),
        (np.datetime64, "type"),
        ("\ud800", "surrogate"),
        ({"k": ["\ud800"]}, "surrogate"),
    ],
)
def test_a_type_that_is_not_supported_is_named_with_its_place(value, named):
    with pytest.raises(PayloadUnsupported, match=named):
        encode(value)
