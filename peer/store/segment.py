"""One file of a log, and what can be read of it after whatever has happened to it.

The header has two marks, written in turn: how far the file was durable when the one after it was written. So what is
wrong behind the mark was never acknowledged, a write that a crash has torn; what is wrong before it is damage. A mark
is within one sector of 512 bytes, which disks write whole or not at all.
"""

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from peer.store.frame import (
    BATCH_HEAD,
    FRAME_HEAD,
    MAGIC,
    NAME_BYTES_MAX,
    BatchHead,
    Frame,
    decode_batch_head,
    decode_head,
    frames_in,
    is_whole,
    next_head,
    roster_in,
)
from protocol.ids import NUMBER_END

FORMAT = 2
"""Of the files; 1 was one SQLite file for a host."""
NAME = "{:08d}.seg"
_MAGIC = b"Ebbtide\n"
_HEADER = struct.Struct("<8sHQ8sQ16s")
_MARK = struct.Struct("<QQ16s")
_CRC = struct.Struct("<I")
_MARKS = (128, 192)
HEADER_BYTES = 256
SECTOR = 512


class Header(NamedTuple):
    """What a segment is: the place of its first batch in the chain, and whose log it is."""

    number: int
    host: bytes
    """The host's id; zeros where a host has no keys."""
    sequence: int
    """Of its first batch."""
    prev: bytes
    """The digest that its first batch follows."""


class Mark(NamedTuple):
    """How far a segment was known to be durable."""

    sequence: int
    length: int
    digest: bytes


@dataclass
class Batch:
    """A batch as found: where it is, and the heads of its frames that can be read."""

    at: int
    head: BatchHead | None
    """None in a stretch where no head can be read."""
    length: int
    frames: list[tuple[int, Frame]]
    roster: dict[bytes, int] | None
    """Only of a damaged one."""
    what: str = ""
    """What is wrong with it; empty: it is as it was written."""


@dataclass
class Scan:
    """What a segment holds."""

    file: Path
    header: Header | None = None
    batches: list[Batch] = field(default_factory=list)
    end: int = HEADER_BYTES
    """Where the next batch would go."""
    size: int = 0
    wrong: list[str] = field(default_factory=list)
    """What is wrong with the file itself."""
    torn: int = 0
    """Bytes after `end` that were never acknowledged."""
    appended: bool = False
    """They are not left of any write of the host's: somebody has put them there."""
    closed: bool = False
    """What is behind `end` is damage, so nothing may follow it in this file."""


def encode_header(header: Header) -> bytes:
    """Return a new segment's first bytes, with marks of nothing written."""
    head = _HEADER.pack(_MAGIC, FORMAT, header.number, header.host, header.sequence, header.prev)
    first = encode_mark(Mark(header.sequence - 1, HEADER_BYTES, header.prev))
    page = bytearray(HEADER_BYTES)
    page[: len(head) + _CRC.size] = head + _CRC.pack(crc32(head))
    for at in _MARKS:
        page[at : at + len(first)] = first
    return bytes(page)


def encode_mark(mark: Mark) -> bytes:
    """Return a mark's bytes."""
    data = _MARK.pack(*mark)
    return data + _CRC.pack(crc32(data))


def mark_place(turn: int) -> int:
    """Return where the mark of a turn is written."""
    return _MARKS[turn % 2]


def read_file(path: Path) -> bytes:
    """Return a file's bytes. Raises: OSError."""
    with path.open("rb") as file:
        return file.read()


def decode_header(data: bytes) -> Header | None:
    """Return the header, or None if it is not as it was written."""
    if len(data) < HEADER_BYTES:
        return None
    magic, version, *rest = _HEADER.unpack_from(data)
    (crc,) = _CRC.unpack_from(data, _HEADER.size)
    if magic != _MAGIC or crc != crc32(data[: _HEADER.size]) or version != FORMAT:
        return None
    header = Header(*rest)
    return header if header.number <= NUMBER_END and 1 <= header.sequence <= NUMBER_END else None


def format_of(data: bytes) -> int | None:
    """Return the format that a segment's header names, if it is a whole header of whichever release."""
    if len(data) < HEADER_BYTES or data[: len(_MAGIC)] != _MAGIC:
        return None
    (crc,) = _CRC.unpack_from(data, _HEADER.size)
    return _HEADER.unpack_from(data)[1] if crc == crc32(data[: _HEADER.size]) else None


def scan(path: Path, data: bytes) -> Scan:
    """Look through a segment; nothing in it makes this fail."""
    found = Scan(path, decode_header(data), size=len(data))
    marks = marks_in(data)
    if len(data) >= HEADER_BYTES and len(marks) < len(_MARKS):
        found.wrong.append("a mark in its header is not as it was written")
    if _has_stray_bytes(data):
        found.wrong.append("there are bytes in its header that nothing has written")
    durable = max((mark.length for mark in marks), default=len(data))
    if found.header is None:
        found.wrong.append("its header is not as it was written")
    expected = None if found.header is None else (found.header.sequence, found.header.prev)
    at = HEADER_BYTES
    while at < len(data):
        head = decode_batch_head(data, at)
        whole = head is not None and is_whole(data, at, head)
        if head is not None and whole and (expected is None or (head.sequence, head.prev) == expected):
            end = at + BATCH_HEAD + head.length
            found.batches.append(Batch(at, head, end - at, list(frames_in(data, at + BATCH_HEAD, end)), None))
            expected = (head.sequence + 1, head.digest)
            found.end = at = end
            continue
        following = _next_whole(data, at + 1 if not whole else at, expected)
        if following is None and at >= durable:
            found.torn = len(data) - at
            # The file was known to end here, so nothing is left of what was written before that, either.
            is_end = any(mark.length == at for mark in marks)
            found.appended = is_end and expected is not None and not _is_begun(data, at, *expected)
            break
        end = len(data) if following is None else following
        # A whole batch that is not the next one: some are missing, and nothing stands in their place.
        what = "it is not as it was written" if end > at else "batches before it are missing"
        while (next_at := _next_in_chain(data, at, end)) < end:
            found.batches.append(_damaged(data, at, next_at, what))
            at = next_at
        found.batches.append(_damaged(data, at, end, what))
        found.closed = following is None
        head = decode_batch_head(data, end) if following is not None else None
        expected = None if head is None else (head.sequence, head.prev)
        found.end = at = end
    if len(data) < durable:
        found.wrong.append(f"it has {len(data)} bytes of {durable}: its end is missing")
        found.closed = True
    return found


def marks_in(data: bytes) -> list[Mark]:
    """Return the marks that are as they were written."""
    marks: list[Mark] = []
    for at in _MARKS if len(data) >= HEADER_BYTES else ():
        (crc,) = _CRC.unpack_from(data, at + _MARK.size)
        if crc == crc32(data[at : at + _MARK.size]):
            marks.append(Mark(*_MARK.unpack_from(data, at)))
    return marks


def _has_stray_bytes(data: bytes) -> bool:
    page = bytearray(data[:HEADER_BYTES])
    used = ((0, _HEADER.size + _CRC.size), *((at, _MARK.size + _CRC.size) for at in _MARKS))
    for at, length in used:
        page[at : at + length] = bytes(length)
    return any(page)


def _is_begun(data: bytes, at: int, sequence: int, prev: bytes) -> bool:
    """Tell whether what stands behind the last batch may be left of a write of the next one.

    A crash keeps some sectors of a write and leaves zeros for others: each that is not zeros begins as that batch does.
    """
    known = {at + place: byte for place, byte in next_head(sequence, prev).items() if at + place < len(data)}
    for sector in {place // SECTOR for place in known}:
        written = data[max(at, sector * SECTOR) : (sector + 1) * SECTOR]
        fits = all(data[place] == byte for place, byte in known.items() if place // SECTOR == sector)
        if any(written) and not fits:
            return False
    return True


def _next_whole(data: bytes, at: int, expected: tuple[int, bytes] | None) -> int | None:
    """Return where the next batch stands that is as it was written and comes later in the chain."""
    while (at := data.find(MAGIC, at)) >= 0:
        head = decode_batch_head(data, at)
        later = head is not None and (expected is None or head.sequence >= expected[0])
        if head is not None and later and is_whole(data, at, head):
            return at
        at += 1
    return None


def _next_in_chain(data: bytes, at: int, end: int) -> int:
    """Return where the batch at an offset ends, if its head is whole, for the next one's follows it; else `end`."""
    head = decode_batch_head(data, at)
    if head is None:
        return end
    after = at + BATCH_HEAD + head.length
    following = decode_batch_head(data, after) if after < end else None
    fits = following is not None and (following.sequence, following.prev) == (head.sequence + 1, head.digest)
    return after if fits else end


def _damaged(data: bytes, at: int, end: int, what: str) -> Batch:
    head = decode_batch_head(data, at)
    roster = roster_in(data, at, end)
    is_one = head is not None and at + BATCH_HEAD + head.length == end
    frames = list(frames_in(data, at + BATCH_HEAD, end)) if is_one else []
    return Batch(at, head if is_one else None, end - at, frames, roster if is_one else None, what)


def head_at(handle: int, at: int) -> Frame | None:
    """Read the head of the frame at an offset of an open segment; None if it is not as it was written."""
    return decode_head(os.pread(handle, FRAME_HEAD + NAME_BYTES_MAX, at), 0)


def frame_at(handle: int, at: int) -> tuple[Frame, bytes] | None:
    """Read the frame at an offset of an open segment; None if its head is not as it was written."""
    data = os.pread(handle, FRAME_HEAD + NAME_BYTES_MAX, at)
    frame = decode_head(data, 0)
    if frame is None:
        return None
    begin = frame.head_bytes
    stored = data[begin : begin + frame.stored]
    while len(stored) < frame.stored:
        more = os.pread(handle, frame.stored - len(stored), at + begin + len(stored))
        if not more:
            return None
        stored += more
    return frame, stored


def segment_files(folder: Path) -> list[Path]:
    """Return a folder's segments, in order."""
    return sorted(folder.glob("[0-9]*.seg"))


def numbers(files: Iterable[Path]) -> list[int]:
    """Return the segments' numbers, by their names."""
    return [int(file.stem) for file in files if file.stem.isdigit()]
