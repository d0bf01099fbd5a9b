"""The bytes of a value in the log: as it is, or with its version, or something that stands for it.

A value of version 1 that is kept in the log as it is has the bytes of its payload, as all had before there were
versions and declarations. Anything else is a MessagePack extension that payloads never begin with.
"""

import re
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import msgspec

from peer.errors import PayloadInvalid

CODE = 11
"""The extension type's code."""
_HEAD = b"\xc9"
"""MessagePack's longest head of an extension: four bytes of length, then the code."""
_CODE = bytes((CODE,))


class Form(IntEnum):
    """What the body is: never given another meaning."""

    PLAIN = 0
    """The value's payload."""
    SECRET = 1
    """A salt, and a hash of the value's payload."""
    BULKY = 2
    """The hash of the value's payload, which is in the blob store."""


class Packed(NamedTuple):
    """A value as the log has it."""

    version: int
    form: Form
    body: bytes


class _Body(msgspec.Struct, frozen=True, array_like=True):
    version: int
    form: int
    body: bytes


_decoder = msgspec.msgpack.Decoder(_Body)


def pack(stored: Packed) -> bytes:
    """Return the bytes for the log."""
    if stored.version == 1 and stored.form == Form.PLAIN:
        return stored.body
    body = msgspec.msgpack.encode(_Body(*stored))
    return _HEAD + len(body).to_bytes(4, "big") + _CODE + body


def is_packed(data: bytes) -> bool:
    """Tell whether the bytes are other than a payload of version 1."""
    return data[:1] == _HEAD and data[5:6] == _CODE


def unpack(data: bytes) -> Packed:
    """Return what the log has.

    Raises: PayloadInvalid, for bytes that `pack` does not make.
    """
    if not is_packed(data):
        return Packed(1, Form.PLAIN, data)
    try:
        body = _decoder.decode(data[6:])
        return Packed(body.version, Form(body.form), body.body)
    except (ValueError, RecursionError) as error:
        raise PayloadInvalid(
            f"A stored value of {len(data)} bytes does not decode ({error}). It was refused."
        ) from error


_BULKY = re.compile(rb"\xc9.{4}\x0b\x93(?:[\x00-\x7f]|\xcc.|\xcd.{2}|\xce.{4}|\xcf.{8})\x02\xc4\x20(.{32})", re.DOTALL)
"""What `pack` makes of a bulky value: extension, array of three, version, form, 32 bytes."""


def blobs_in(record: bytes) -> Iterator[bytes]:
    """Yield the hashes of all bulky values that any bytes of the log hold, wherever in them.

    They are found by their form alone, so that no kind of record can be forgotten: what looks like one and is none
    costs only that a blob of that hash is kept.
    """
    for found in _BULKY.finditer(record):
        yield found[1]
