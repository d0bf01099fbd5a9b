"""Values of users that stand in records by themselves, not inside a payload: numbers, names, texts.

A log holds them as what they are, so they are made plain here, where whoever gave them can be told.
"""

import math
import os
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from peer.errors import CallerError
from peer.values.brief import brief
from peer.values.texts import check_text

NAME_CHARS_MAX = 1_000
"""Of a name, a key, a model: people read them."""
TEXT_CHARS_MAX = 100_000
"""Of a reason: what is longer is evidence."""
DAYS_MAX = 36_600
"""A century: later times can't be told on all machines."""
NUMBERS_MAX = 1_000
"""Of scores in one step."""

NOTHING = "Nothing was sent or stored."


def number(what: str, value: Any) -> float:
    """Return a number as a float: of Python, numpy, Decimal or Fraction.

    Raises: CallerError, naming what it is, for anything else, and for what is not finite.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    is_number = isinstance(value, int | float | Decimal | Fraction | np.integer | np.floating)
    if not is_number or isinstance(value, bool):
        raise CallerError(
            f"{what} is {_shown(value)}, which is no number. {NOTHING} Pass float(value), or leave it out."
        )
    try:
        plain = float(value)
    except (OverflowError, ValueError):
        plain = math.nan
    if not math.isfinite(plain):
        raise CallerError(f"{what}={_shown(value)}: it is no finite number. {NOTHING} Leave it out.")
    return plain


def days_of(what: str, value: Any, in_a_day: int = 1) -> float:
    """Return for how long something is to count, in a unit of which a day has so many; below 0, it is over already.

    Raises: CallerError, naming what it is, if it is no number, or over a century.
    """
    found, most = number(what, value), DAYS_MAX * in_a_day
    if not -most <= found <= most:
        raise CallerError(f"{what}={_shown(value)}: it is up to {most:,}, a century; 0 is for good. {NOTHING}")
    return found


def text(what: str, value: Any, chars_max: int = NAME_CHARS_MAX, *, is_empty_ok: bool = True) -> str:
    """Return a text as a plain str; a path counts as one, and so do subclasses of str, such as of Enums and numpy.

    Raises: CallerError, naming what it is, for anything else, what is too long, and half a surrogate pair.
    """
    given = os.fspath(value) if isinstance(value, os.PathLike) else value
    return check_text(what, given, chars_max, NOTHING, 0 if is_empty_ok else 1)


def _shown(value: Any) -> str:
    return f"{brief(value)} of type {type(value).__qualname__}"
