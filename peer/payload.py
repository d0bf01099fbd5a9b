"""Users' values: what a message, a state key's value or a tool's argument may be, and the bytes that it becomes.

MessagePack, with extension types for what it lacks. Values that are equal and of the same types become equal bytes, so
payloads can be compared and hashed: a dict keeps its order, a set is sorted by its elements' bytes. What changes on the
way: an aware datetime keeps its offset, not its zone's name. Names of classes travel, code does not. The texts of state
keys have a module of their own, `state_key`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from functools import lru_cache
from itertools import repeat
from reprlib import repr as brief
from types import NoneType
from typing import Any
from uuid import UUID

import msgpack
import msgspec
import numpy as np

from peer.errors import EbbtideError, PayloadInvalid, PayloadTooLarge, PayloadUnsupported
from peer.state_key import Key, decode_key, encode_key

__all__ = ["Key", "decode", "decode_key", "decode_message", "encode", "encode_key", "encode_message", "type_name"]

PAYLOAD_BYTES_MAX = 16 << 20
"""Encoded: half of what one frame between hosts may hold, so that a payload and its envelope always fit."""
DEPTH_MAX = 64
"""Containers inside each other: deeper is a mistake or an attack, and each level costs stack where it is walked."""
ITEMS_MAX = 1_000_000
"""Items of all containers together: a million take about a tenth of a second to walk, on the host's event loop."""
STRING_CHARS_MAX = 4 << 20
"""Of one str: it takes up to 4 bytes a character, in memory and encoded, so this is the payload's limit."""
TYPE_NAME_CHARS_MAX = 200
"""Of a message's class: so that its tag is found in the first bytes."""

_LEAVES = frozenset({NoneType, bool, int, float, datetime, date, Decimal, UUID})
_LENGTHS = {str: STRING_CHARS_MAX, bytes: PAYLOAD_BYTES_MAX}
_ITERABLES = frozenset({dict, list, tuple, set, frozenset})
_NUMPY = (np.number, np.bool_, np.datetime64)  # not its str and bytes, which lose zeros at their end
_NATIVE = (datetime, date, UUID, Decimal, bytes)
# No objects, no records (their field names would be lost), no long doubles (their padding is whatever was in memory).
_DTYPE = re.compile(r"\|[biu]1|[<>]([iu][248]|f[248]|c(8|16)|U[1-9]\d{0,7}|[mM]8(\[\w+\])?)|\|S[1-9]\d{0,7}")
_TAG_BYTES_MAX = 16 + 4 * TYPE_NAME_CHARS_MAX
_BROKEN = (ValueError, TypeError, ArithmeticError, MemoryError, RecursionError, msgpack.UnpackException)

_REFUSED = "Nothing was sent or stored."
_NO_MESSAGE = "A payload is no message (wanted a type's name and its fields). It was refused."

_Place = tuple[Any, str, object] | None  # the place of the container; the form of the step from there, and the step


class _Ext(IntEnum):
    """The extension types' codes on the wire: never given another meaning."""

    BIG_INT = 1
    DECIMAL = 2
    DATETIME = 3
    DATE = 4
    UUID = 5
    TUPLE = 6
    SET = 7
    FROZENSET = 8
    ARRAY = 9
    SCALAR = 10


# -- values -------------------------------------------------------------------------------------------------------


def encode(value: object, bytes_max: int = PAYLOAD_BYTES_MAX) -> bytes:
    """Return the value's bytes.

    Raises: PayloadTooLarge; PayloadUnsupported, naming the type and its place in the value.
    """
    _walk(value, PayloadTooLarge, PayloadUnsupported)
    return _packed(value, bytes_max)


def decode(data: bytes, bytes_max: int = PAYLOAD_BYTES_MAX) -> object:
    """Return the value.

    Raises: PayloadInvalid, for bytes that `encode` can't have made or that are over a limit.
    """
    value = _unpacked(data, bytes_max)
    _walk(value, PayloadInvalid, PayloadInvalid)
    return value


def _packed(value: object, bytes_max: int) -> bytes:
    try:
        data = _pack(value)
    except UnicodeEncodeError as error:
        raise PayloadUnsupported(
            f"The str {brief(error.object)} holds half a surrogate pair, which is no text. Nothing was sent or stored."
            " Decode its source properly, or pass bytes."
        ) from error
    if len(data) > bytes_max:
        raise PayloadTooLarge(
            f"The value has {len(data)} bytes encoded; the limit is {bytes_max}. Nothing was sent or stored."
            " Keep it elsewhere and pass its name, or split it."
        )
    return data


def _unpacked(data: bytes, bytes_max: int) -> Any:
    if len(data) > bytes_max:
        raise PayloadInvalid(f"A payload has {len(data)} bytes; the limit is {bytes_max}. It was refused.")
    try:
        return _unpack(data, 0)
    except _BROKEN as error:
        raise PayloadInvalid(f"A payload of {len(data)} bytes does not decode ({error!r}). It was refused.") from error


def _pack(value: object) -> bytes:
    # A packer of its own for each call: they nest, where a value inside needs an extension type.
    return msgpack.Packer(default=_extended, strict_types=True, buf_size=1024).pack(value)


def _extended(value: Any) -> object:
    """Return what MessagePack has for a value that it does not know; its type has been checked."""
    ext = msgpack.ExtType
    match value:
        case np.generic():  # first: some are subclasses of float, str and bytes
            return ext(_Ext.SCALAR, _pack([value.dtype.str, value.tobytes()]))
        case np.ndarray():
            return ext(_Ext.ARRAY, _pack([value.dtype.str, list(value.shape), value.tobytes()]))
        case Enum():
            return value.value
        case tuple():
            return ext(_Ext.TUPLE, _pack(list(value)))
        case set() | frozenset():
            head = msgpack.Packer().pack_array_header(len(value))
            return ext(
                _Ext.SET if isinstance(value, set) else _Ext.FROZENSET, head + b"".join(sorted(map(_pack, value)))
            )
        case int():
            return ext(_Ext.BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
        case Decimal():
            return ext(_Ext.DECIMAL, str(value).encode())
        case datetime():
            return ext(_Ext.DATETIME, value.isoformat().encode())
        case date():
            return ext(_Ext.DATE, value.isoformat().encode())
        case UUID():
            return ext(_Ext.UUID, value.bytes)
        case _:
            return _plain(value)


def _unpack(data: bytes, level: int) -> Any:
    if level > DEPTH_MAX:
        raise ValueError(f"nested deeper than {DEPTH_MAX}")
    return msgpack.unpackb(
        data,
        strict_map_key=False,
        ext_hook=lambda code, raw: _restored(code, raw, level + 1),
        max_array_len=min(len(data), ITEMS_MAX),
        max_map_len=min(len(data), ITEMS_MAX),
    )


def _restored(code: int, raw: bytes, level: int) -> object:
    match code:
        case _Ext.BIG_INT:
            return int.from_bytes(raw, "big", signed=True)
        case _Ext.DECIMAL:
            return Decimal(raw.decode())
        case _Ext.DATETIME:
            return datetime.fromisoformat(raw.decode())
        case _Ext.DATE:
            return date.fromisoformat(raw.decode())
        case _Ext.UUID:
            return UUID(bytes=raw)
        case _Ext.TUPLE:
            return tuple(_items(_unpack(raw, level)))
        case _Ext.SET:
            return set(_items(_unpack(raw, level)))
        case _Ext.FROZENSET:
            return frozenset(_items(_unpack(raw, level)))
        case _Ext.ARRAY:
            dtype, shape, content = _unpack(raw, level)
            return _array(dtype, shape, content)
        case _Ext.SCALAR:
            dtype, content = _unpack(raw, level)
            return _array(dtype, [], content)[()]
        case _:
            raise ValueError(f"unknown extension type {code}")


def _items(value: object) -> list[object]:
    if type(value) is not list:
        raise ValueError(f"{type(value).__name__} where items belong")
    return value


def _array(dtype: str, shape: list[int], content: bytes) -> Any:
    if not _DTYPE.fullmatch(dtype):
        raise ValueError(f"an array of {brief(dtype)}")
    # Checked here since numpy takes some negative lengths.
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"an array of shape {brief(shape)}")
    array = np.ndarray(shape, dtype=dtype, buffer=bytearray(content))
    if array.nbytes != len(content):
        raise ValueError(f"{len(content)} bytes for an array of {array.nbytes}")
    if array.dtype.kind == "U" and array.size and np.frombuffer(content, dtype[0] + "u4").max() > 0x10FFFF:
        raise ValueError("an array of str with what is no character")
    return array


def _walk(
    root: object, too_large: type[EbbtideError], unsupported: type[EbbtideError], in_message: bool = False
) -> None:
    """Check types and limits everywhere in the value. Raises the given errors."""
    left = ITEMS_MAX
    pending: list[tuple[Any, _Place, int]] = [(root, None, 0)]
    while pending:
        value, place, depth = pending.pop()
        kind = type(value)
        if kind in _LEAVES:
            continue
        if kind in _LENGTHS:
            if len(value) > _LENGTHS[kind]:
                limit = f"a {kind.__name__} of length {len(value)}; the limit is {_LENGTHS[kind]}"
                raise too_large(f"{_path(place)} is {limit}. {_REFUSED} Keep it elsewhere and pass its name.")
            continue
        if kind is np.ndarray or issubclass(kind, _NUMPY):
            if not _DTYPE.fullmatch(value.dtype.str):
                raise unsupported(f"{_path(place)} has dtype {value.dtype}. {_REFUSED} Convert it by .astype().")
            if value.nbytes > PAYLOAD_BYTES_MAX:
                limit = f"an array of {value.nbytes} bytes; the limit is {PAYLOAD_BYTES_MAX}"
                raise too_large(f"{_path(place)} is {limit}. {_REFUSED} Keep it elsewhere and pass its name.")
            continue
        if kind not in _ITERABLES:
            plain = _plain(value) if in_message else value
            if plain is value:
                raise unsupported(f"{_path(place)} is of type {kind.__qualname__}. {_REFUSED} {_remedy(value)}")
            pending.append((plain, place, depth))
            continue
        if depth == DEPTH_MAX:
            raise too_large(f"{_path(place)} is deeper than {DEPTH_MAX}. {_REFUSED} Is it in itself? Else flatten it.")
        left -= len(value)
        if left < 0:
            raise too_large(
                f"{_path(place)} makes it more than {ITEMS_MAX} items. {_REFUSED} Split it, or use an array."
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


# -- messages -----------------------------------------------------------------------------------------------------


def encode_message(message: object, bytes_max: int = PAYLOAD_BYTES_MAX) -> bytes:
    """Return the bytes of a message: a msgspec.Struct, a dataclass instance, or any value that `encode` takes.

    Inside the first two, fields may hold Structs, dataclasses, NamedTuples and Enums as well; they come back as what
    the field's annotation says, so a field annotated `object` gives back dicts, tuples and the Enums' values.

    Raises: PayloadTooLarge; PayloadUnsupported, also for annotations that can't be checked.
    """
    kind = type(message)
    if not (isinstance(message, msgspec.Struct) or is_dataclass(message)) or isinstance(message, type):
        _walk(message, PayloadTooLarge, PayloadUnsupported)
        return _packed(["", message], bytes_max)
    if len(kind.__name__) > TYPE_NAME_CHARS_MAX:
        raise PayloadTooLarge(f"The name of {kind.__qualname__} is over {TYPE_NAME_CHARS_MAX}. {_REFUSED} Shorten it.")
    _check_annotations(kind)
    _walk(message, PayloadTooLarge, PayloadUnsupported, in_message=True)
    return _packed([kind.__name__, message], bytes_max)


def decode_message(data: bytes, types: Mapping[str, type], bytes_max: int = PAYLOAD_BYTES_MAX) -> object:
    """Return the message; fields that its class does not have are ignored, so that classes can grow.

    Args:
        types: the classes to accept, by their names.

    Raises: PayloadInvalid, naming the class and the field; PayloadUnsupported, for annotations that can't be checked.
    """
    outer = _unpacked(data, bytes_max)
    if type(outer) is not list or len(outer) != 2 or type(outer[0]) is not str:
        raise PayloadInvalid(_NO_MESSAGE)
    tag, body = outer
    _walk(body, PayloadInvalid, PayloadInvalid)
    if not tag:
        return body
    kind = types.get(tag)
    if kind is None:
        known = ", ".join(sorted(types)) or "none"
        raise PayloadInvalid(f"A message is of the unknown type {brief(tag)} (known: {known}). It was refused.")
    _check_annotations(kind)
    try:
        try:
            return msgspec.convert(body, kind, strict=True, builtin_types=_NATIVE)
        except msgspec.ValidationError:
            # A np.float64 is a float to Python and to type checkers, so it gets into fields that say float.
            return msgspec.convert(_without_numpy_scalars(body), kind, strict=True, builtin_types=_NATIVE)
    except (msgspec.ValidationError, TypeError) as error:
        raise PayloadInvalid(f"A message of type {tag} has wrong fields: {error}. It was refused.") from error


def type_name(data: bytes) -> str:
    """Return the name of a message's class, "" for a plain value, without decoding the rest.

    Raises: PayloadInvalid.
    """
    unpacker = msgpack.Unpacker()
    unpacker.feed(data[:_TAG_BYTES_MAX])
    try:
        length, tag = unpacker.read_array_header(), unpacker.unpack()
    except _BROKEN as error:
        raise PayloadInvalid(f"A payload of {len(data)} bytes is no message ({error!r}). It was refused.") from error
    if length != 2 or type(tag) is not str:
        raise PayloadInvalid(_NO_MESSAGE)
    return tag


def _plain(value: Any) -> Any:
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


@lru_cache(maxsize=4096)
def _check_annotations(kind: type) -> None:
    try:
        msgspec.msgpack.Decoder(kind)
    except (TypeError, NameError) as error:
        raise PayloadUnsupported(
            f"The fields of {kind.__qualname__} can't be checked: {error}. {_REFUSED} Change their annotations."
        ) from error


def _without_numpy_scalars(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is dict:
        return {key: _without_numpy_scalars(item) for key, item in value.items()}
    return type(value)(map(_without_numpy_scalars, value)) if type(value) in (list, tuple, set, frozenset) else value
