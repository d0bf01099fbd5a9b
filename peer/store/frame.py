"""The bytes of a log file: batches, each made durable at once, of frames, each of one agent.

A batch carries the digest of the batch before it, so the batches of a host make one chain, whichever segments they are
in; a frame carries the hash of the record before it, so each agent's records make another. At the end of a batch
stands its roster: how far each of its agents has come. So a damaged batch tells what is missing from it.

    batch  = magic, length of body, sequence, digest before, digest; body = frames, roster
    frame  = head, name, stored bytes
"""

import struct
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

from peer.chain import HASH_BYTES
from protocol.ids import NUMBER_END, AgentId

RECORDS, CHUNKS, SIGNATURE = 1, 2, 3
"""Kinds of frames: records of one agent; pieces of large records; the host's signature on everything before it."""

ZSTD, CIPHER, ANCHOR, FILL, CUT, LOST = 1, 2, 4, 8, 16, 32
"""Flags of frames: compressed; encrypted; reading may begin here; these records stand in for damaged ones of the same
numbers; the log ends before these records, whatever stood there; what followed these records is nowhere any more."""

MAGIC = b"EbbT"
_BATCH = struct.Struct("<4sIQ16s16s")
_FRAME = struct.Struct("<BBHQIII16s16s")
_CRC = struct.Struct("<I")
_ENTRY = struct.Struct("<8sQ")
_ROSTER = struct.Struct("<II")
BATCH_HEAD = _BATCH.size
FRAME_HEAD = _FRAME.size + _CRC.size
NAME_BYTES_MAX = 4096
BODY_BYTES_MAX = 1 << 31


class Frame(NamedTuple):
    """The head of a frame."""

    kind: int
    flags: int
    agent: AgentId
    first: int
    """Number of its first record."""
    records: int
    """How many records, or pieces."""
    stored: int
    """Bytes as they stand."""
    plain: int
    """Bytes before compression and encryption."""
    prev: bytes
    """The hash that its first record follows."""
    last: bytes
    """The hash of its last record."""

    @property
    def end(self) -> int:
        """The number of its last record."""
        return self.first + self.records - 1

    @property
    def head_bytes(self) -> int:
        """Length of the head, the name included."""
        return FRAME_HEAD + len(self.agent.encode())


class BatchHead(NamedTuple):
    """The head of a batch."""

    length: int
    """Of the body."""
    sequence: int
    """From 1, over all segments of a host."""
    prev: bytes
    digest: bytes


def name_hash(agent: AgentId) -> bytes:
    """Return what stands for an agent in rosters: 8 bytes."""
    return blake2b(agent.encode(), digest_size=8).digest()


def encode_frame(frame: Frame, stored: bytes) -> bytes:
    """Return a frame's bytes."""
    name = frame.agent.encode()
    head = _FRAME.pack(
        frame.kind, frame.flags, len(name), frame.first, frame.records, len(stored), frame.plain, frame.prev, frame.last
    )
    return b"".join((head, _CRC.pack(crc32(head + name)), name, stored))


def decode_head(data: bytes, at: int) -> Frame | None:
    """Return the head of the frame at an offset, or None if there is no whole one."""
    begin = at + FRAME_HEAD
    if begin > len(data):
        return None
    kind, flags, length, first, count, stored, plain, prev, last = _FRAME.unpack_from(data, at)
    if kind not in (RECORDS, CHUNKS, SIGNATURE) or length > NAME_BYTES_MAX or begin + length > len(data):
        return None
    name = data[begin : begin + length]
    (crc,) = _CRC.unpack_from(data, at + _FRAME.size)
    if crc != crc32(data[at : at + _FRAME.size] + name):
        return None
    if kind == RECORDS and not 1 <= first <= NUMBER_END - count:
        return None  # no log is that long, and nothing could follow it
    return Frame(kind, flags, name.decode(errors="replace"), first, count, stored, plain, prev, last)


def encode_batch(sequence: int, prev: bytes, frames: Iterable[bytes], reached: dict[AgentId, int]) -> bytes:
    """Return a batch's bytes.

    Args:
        sequence: its number.
        prev: the digest of the batch before.
        frames: encoded.
        reached: by agent with records in it, the number of its last.
    """
    roster = b"".join(_ENTRY.pack(name_hash(agent), number) for agent, number in reached.items())
    body = b"".join((*frames, roster, _ROSTER.pack(len(reached), crc32(roster))))
    return _BATCH.pack(MAGIC, len(body), sequence, prev, digest_of(sequence, prev, body)) + body


def digest_of(sequence: int, prev: bytes, body: bytes) -> bytes:
    """Return the digest of a batch."""
    hasher = blake2b(prev + struct.pack("<QI", sequence, len(body)), digest_size=HASH_BYTES)
    hasher.update(body)
    return hasher.digest()


def decode_batch_head(data: bytes, at: int) -> BatchHead | None:
    """Return the head of the batch at an offset, or None if there is none."""
    if at + BATCH_HEAD > len(data):
        return None
    magic, length, sequence, prev, digest = _BATCH.unpack_from(data, at)
    is_one = magic == MAGIC and 1 <= sequence <= NUMBER_END
    return BatchHead(length, sequence, prev, digest) if is_one else None


def next_head(sequence: int, prev: bytes) -> dict[int, int]:
    """Return what is known of a batch's first bytes before it is written: by offset, the byte."""
    head = _BATCH.pack(MAGIC, 0, sequence, prev, bytes(HASH_BYTES))
    unknown = {*range(len(MAGIC), len(MAGIC) + 4), *range(_BATCH.size - HASH_BYTES, _BATCH.size)}
    return {at: byte for at, byte in enumerate(head) if at not in unknown}


def is_whole(data: bytes, at: int, head: BatchHead) -> bool:
    """Tell whether the batch at an offset is as it was written."""
    begin = at + BATCH_HEAD
    end = begin + head.length
    return end <= len(data) and digest_of(head.sequence, head.prev, data[begin:end]) == head.digest


def frames_in(data: bytes, begin: int, end: int) -> Iterator[tuple[int, Frame]]:
    """Yield the frames of a batch's body with their offsets, as far as their heads can be read."""
    at = begin
    while at < end and (frame := decode_head(data, at)) is not None and at + frame.head_bytes + frame.stored <= end:
        yield at, frame
        at += frame.head_bytes + frame.stored


def roster_in(data: bytes, begin: int, end: int) -> dict[bytes, int] | None:
    """Return the roster that ends at `end`: by name hash the last number; None if it can't be read."""
    if end - begin < _ROSTER.size or end > len(data):
        return None
    count, crc = _ROSTER.unpack_from(data, end - _ROSTER.size)
    start = end - _ROSTER.size - count * _ENTRY.size
    if start < begin or crc32(data[start : end - _ROSTER.size]) != crc:
        return None
    return dict(_ENTRY.iter_unpack(data[start : end - _ROSTER.size]))
