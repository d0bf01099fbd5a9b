"""Users' values: what a message, a state key's value or a tool's argument may be, and the bytes that it becomes.

MessagePack, with extension types for what it lacks. Values that are equal and of the same types become equal bytes, so
payloads can be compared and hashed: a dict keeps its order, a set is sorted by its elements' bytes. What changes on the
way: an aware datetime keeps its offset, not its zone's name. Names of classes travel, versions too (`versioning`),
code does not. What is allowed is `payload_limits`'s to say; the texts of state keys are made in `state_key`.
"""

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgpack
import msgspec
import numpy as np

from peer.errors import CallerError, MigrationFailed, PayloadInvalid, PayloadTooLarge, PayloadUnsupported
from peer.values import arriving, forms, versioning
from peer.values.brief import brief, why
from peer.values.key_text import Key, decode_key, encode_key
from peer.values.limits import (
    DEPTH_MAX,
    DTYPE,
    ITEMS_MAX,
    PAYLOAD_BYTES_MAX,
    REFUSED,
    STRING_CHARS_MAX,
    plain,
    walk,
)
from peer.values.personal import Erased, Personal, seal, unseal

SALT_BYTES_MIN = 16
"""Of the salt of a hash: shorter ones could be tried."""

__all__ = [
    "DEPTH_MAX",
    "ITEMS_MAX",
    "PAYLOAD_BYTES_MAX",
    "STRING_CHARS_MAX",
    "Key",
    "decode",
    "decode_key",
    "decode_message",
    "encode",
    "encode_key",
    "encode_message",
    "hashed",
    "type_name",
]

TYPE_NAME_CHARS_MAX = 200
"""Of a message's class: so that its tag is found in the first bytes."""

_NATIVE = (datetime, date, UUID, Decimal, bytes)
_TAG_BYTES_MAX = 16 + 4 * TYPE_NAME_CHARS_MAX
_BROKEN = (ValueError, TypeError, ArithmeticError, MemoryError, RecursionError, msgpack.UnpackException)

_NO_MESSAGE = "A payload is no message (wanted a type's name and its fields). It was refused."
_SMALL_OFFSET = re.compile(r"([+-])00:00:00\.(\d{6})$")


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
    STORED = forms.CODE
    """Of state only, and never inside a value: `stored`."""
    PERSONAL = 12


# -- values -------------------------------------------------------------------------------------------------------


def encode(value: object, bytes_max: int = PAYLOAD_BYTES_MAX) -> bytes:
    """Return the value's bytes.

    Raises: PayloadTooLarge; PayloadUnsupported, naming the type and its place in the value.
    """
    walk(value, PayloadTooLarge, PayloadUnsupported, bytes_max=bytes_max)
    return _packed(value, bytes_max)


def encoded_if_plain(value: object) -> bytes:
    """Return the value's bytes; nothing, if it is no plain value: then it is for this process alone."""
    try:
        return encode(value)
    except PayloadUnsupported:
        return b""


def decode(data: bytes, bytes_max: int = PAYLOAD_BYTES_MAX) -> object:
    """Return the value.

    Raises: PayloadInvalid, for bytes that `encode` can't have made or that are over a limit.
    """
    value = _unpacked(data, bytes_max)
    walk(value, PayloadInvalid, PayloadInvalid, bytes_max=bytes_max)
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
        raise PayloadInvalid(f"A payload of {len(data)} bytes can't be read ({why(error)}). It was refused.") from error


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
        case Personal() | Erased():
            return ext(_Ext.PERSONAL, seal(value, encode))
        case Decimal():
            return ext(_Ext.DECIMAL, str(value).encode())
        case datetime():
            return ext(_Ext.DATETIME, value.isoformat().encode())
        case date():
            return ext(_Ext.DATE, value.isoformat().encode())
        case UUID():
            return ext(_Ext.UUID, value.bytes)
        case _:
            return plain(value)


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
            return _datetime(raw.decode())
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
        case _Ext.PERSONAL:
            return unseal(raw, decode)
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
    if not DTYPE.fullmatch(dtype):
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


# -- messages -----------------------------------------------------------------------------------------------------


def encode_message(message: object, bytes_max: int = PAYLOAD_BYTES_MAX) -> bytes:
    """Return the bytes of a message: a msgspec.Struct, a dataclass instance, or any value that `encode` takes.

    Inside the first two, fields may hold Structs, dataclasses, NamedTuples and Enums as well, where the annotation
    names them: they come back as what it says.

    Raises: PayloadTooLarge; PayloadUnsupported, naming what does not fit its field or would arrive as something else,
        such as an object of a subclass; also for annotations that can't be checked.
    """
    kind = type(message)
    if not (isinstance(message, msgspec.Struct) or is_dataclass(message)) or isinstance(message, type):
        walk(message, PayloadTooLarge, PayloadUnsupported)
        return _packed(["", message], bytes_max)
    if len(kind.__name__) > TYPE_NAME_CHARS_MAX:
        raise PayloadTooLarge(f"The name of {kind.__qualname__} is over {TYPE_NAME_CHARS_MAX}. {REFUSED} Shorten it.")
    _check_annotations(kind)
    walk(message, PayloadTooLarge, PayloadUnsupported, in_message=True)
    data = _packed([versioning.tag_of(kind), message], bytes_max)
    if not arriving.is_plain(message):
        _check_arrives(message, data, bytes_max)
    return data


def _check_arrives(message: object, data: bytes, bytes_max: int) -> None:
    name = type(message).__qualname__
    try:
        made = _converted(_unpacked(data, bytes_max)[1], type(message))
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise PayloadUnsupported(
            f"A {name} does not fit its own fields: {error}. {REFUSED} Give them what the class says."
        ) from error
    found = arriving.difference(message, made)
    if found is not None:
        raise PayloadUnsupported(
            f"A {name} would not arrive as it is: {found}. {REFUSED} Give the field what the class says, or let the"
            " class say what the field holds."
        )


def decode_message(data: bytes, types: Mapping[str, type], bytes_max: int = PAYLOAD_BYTES_MAX) -> object:
    """Return the message; fields that its class does not have are ignored, so that classes can grow.

    The fields of an older version of its class go through the migrations first.

    Args:
        types: the classes to accept, by their names.

    Raises: PayloadInvalid, naming the class and the field; PayloadUnsupported, for annotations that can't be checked;
        VersionUnknown, if a newer release has written it; MigrationFailed.
    """
    outer = _unpacked(data, bytes_max)
    if type(outer) is not list or len(outer) != 2 or type(outer[0]) is not str:
        raise PayloadInvalid(_NO_MESSAGE)
    tag, body = outer
    walk(body, PayloadInvalid, PayloadInvalid)
    if not tag:
        return body
    name, version = versioning.read_tag(tag)
    kind = types.get(name)
    if kind is None:
        known = ", ".join(sorted(types)) or "none"
        raise PayloadInvalid(f"A message is of the unknown type {brief(name)} (known: {known}). It was refused.")
    _check_annotations(kind)
    is_old = version != versioning.version_of(kind)
    if is_old:
        body = versioning.migrated(kind, version, body)
    try:
        return _converted(body, kind)
    except (msgspec.ValidationError, TypeError) as error:
        if is_old:
            raise MigrationFailed(
                f"Fields of a {name} of version {version}, once migrated to {versioning.version_of(kind)}, are wrong:"
                f" {error}. It waits. Correct the migration, and start the host again."
            ) from error
        raise PayloadInvalid(f"A message of type {name} has wrong fields: {error}. It was refused.") from error


def fields_of(data: bytes) -> object:
    """Return what a message holds without its class: a value, a dict of its fields, or its bytes if they are none."""
    try:
        outer = _unpacked(data, PAYLOAD_BYTES_MAX)
    except PayloadInvalid:
        return data
    return outer[1] if type(outer) is list and len(outer) == 2 else data


def _converted(body: object, kind: type) -> object:
    try:
        made = msgspec.convert(body, kind, strict=True, builtin_types=_NATIVE)
    except msgspec.ValidationError:
        # A np.float64 is a float to Python and to type checkers, so it gets into fields that say float.
        made = msgspec.convert(_without_numpy_scalars(body), kind, strict=True, builtin_types=_NATIVE)
        return arriving.restored(made, body, everywhere=True)
    return arriving.restored(made, body)


def type_name(data: bytes) -> str:
    """Return the name of a message's class, whatever its version, "" for a plain value; the rest is not decoded.

    Raises: PayloadInvalid.
    """
    unpacker = msgpack.Unpacker()
    unpacker.feed(data[:_TAG_BYTES_MAX])
    try:
        length, tag = unpacker.read_array_header(), unpacker.unpack()
    except _BROKEN as error:
        raise PayloadInvalid(f"A payload of {len(data)} bytes is no message ({why(error)}). It was refused.") from error
    if length != 2 or type(tag) is not str:
        raise PayloadInvalid(_NO_MESSAGE)
    return versioning.read_tag(tag)[0]


@lru_cache(maxsize=4096)
def _check_annotations(kind: type) -> None:
    try:
        msgspec.msgpack.Decoder(kind)
    except (TypeError, NameError) as error:
        raise PayloadUnsupported(
            f"The fields of {kind.__qualname__} can't be checked: {error}. {REFUSED} Change their annotations."
        ) from error


def _without_numpy_scalars(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is dict:
        return {key: _without_numpy_scalars(item) for key, item in value.items()}
    return type(value)(map(_without_numpy_scalars, value)) if type(value) in (list, tuple, set, frozenset) else value


def hashed(value: object, salt: bytes | str) -> str:
    """Return what stands for a value that should not be kept: equal values with equal salts have equal hashes.

    Args:
        value: anything that can be stored.
        salt: kept secret and outside the log, since with it values can be tried; 16 bytes or more.

    Raises: CallerError, for a short salt; PayloadUnsupported.
    """
    salt = salt.encode() if isinstance(salt, str) else salt
    if len(salt) < SALT_BYTES_MIN:
        raise CallerError(
            f"a salt of {len(salt)} bytes: at least {SALT_BYTES_MIN}, or values can be tried. Nothing changed."
        )
    return blake2b(encode(value), key=blake2b(salt, digest_size=32).digest(), digest_size=32).hexdigest()


def _datetime(text: str) -> datetime:
    """Return a time from its ISO form; Python 3.11 takes an offset of less than a second for none."""
    found, offset = datetime.fromisoformat(text), _SMALL_OFFSET.search(text)
    if offset is None:
        return found
    micros = int(offset[2]) * (-1 if offset[1] == "-" else 1)
    return found.replace(tzinfo=timezone(timedelta(microseconds=micros)))
