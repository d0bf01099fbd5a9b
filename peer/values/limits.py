"""What a user's value may be made of, and how big it may be: checked all over it, before it becomes bytes and after."""

import re
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from itertools import repeat
from types import NoneType
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from peer.errors import EbbtideError
from peer.values.brief import brief
from peer.values.personal import Erased, Personal

PAYLOAD_BYTES_MAX = 16 << 20
"""Encoded: half of what one frame between hosts may hold, so that a payload and its envelope always fit."""
DEPTH_MAX = 64
"""Containers inside each other: deeper is a mistake or an attack, and each level costs stack where it is walked."""
ITEMS_MAX = 1_000_000
"""Items of all containers together: a million take about a tenth of a second to walk, on the host's event loop."""
STRING_CHARS_MAX = 4 << 20
"""Of one str: it takes up to 4 bytes a character, in memory and encoded, so this is the payload's limit."""

_LEAVES = frozenset({NoneType, bool, int, float, datetime, date, Decimal, UUID, Personal, Erased})
_ITERABLES = frozenset({dict, list, tuple, set, frozenset})
_NUMPY = (np.number, np.bool_, np.datetime64)  # not its str and bytes, which lose zeros at their end
# No objects, no records (their field names would be lost), no long doubles (their padding is whatever was in memory).
DTYPE = re.compile(r"\|[biu]1|[<>]([iu][248]|f[248]|c(8|16)|U[1-9]\d{0,7}|[mM]8(\[\w+\])?)|\|S[1-9]\d{0,7}")

REFUSED = "Nothing was sent or stored."

_Place = tuple[Any, str, object] | None  # the place of the container; the form of the step from there, and the step


def walk(
    root: object, too_large: type[EbbtideError], unsupported: type[EbbtideError], in_message: bool = False,
    bytes_max: int = PAYLOAD_BYTES_MAX,
) -> None:  # fmt: skip
    """Check types and limits everywhere in the value. Raises the given errors.

    Args:
        root: the value.
        too_large, unsupported: what is raised.
        in_message: Structs, dataclasses, NamedTuples and Enums are taken, too.
        bytes_max: of one array, or bytes.
    """
    lengths = {str: STRING_CHARS_MAX, bytes: bytes_max}
    left = ITEMS_MAX
    pending: list[tuple[Any, _Place, int]] = [(root, None, 0)]
    while pending:
        value, place, depth = pending.pop()
        kind = type(value)
        if kind in _LEAVES:
            continue
        if kind in lengths:
            if len(value) > lengths[kind]:
                limit = f"a {kind.__name__} of length {len(value)}; the limit is {lengths[kind]}"
                raise too_large(f"{_path(place)} is {limit}. {REFUSED} Keep it elsewhere and pass its name.")
            continue
        if kind is np.ndarray or issubclass(kind, _NUMPY):
            if not DTYPE.fullmatch(value.dtype.str):
                raise unsupported(f"{_path(place)} has dtype {value.dtype}. {REFUSED} Convert it by .astype().")
            if value.nbytes > bytes_max:
                limit = f"an array of {value.nbytes} bytes; the limit is {bytes_max}"
                raise too_large(f"{_path(place)} is {limit}. {REFUSED} Keep it elsewhere and pass its name.")
            continue
        if kind not in _ITERABLES:
            stands = plain(value) if in_message else value
            if stands is value:
                raise unsupported(f"{_path(place)} is of type {kind.__qualname__}. {REFUSED} {_remedy(value)}")
            pending.append((stands, place, depth))
            continue
        if depth == DEPTH_MAX:
            raise too_large(f"{_path(place)} is deeper than {DEPTH_MAX}. {REFUSED} Is it in itself? Else flatten it.")
        left -= len(value)
        if left < 0:
            raise too_large(
                f"{_path(place)} makes it more than {ITEMS_MAX} items. {REFUSED} Split it, or use an array."
            )
        for form, step, child in _children(kind, value):
            child_kind = type(child)
            if child_kind in _LEAVES or (child_kind is str and len(child) <= STRING_CHARS_MAX):
                continue
            pending.append((child, (place, form, step), depth + 1))


def _children(kind: type, value: Any) -> Iterable[tuple[str, object, Any]]:
    if kind is dict:
        for key, child in value.items():
            yield "[{}]", key, child
            if type(key) is not str or len(key) > STRING_CHARS_MAX:
                yield " key {}", key, key
    elif kind is list or kind is tuple:
        for at, child in enumerate(value):
            yield "[{}]", at, child
    else:
        yield from zip(repeat(" element {}"), value, value)


def _path(place: _Place) -> str:
    steps: list[str] = []
    while place is not None:
        place, form, step = place
        steps.append(form.format(brief(step)))
    return "value" + "".join(reversed(steps))


def _remedy(value: object) -> str:
    if isinstance(value, bytearray | memoryview):
        return "Pass bytes(value)."
    if isinstance(value, Enum):
        return "Pass its .value."
    if isinstance(value, msgspec.Struct) or is_dataclass(value):
        return "Send it as a message, or pass its fields as a dict."
    for base in (dict, list, tuple, set, frozenset, str, bytes, int, float, datetime, date, Decimal):
        if isinstance(value, base):
            return f"Pass {base.__name__}(value)." if base not in (datetime, date) else f"Pass a plain {base.__name__}."
    return (
        "Use None, bool, int, float, str, bytes, datetime, date, Decimal, UUID, numpy numbers and arrays,"
        " and list, tuple, dict, set, frozenset of these."
    )


def plain(value: Any) -> Any:
    """Return what stands for a Struct, dataclass, NamedTuple or Enum on the wire; anything else as it is."""
    kind = type(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        if config.array_like:
            head = [] if config.tag is None else [config.tag]
            return head + [getattr(value, name) for name in kind.__struct_fields__]
        names = zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True)
        held = {wire: item for wire, name in names if (item := getattr(value, name)) is not msgspec.UNSET}
        return held if config.tag is None else {config.tag_field: config.tag, **held}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return tuple(value)
    return value
