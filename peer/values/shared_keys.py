"""The texts of keys in shared spaces, and what their entries may hold: what no reader could use is refused at once.

A map's key has two parts, its name and the key inside. Where one of them holds a slash, the length of the name stands
before it, in braces, which begin no other key's text: so no two keys share one. Up to 0.1 the parts were only joined;
what was written then is still read.
"""

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, TypeGuard

import numpy as np

from peer.errors import CallerError
from peer.values import payload
from peer.values.brief import brief
from peer.values.key_text import decode_key, encode_key
from protocol.step import space_key


def map_key(space: str, name: Any, key: Any) -> tuple[str, str | None]:
    """Return the key of one entry of a shared map, and the one that it had up to 0.1 if that is another."""
    inside, at = encode_key(name), encode_key(key)
    joined = space_key(space, f"{inside}/{at}")
    if "/" not in inside and "/" not in at:
        return joined, None
    return space_key(space, f"{{{len(inside)}}}{inside}/{at}"), joined


def map_prefixes(space: str, name: Any) -> tuple[str, str]:
    """Return what the keys of a shared map begin with: in the form with the name's length, and in the plain one."""
    inside = encode_key(name)
    return space_key(space, f"{{{len(inside)}}}{inside}/"), space_key(space, f"{inside}/")


def keys_of(space: str, name: Any, texts: Iterable[str]) -> list[Any]:
    """Return the keys inside a shared map, each once, from the texts of all shared keys."""
    counted, plain = map_prefixes(space, name)
    found: dict[str, None] = {}
    for text in texts:
        for prefix in (counted, plain):
            if text.startswith(prefix):
                found[text[len(prefix) :]] = None
    return [decode_key(text) for text in found]


def is_finite(value: Any) -> TypeGuard[int | float | Decimal]:
    """Tell whether a value is a finite number, of a size that a float has, too."""
    try:
        return isinstance(value, int | float | Decimal) and math.isfinite(value)
    except (OverflowError, ValueError):  # an int that is larger than any float, a signaling NaN
        return False


def checked_amount(amount: Any) -> int | float | Decimal:
    """Return what may be added to a counter.

    Raises: CallerError, for what is no finite number.
    """
    if isinstance(amount, np.generic):
        amount = amount.item()
    if is_finite(amount):
        return amount
    raise CallerError(
        f"{brief(amount)} can't be added to a counter: a finite int, float or Decimal can. Nothing was written."
    )


def checked_member(member: Any) -> bytes:
    """Return the encoded form of what may be a member of a shared set.

    Raises: CallerError, for what no set can hold once it is read; as `payload.encode`.
    """
    data = payload.encode(member)
    if not is_member(payload.decode(data)):
        raise CallerError(
            f"{brief(member)} can't be a member of a set: it is of type {type(member).__qualname__}, which has no hash."
            " Nothing was written. Use a str, a number, a tuple, or a frozen dataclass."
        )
    return data


def is_member(value: Any) -> bool:
    """Tell whether a value can be a member of a set."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def total(amounts: Iterable[Any]) -> int | float | Decimal:
    """Return the sum of what was added to a counter; floats count as Decimals beside Decimals.

    What is no number, as earlier releases let through, does not count.
    """
    numbers = [each for each in amounts if isinstance(each, int | float | Decimal)]
    if any(isinstance(each, Decimal) for each in numbers):
        numbers = [Decimal(repr(each)) if isinstance(each, float) else each for each in numbers]
    return sum(numbers)
