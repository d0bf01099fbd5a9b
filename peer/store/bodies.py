"""What stands in the bodies of frames: records, pieces of large records, signatures."""

import struct
from collections.abc import Iterable, Iterator

import msgspec

from peer.store.chunking import piece_hash
from protocol.errors import UNREADABLE
from protocol.ids import AgentId

_LENGTH = struct.Struct("<I")
_PIECE = struct.Struct("<16sI")
_IS_RECIPE = 1 << 31
RECORD_BYTES_MAX = _IS_RECIPE - 1


class Signature(msgspec.Struct, frozen=True, array_like=True):
    """The host's word for every batch before this one."""

    key: bytes
    """Its public key; empty where a host has none."""
    signature: bytes
    tails: dict[AgentId, tuple[int, bytes]] = {}
    """How far each log had come, at the end of a segment: number and hash of its last record."""
    ends: bool = False
    """The segment ends here, and another follows."""
    doubted: tuple[AgentId, ...] = ()
    """Of these logs something may have stood behind that, which was damaged: nobody can tell where they ended."""


_encoder = msgspec.msgpack.Encoder()
_signatures = msgspec.msgpack.Decoder(Signature)


def signed_bytes(host: bytes, sequence: int, digest: bytes, signature: Signature) -> bytes:
    """Return what a signature signs: the chain of batches before the one that it stands in, and its own content.

    Args:
        host: the host's id.
        sequence: of the last batch before it.
        digest: of that batch.
        signature: its own signature is left out.
    """
    tails = _encoder.encode(sorted(signature.tails.items()))
    doubted = _encoder.encode(signature.doubted) if signature.doubted else b""
    return b"".join((b"ebbtide-log", host, struct.pack("<Q?", sequence, signature.ends), digest, tails, doubted))


def encode_signature(signature: Signature) -> bytes:
    """Return a signature frame's body."""
    return _encoder.encode(signature)


def decode_signature(body: bytes) -> Signature:
    """Return what a signature frame's body holds. Raises: ValueError."""
    try:
        return _signatures.decode(body)
    except UNREADABLE as error:
        raise ValueError(f"it is no signature ({error})") from error


def encode_records(records: Iterable[tuple[bytes, bool]]) -> bytes:
    """Return a body of records; True where it is a recipe of pieces."""
    parts: list[bytes] = []
    for record, is_recipe in records:
        parts += (_LENGTH.pack(len(record) | (_IS_RECIPE if is_recipe else 0)), record)
    return b"".join(parts)


def decode_records(body: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield what `encode_records` was given. Raises: ValueError."""
    at = 0
    while at < len(body):
        if at + _LENGTH.size > len(body):
            raise ValueError("a record's length is cut off")
        (length,) = _LENGTH.unpack_from(body, at)
        at += _LENGTH.size
        is_recipe, length = bool(length & _IS_RECIPE), length & ~_IS_RECIPE
        if at + length > len(body):
            raise ValueError("a record is cut off")
        yield body[at : at + length], is_recipe
        at += length


def encode_pieces(pieces: dict[bytes, bytes]) -> bytes:
    """Return a body of pieces by their hashes."""
    heads = b"".join(_PIECE.pack(name, len(piece)) for name, piece in pieces.items())
    return b"".join((_LENGTH.pack(len(pieces)), heads, *pieces.values()))


def decode_pieces(body: bytes) -> dict[bytes, bytes]:
    """Return the pieces that are as they were written, by their hashes. Raises: ValueError."""
    if len(body) < _LENGTH.size:
        raise ValueError("pieces are cut off")
    (count,) = _LENGTH.unpack_from(body)
    at = _LENGTH.size + count * _PIECE.size
    if at > len(body):
        raise ValueError("pieces are cut off")
    pieces: dict[bytes, bytes] = {}
    for name, length in _PIECE.iter_unpack(body[_LENGTH.size : at]):
        piece = body[at : at + length]
        if piece_hash(piece) == name:
            pieces[name] = piece
        at += length
    return pieces
