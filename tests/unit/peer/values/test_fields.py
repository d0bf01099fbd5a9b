"""Values that stand in records by themselves."""

from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from peer import CallerError
from peer.values.fields import DAYS_MAX, days_of, number, text


class Name(StrEnum):
    RISK = "risk"


@pytest.mark.parametrize(
    ("given", "plain"),
    [(1, 1.0), (0.5, 0.5), (np.float32(0.5), 0.5), (np.int8(3), 3.0), (Decimal("1.5"), 1.5), (Fraction(1, 2), 0.5),
     (np.array(2.0), 2.0)],
)  # fmt: skip
def test_numbers_of_all_kinds_become_floats(given: Any, plain: float) -> None:
    assert (number("n", given), type(number("n", given))) == (plain, float)


@pytest.mark.parametrize(
    "given", ["1", None, True, np.bool_(True), float("nan"), float("inf"), 10**400, 1j, np.ones(2), object()]
)
def test_what_is_no_finite_number_is_refused_by_name(given: Any) -> None:
    with pytest.raises(CallerError, match="margin"):
        number("margin", given)


@pytest.mark.parametrize(
    ("given", "plain"), [("a", "a"), (Name.RISK, "risk"), (np.str_("a"), "a"), (PurePosixPath("a/b"), "a/b"), ("", "")]
)
def test_texts_of_all_kinds_become_strs(given: Any, plain: str) -> None:
    assert (text("t", given), type(text("t", given))) == (plain, str)


@pytest.mark.parametrize("given", [None, 1, b"a", ("a",), "\ud800", "x" * 1_001])
def test_what_is_no_text_is_refused_by_name(given: Any) -> None:
    with pytest.raises(CallerError, match="model"):
        text("model", given)


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(CallerError, match="receiver"):
        text("receiver", "", is_empty_ok=False)


@pytest.mark.parametrize("odd", [1e300, -1e300, 10**400, float("nan"), float("inf"), "1", None], ids=repr)
def test_what_counts_longer_than_times_can_be_told_is_refused(odd: Any) -> None:
    with pytest.raises(CallerError, match="days"):
        days_of("days", odd)


def test_what_counts_for_a_century_or_is_over_already_is_taken() -> None:
    assert [days_of("hours", each, 24) for each in (0, -1, 24 * DAYS_MAX)] == [0, -1, 24 * DAYS_MAX]
