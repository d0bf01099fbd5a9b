"""The texts of state keys: what logs, retractions and reports call a key of an agent's state.

Distinct keys have distinct texts, and a text is only taken for a key if that key makes it. Texts that begin with
`space:` are left to shared spaces.
"""

import json
import re
from typing import TypeAlias

from peer.errors import EbbtideError, PayloadInvalid, PayloadTooLarge, PayloadUnsupported
from peer.values.brief import brief

KEY_CHARS_MAX = 4096
"""Of a key's text: it is repeated in every record of a step that read it."""
KEY_DEPTH_MAX = 16
"""Tuples inside each other."""
INT_BITS_MAX = 3 * KEY_CHARS_MAX
"""Of an int in a key: fits into the text, and into what Python is willing to print."""

Key: TypeAlias = "str | int | bool | tuple[Key, ...]"

OWN_MARK = "!"
"""Begins the first elements of the keys that the runtime keeps in an agent's state for itself."""
_OWN = (f'["{OWN_MARK}ask",', f'["{OWN_MARK}made"', f'["{OWN_MARK}retired"', f'["{OWN_MARK}saga",')

# One encoder for all: `json.dumps` with options makes one a call.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_PLAIN = re.compile(r'(?!space:|(?:true|false|null)\Z)[^\[{"\-0-9]')
"""Begins a str that nothing else's text could be."""


def encode_key(key: Key) -> str:
    """Return a state key's text: a str as it is where it can't be mistaken, anything else as compact JSON.

    Raises: PayloadUnsupported; PayloadTooLarge.
    """
    _check_key(key, 0)
    text = key if isinstance(key, str) and _PLAIN.match(key) else _encode(key)
    if len(text) > KEY_CHARS_MAX:
        raise PayloadTooLarge(
            f"The key {brief(key)} has {len(text)} characters; the limit is {KEY_CHARS_MAX}. Nothing was stored."
            " Keep the long part in the value."
        )
    return text


def is_own(text: str) -> bool:
    """Tell whether a key is the runtime's own: handlers do not see it where they go through all keys."""
    return text.startswith(_OWN)


def decode_key(text: str) -> Key:
    """Return the key.

    Raises: PayloadInvalid, for a text that `encode_key` does not make.
    """
    if _PLAIN.match(text) and len(text) <= KEY_CHARS_MAX:
        return text
    try:
        key = _as_tuples(json.loads(text))
        if len(text) <= KEY_CHARS_MAX and encode_key(key) == text:
            return key
    except (ValueError, RecursionError, EbbtideError) as error:
        raise PayloadInvalid(f"{brief(text)} is no key's text ({error}). It was refused.") from error
    raise PayloadInvalid(f"{brief(text)} is no key's text. It was refused.")


def _check_key(key: object, depth: int) -> None:
    kind = type(key)
    if kind is tuple and isinstance(key, tuple):
        if depth == KEY_DEPTH_MAX:
            raise PayloadTooLarge(f"A key is nested deeper than {KEY_DEPTH_MAX}. Nothing was stored. Flatten it.")
        for part in key:
            _check_key(part, depth + 1)
    elif kind is int and isinstance(key, int):
        if key.bit_length() > INT_BITS_MAX:
            raise PayloadTooLarge(
                f"A key's int has {key.bit_length()} bits; the limit is {INT_BITS_MAX}. Nothing was stored."
            )
    elif kind is str and isinstance(key, str):
        try:
            key.encode()
        except UnicodeEncodeError as error:
            raise PayloadUnsupported(
                f"The key {brief(key)} holds half a surrogate pair, which is no text. Nothing was stored."
            ) from error
    elif kind is not bool:
        raise PayloadUnsupported(
            f"A key, or a part of one, is of type {kind.__qualname__}: {brief(key)}. Nothing was stored."
            " Use str, int, bool, or a tuple of these."
        )


def _as_tuples(value: object) -> Key:
    if isinstance(value, list):
        return tuple(map(_as_tuples, value))
    if isinstance(value, str | int):
        return value
    raise ValueError(f"{type(value).__name__} in a key")
