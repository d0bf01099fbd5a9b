"""Whatever a value is, showing it to people does not fail."""

from dataclasses import dataclass
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from peer.serving.rows import plain
from peer.values.brief import brief, shown, why

LONG = 10**5_000
"""Python writes ints of up to 4,300 digits."""


def kind(value: object) -> str:
    return type(value).__name__  # pytest writes ints themselves


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("nobody knows what this is")


@dataclass
class Holds:
    number: int
    other: object = None


@pytest.mark.parametrize(
    "value", [LONG, -LONG, [LONG], {1: (LONG,)}, Mute(), [Mute()], Holds(LONG), ValueError(LONG)], ids=kind
)
def test_what_cannot_be_written_is_shown_in_brief(value: object) -> None:
    for text in (brief(value), shown(value), why(ValueError(value))):
        assert 0 < len(text) < 300


def test_what_can_be_written_is_shown_whole() -> None:
    assert shown(["a" * 100, 2]) == repr(["a" * 100, 2])
    assert shown(Decimal("1.5"), str) == "1.5"
    assert why(ValueError("x" * 100)) == repr(ValueError("x" * 100))
    assert "16,610 bits" in brief(LONG)


@pytest.mark.parametrize(
    "value", [LONG, 2**64, -(2**63) - 1, Holds(LONG), [Holds(2**70)], {LONG: Mute()}, {2**80}], ids=kind
)
def test_whatever_people_are_shown_as_json_can_be_written(value: object) -> None:
    assert msgspec.json.decode(msgspec.json.encode(plain(value))) == plain(value)


def test_numbers_of_64_bits_stay_numbers() -> None:
    assert [plain(each) for each in (2**64 - 1, -(2**63), Holds(7))] == [
        2**64 - 1,
        -(2**63),
        {"number": 7, "other": None},
    ]


def test_halves_of_characters_in_an_array_are_shown_as_json() -> None:
    assert plain(np.array(["a\ud800"])) == ["a\\ud800"]


def test_keys_that_differ_stay_apart_as_json() -> None:
    assert plain({1: "one", "1": "text"}) == [[1, "one"], ["1", "text"]]
    assert plain({1: "one", "2": "text"}) == {"1": "one", "2": "text"}
