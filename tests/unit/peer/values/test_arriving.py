"""Messages arrive as they were sent, or are refused where they are sent."""

import enum
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
import pytest

from peer import PayloadUnsupported
from peer.values.payload import decode_message, encode_message


class Colour(enum.Enum):
    RED = "red"


class Spot(NamedTuple):
    x: float
    y: float


ORIGIN = Spot(0.0, 0.0)


@dataclass
class Animal:
    name: str


@dataclass
class Dog(Animal):
    tricks: list[str] = field(default_factory=list)


@dataclass
class Of:
    animal: Animal | None = None
    animals: list[Animal] = field(default_factory=list)
    by_name: dict[str, Animal] = field(default_factory=dict)


@dataclass
class Holds:
    anything: Any = None
    number: int = 0
    share: float = 0.0
    shares: list[float] = field(default_factory=list)
    by_share: dict[str, float] = field(default_factory=dict)
    spot: Spot = ORIGIN
    pair: tuple[int, ...] = ()
    names: set[str] = field(default_factory=set)
    kind: Literal["x", "y"] = "x"
    day: date = date(2020, 1, 1)
    when: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    array: Any = None


@dataclass
class Counted:
    made: int = 0

    def __post_init__(self) -> None:
        self.made += 1


@dataclass
class Doubled:
    one: int
    two: int = field(init=False)

    def __post_init__(self) -> None:
        self.two = 2 * self.one


class Frozen(msgspec.Struct, frozen=True, rename="camel"):
    the_share: float = 0.0
    inner: "Frozen | None" = None


class Positional(msgspec.Struct, array_like=True, tag=True):
    share: float = 0.0
    above: Annotated[int, msgspec.Meta(gt=0)] = 1


def there_and_back(message: Any) -> Any:
    return decode_message(encode_message(message), {type(message).__name__: type(message)})


def same(one: Any, two: Any) -> bool:
    return type(one) is type(two) and repr(one) == repr(two)


@pytest.mark.parametrize(
    "message",
    [
        Of(Animal("x"), [Animal("y")], {"z": Animal("z")}),
        Holds(3, np.int64(3), 3, [1, 2.5, np.float32(0.5)], {"a": 1}, Spot(1, 2.5)),
        Holds(share=2**70, when=datetime(2021, 1, 1, tzinfo=UTC)),
        Holds(anything=(1, [2], {3: "x"})),
        Holds(share=float("nan"), array=np.arange(3)),
        Holds(share=np.float64(0.5), pair=(1, 2), names={"a", "b"}),
        Doubled(2),
        Frozen(3, Frozen(np.float32(0.5))),
        Positional(3, 4),
    ],
)
def test_what_fits_arrives_as_it_was_numbers_too(message: Any) -> None:
    assert same(there_and_back(message), message)


@pytest.mark.parametrize(
    ("message", "place"),
    [
        (Of(Dog("rex")), "animal is Dog"),
        (Of(animals=[Animal("x"), Dog("rex")]), r"animals\[1\] is Dog"),
        (Of(by_name={"a": Dog("rex")}), r"by_name\['a'\] is Dog"),
        (Holds(anything=Animal("x")), "anything is Animal"),
        (Holds(anything=[Colour.RED]), r"anything\[0\] is Colour"),
        (Holds(anything=Spot(1.0, 2.0)), "anything is Spot"),
        (Holds(pair=[1]), "pair is list"),  # type: ignore[arg-type]
        (Holds(names=["a"]), "names is list"),  # type: ignore[arg-type]
        (Counted(), "made is 1"),
        (Holds(number="1"), r"\$.number"),  # type: ignore[arg-type]
        (Holds(number=1.0), r"\$.number"),  # type: ignore[arg-type]
        (Holds(number=True), r"\$.number"),
        (Holds(number=None), r"\$.number"),  # type: ignore[arg-type]
        (Holds(share=True), r"\$.share"),
        (Holds(kind="z"), r"\$.kind"),  # type: ignore[arg-type]
        (Holds(day=datetime(2020, 1, 1)), r"\$.day"),
        (Holds(when=date(2020, 1, 1)), r"\$.when"),  # type: ignore[arg-type]
        (Positional(above=0), "gt|>= 1|> 0"),
    ],
)
def test_what_would_arrive_as_something_else_is_refused_where_it_is_sent(message: Any, place: str) -> None:
    with pytest.raises(PayloadUnsupported, match=place):
        encode_message(message)
