"""Shared entries to values: counter, map, set. The same entries give the same value, in any order of arrival (SH-2).

Source: Shapiro, Preguica, Baquero, Zawirski 2011 (PN-counter, LWW-register, OR-set).
"""

from collections.abc import Sequence

from msgspec import Struct, msgpack

from protocol.step import Entry


class Op(Struct, frozen=True, array_like=True):
    """One operation: `add` (counter), `put` and `del` (map), `sadd` and `srem` (set)."""

    verb: str
    value: bytes = b""
    """A value of the user's, encoded; of a counter the amount."""
    seen: tuple[str, ...] = ()
    """For `srem`: the additions that the remover saw."""


_encoder = msgpack.Encoder()
_decoder = msgpack.Decoder(Op)


def encode_op(op: Op) -> bytes:
    """Encode an operation for a slot."""
    return _encoder.encode(op)


def decode_op(data: bytes) -> Op:
    """Decode a slot.

    Raises: msgspec.DecodeError, if it is not an operation.
    """
    return _decoder.decode(data)


def tag_of(entry: Entry) -> str:
    """Return the unique name of an entry, for observed removal."""
    return f"{entry.writer}#{entry.index}"


def counter_amounts(entries: Sequence[Entry]) -> list[bytes]:
    """Return the encoded amounts that a counter sums."""
    return [op.value for entry in entries if (op := decode_op(entry.op)).verb == "add"]


def map_winner(entries: Sequence[Entry]) -> Entry | None:
    """Return the entry that a map's key reads: the last writer, by causal order and then hybrid time."""
    winner = None
    for entry in entries:
        if decode_op(entry.op).verb in ("put", "del"):
            winner = entry
    return winner


def set_members(entries: Sequence[Entry]) -> dict[bytes, list[Entry]]:
    """Return a set's encoded members, each with the additions that no remover saw (add wins)."""
    removed: set[str] = set()
    for entry in entries:
        op = decode_op(entry.op)
        if op.verb == "srem":
            removed.update(op.seen)
    members: dict[bytes, list[Entry]] = {}
    for entry in entries:
        op = decode_op(entry.op)
        if op.verb == "sadd" and tag_of(entry) not in removed:
            members.setdefault(op.value, []).append(entry)
    return members
