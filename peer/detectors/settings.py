"""Settings of detectors: checked when one is made, of one form whoever gives them, and told apart by a version.

What a detector is stands in its fields alone: numbers, texts, bytes, and tuples of them. So its version is a hash of
them, two that are equal say the same, and a file holds all of it (`peer.detectors.files`).
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from math import inf, isfinite
from typing import Any

from msgspec import Struct, msgpack
from msgspec.structs import force_setattr

from peer.errors import ConfigInvalid

VERSION_BYTES = 6
NAME_LENGTH_MAX = 100


def settle(detector: Struct, **settings: Any) -> None:
    """Put settings in their place in a frozen detector that is being made: 1 and 1.0 must not be two versions."""
    for name, value in settings.items():
        force_setattr(detector, name, value)


def number(name: str, value: float, least: float = -inf, most: float = inf) -> float:
    """Return a setting as a float, if it is a number from `least` to `most`.

    Raises: ConfigInvalid, naming the setting, its value, and what it may be.
    """
    found = _as_float(value)
    if found is None or not isfinite(found) or not least <= found <= most:
        raise ConfigInvalid(f"{name}={value!r}: a number{_span(least, most)}. No detector was made.")
    return found


def positive(name: str, value: float, most: float = inf) -> float:
    """Return a setting as a float, if it is more than 0.

    Raises: ConfigInvalid, as above.
    """
    found = _as_float(value)
    if found is None or not isfinite(found) or not 0 < found <= most:
        limit = "" if most == inf else f", at most {most:g}"
        raise ConfigInvalid(f"{name}={value!r}: a number, more than 0{limit}. No detector was made.")
    return found


def share(name: str, value: float) -> float:
    """Return a setting as a float, if it lies between 0 and 1, and is neither.

    Raises: ConfigInvalid, as above.
    """
    found = _as_float(value)
    if found is None or not 0 < found < 1:
        raise ConfigInvalid(f"{name}={value!r}: a number between 0 and 1. No detector was made.")
    return found


def whole(name: str, value: int, least: int, most: int) -> int:
    """Return a setting that is a whole number from `least` to `most`.

    Raises: ConfigInvalid, as above.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigInvalid(f"{name}={value!r}: a whole number from {least} to {most}. No detector was made.")
    return value


def text(name: str, value: str) -> str:
    """Return a setting that is a short text, and not empty.

    Raises: ConfigInvalid, as above.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > NAME_LENGTH_MAX:
        raise ConfigInvalid(f"{name}={value!r}: a text of 1 to {NAME_LENGTH_MAX} characters. No detector was made.")
    return value


def texts(name: str, values: Sequence[str]) -> tuple[str, ...]:
    """Return some names as a tuple, each of them once.

    Raises: ConfigInvalid, if there is none, one is no text or is there twice, or they are one text.
    """
    if isinstance(values, str):
        raise ConfigInvalid(f"{name}={values!r}: a tuple of names, as in ({values!r},). No detector was made.")
    found = tuple(text(name, value) for value in values)
    if not found or len(set(found)) < len(found):
        raise ConfigInvalid(f"{name}={found!r}: at least one name, each of them once. No detector was made.")
    return found


def among(name: str, value: str, known: Sequence[str]) -> str:
    """Return a setting that is one of some names.

    Raises: ConfigInvalid, with those names.
    """
    if value not in known:
        raise ConfigInvalid(f"{name}={value!r}: one of {', '.join(known)}. No detector was made.")
    return value


@lru_cache(maxsize=1024)
def version_of(detector: Struct) -> str:
    """Return a short hash of a detector's kind and of all its fields."""
    return hash_of([type(detector).__name__, detector])


def hash_of(content: Any) -> str:
    """Return a short hash of plain values."""
    return blake2b(msgpack.encode(content), digest_size=VERSION_BYTES).hexdigest()


def _as_float(value: float) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _span(least: float, most: float) -> str:
    if least == -inf and most == inf:
        return ", and finite"
    return f", at least {least:g}" if most == inf else f" from {least:g} to {most:g}"
