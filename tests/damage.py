"""Damages logs as bad luck does, for tests: in the files, as they stand."""

import asyncio
from pathlib import Path

from peer.keys import HostKeys
from peer.store.archive import read_boundary
from peer.store.codec import Codec
from peer.store.folder import Loader
from peer.store.frame import decode_head
from peer.store.segment import NAME, segment_files
from peer.store.segments import SegmentStore


def file_of(folder: Path, agent: str, number: int) -> tuple[Path, int, int]:
    """Return the file with an agent's record, and where its frame's body stands: first byte and length."""
    boundary = read_boundary(folder / "log")
    found = Loader(Codec(), begin=boundary and boundary.end).load(segment_files(folder / "log"))
    _, _, place = found.index.frames(agent, number)[0]
    file = folder / "log" / NAME.format(place.segment)
    frame = decode_head(file.read_bytes(), place.at)
    assert frame is not None
    return file, place.at + frame.head_bytes, frame.stored


def damage_record(folder: Path, agent: str, number: int) -> Path:
    """Flip a bit in the middle of the frame that holds a record; return its file."""
    file, begin, length = file_of(folder, agent, number)
    data = bytearray(file.read_bytes())
    data[begin + length // 2] ^= 0x10
    file.write_bytes(data)
    return file


async def lose_end(folder: Path, agent: str, count: int) -> None:
    """Let a log end some records earlier, as an old copy of it would."""
    store = SegmentStore(folder, asyncio.get_running_loop(), keys=HostKeys.load(folder / "host.key"))
    first = store.tail(agent)[0] - count + 1
    done = asyncio.Event()
    store.begin_at(agent, first, store.hash_of(agent, first - 1), (), done.set)
    await done.wait()
    store.close()
