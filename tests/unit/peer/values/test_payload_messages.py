from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.errors import PayloadInvalid, PayloadTooLarge, PayloadUnsupported
from peer.values import payload
from peer.values.payload import decode_message, encode, encode_message, type_name

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=15,
)


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Item(msgspec.Struct):
    name: str
    price: Decimal
    note: str | None = None


class Cash(msgspec.Struct, tag=True):
    amount: int


class Card(msgspec.Struct, tag="card", tag_field="kind", rename="camel"):
    card_number: str


class Wire(msgspec.Struct, tag=True):
    to: str


class Spot(msgspec.Struct, array_like=True):
    x: int
    y: int


class Names(NamedTuple):
    first: str
    last: str


@dataclass
class Order:
    id: UUID
    at: datetime
    items: list[Item]
    by_day: dict[date, tuple[Item, ...]] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    weights: Any = None
    size: int = 0


class Everything(msgspec.Struct):
    paid: Cash | Wire
    card: Card
    spot: Spot
    names: Names
    colour: Colour
    level: Level
    score: float
    array: np.ndarray
    scalar: np.float32
    missing: int | msgspec.UnsetType = msgspec.UNSET
    order: Order | None = None
    anything: object = None


TYPES = {kind.__name__: kind for kind in (Item, Order, Everything, Spot, Card)}


def roundtrip(message):
    return decode_message(encode_message(message), TYPES)


def order():
    item = Item("cup", Decimal("3.10"))
    return Order(
        uuid4(),
        datetime(2024, 5, 6, tzinfo=UTC),
        [item],
        {date(2024, 5, 6): (item, item)},
        {"b", "a"},
        np.ones(3),
        2**70,
    )


def test_dataclasses_and_structs_come_back_typed():
    sent = order()
    back = roundtrip(sent)
    assert isinstance(back, Order)
    assert isinstance(back.items[0], Item)
    assert (back.weights == sent.weights).all()
    back.weights = sent.weights = None
    assert back == sent


def test_a_message_of_every_kind_of_field_comes_back():
    sent = Everything(
        Cash(5),
        Card("12"),
        Spot(1, 2),
        Names("a", "b"),
        Colour.RED,
        Level.HIGH,
        1.5,
        np.ones(2),
        np.float32(2),
        order=order(),
    )
    back = roundtrip(sent)
    for name in ("paid", "card", "spot", "names", "colour", "level", "score", "scalar", "missing", "anything"):
        assert getattr(back, name) == getattr(sent, name)
        assert type(getattr(back, name)) is type(getattr(sent, name))
    assert isinstance(back.order, Order)
    assert roundtrip(Spot(3, 4)) == Spot(3, 4)
    assert roundtrip(Card("9")) == Card("9")


def test_a_numpy_float_fits_a_float_field():
    back = decode_message(encode_message(Scored(np.float64(1.5))), {"Scored": Scored})
    assert type(back.score) is np.float64


class Scored(msgspec.Struct):
    score: float


@given(VALUES)
def test_plain_values_are_messages_without_a_type(value):
    data = encode_message(value)
    assert type_name(data) == ""
    assert repr(decode_message(data, {})) == repr(value)


def test_equal_messages_have_equal_bytes():
    sent = order()
    assert encode_message(sent) == encode_message(Order(**vars(sent)))


def test_the_tag_is_read_alone():
    assert type_name(encode_message(order())) == "Order"
    assert type_name(encode_message(Item("x" * 10_000, Decimal(1)))) == "Item"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x92",
        b"\x92\x01\x02",
        b"\x93\xa1x\x01\x02",
        b"\x92\xa2\xff\xff\x01",
        b"\x92\xdb\xff\xff\xff\xff",
    ],
)
def test_what_is_no_message_has_no_type(data):
    with pytest.raises(PayloadInvalid):
        type_name(data)
    with pytest.raises(PayloadInvalid):
        decode_message(data, TYPES)


def test_unknown_fields_are_ignored_and_missing_ones_named():
    assert decode_message(encode(["Item", {"name": "a", "price": Decimal(1), "new": 1}]), TYPES) == Item(
        "a", Decimal(1)
    )
    with pytest.raises(PayloadInvalid, match=r"Item.*`price`"):
        decode_message(encode(["Item", {"name": "a"}]), TYPES)
    fields = {"id": uuid4(), "at": datetime.now(UTC), "items": [{"price": Decimal(1)}]}
    with pytest.raises(PayloadInvalid, match=r"Order.*`name`.*items\[0\]"):
        decode_message(encode(["Order", fields]), TYPES)


@pytest.mark.parametrize("fields", [{"name": 1, "price": Decimal(1)}, {"name": "a", "price": "1.0"}, [], "Item", None])
def test_wrong_fields_are_refused(fields):
    with pytest.raises(PayloadInvalid, match="Item"):
        decode_message(encode(["Item", fields]), TYPES)


def test_an_unknown_type_is_named():
    with pytest.raises(PayloadInvalid, match=r"'Nope'.*known: Card"):
        decode_message(encode(["Nope", {}]), TYPES)


def test_messages_have_the_limits_of_values():
    with pytest.raises(PayloadTooLarge, match="deeper"):
        encode_message(Scored(nested(payload.DEPTH_MAX)))
    with pytest.raises(PayloadUnsupported, match=r"value\['score'\]\[0\] is of type object"):
        encode_message(Scored([object()]))
    with pytest.raises(PayloadUnsupported, match="Send it as a message"):
        encode_message([Scored(1.0)])
    with pytest.raises(PayloadInvalid):
        decode_message(encode(["Scored", {"score": 1.0, "x": "y" * 100}]), {"Scored": Scored}, bytes_max=50)


def test_annotations_that_cant_be_checked_are_the_callers_error():
    @dataclass
    class Broken:
        either: Order | Item

    with pytest.raises(PayloadUnsupported, match="Broken"):
        encode_message(Broken(order()))
    with pytest.raises(PayloadUnsupported, match="Broken"):
        decode_message(encode(["Broken", {}]), {"Broken": Broken})


def nested(depth):
    value = ()
    for _ in range(depth - 1):
        value = (value,)
    return value
