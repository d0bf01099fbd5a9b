"""A host's log as its host opens it, on a real disk, and segments that a damaged disk might give back."""

import asyncio
from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from peer import errors
from peer.store.archive import FILE
from peer.store.codec import Codec, NoKey
from peer.store.files import Files
from peer.store.frame import BATCH_HEAD, ZSTD, Frame, digest_of, encode_batch, encode_frame
from peer.store.segment import HEADER_BYTES, NAME, Header, encode_header, encode_mark, scan, segment_files
from peer.store.segment import Mark as SegmentMark
from peer.store.segments import SegmentStore
from tests.fuzz.badges import host_keys
from tests.fuzz.shapes import NUMBERS, Unshaped, mutated

READS = ("a", "b", "host:", "heads:")
FILES = (NAME.format(1), NAME.format(2), NAME.format(3), FILE)
WORDS = (*READS, "copy:m/a", "spec:m/a", "", "m", "ä")


class _Quick(Files):
    """Files that nobody waits for: what is read is fuzzed, not whether it is durable."""

    def sync(self, handle: int) -> None:
        """Return at once."""

    def sync_folder(self, folder: Path) -> None:
        """Return at once."""


def opened(folder: Path) -> None:
    """Open a log as its host does, read all of it, write to it, and close it. Raises: what is not an EbbtideError."""
    loop = asyncio.new_event_loop()
    failures: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: failures.append(context.get("exception") or Fault(str(context))))
    try:
        with suppress(errors.ConfigInvalid, errors.LogFailed, errors.LogCorrupt):
            loop.run_until_complete(_used(folder, loop))
    finally:
        loop.close()
    wrong = [error for error in failures if not isinstance(error, errors.LogFailed)]
    if wrong:
        raise wrong[0]


class Fault(AssertionError):
    """The loop was told of something."""


async def _used(folder: Path, loop: asyncio.AbstractEventLoop) -> None:
    store = SegmentStore(folder, loop, lambda _: None, keys=host_keys("h"), files=_Quick())
    try:
        for agent in (*READS, *store.agents()):
            with suppress(errors.LogCorrupt):
                list(store.read(agent))
            with suppress(errors.LogCorrupt):
                store.hash_of(agent, store.length(agent))
            for look in (store.damages, store.needed, store.is_lost, store.reads_from):
                look(agent)
        store.head()
        done = asyncio.Event()
        store.append("a", (b"one more",), done.set)
        with suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), 3)
    finally:
        store.close()


# -- segments -----------------------------------------------------------------------------------------------------


def a_log() -> dict[str, bytes]:
    """Return the files of a small log."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "host-1"
        asyncio.run(_written(folder))
        return {file.name: file.read_bytes() for file in segment_files(folder / "log")}


async def _written(folder: Path) -> None:
    store = SegmentStore(folder, asyncio.get_running_loop(), keys=host_keys("h"), files=_Quick())
    for number in range(3):
        done = asyncio.Event()
        for agent in READS[:3]:
            record = f"{agent} {number} ".encode() * (5 if number else 1)
            store.append(agent, (record, record + b"!"), done.set, anchor=number == 1)
        await done.wait()
    done = asyncio.Event()
    store.append("a", (bytes(range(256)) * 40,), done.set)
    await done.wait()
    store.close()


def changed(data: bytes, rng: Random) -> bytes:
    """Return a segment of which something is another, and all checks fit it: batches, frames, digests, marks."""
    found = scan(Path(FILES[0]), data)
    header = found.header or Header(1, bytes.fromhex(host_keys("h").host_id), 1, bytes(16))
    if rng.random() < 0.1:
        header = header._replace(**{rng.choice(("number", "sequence")): max(1, rng.choice(NUMBERS))})
    whole = [batch for batch in found.batches if batch.head is not None and not batch.what]
    chosen = rng.randrange(len(whole)) if whole else -1
    parts, prev = [], header.prev
    sequence = header.sequence
    for place, batch in enumerate(whole):
        frames = [
            (frame, data[at + frame.head_bytes : at + frame.head_bytes + frame.stored]) for at, frame in batch.frames
        ]
        sequence = (header.sequence + place) & ((1 << 64) - 1)
        if place == chosen:
            frames = _others(frames, rng)
        reached = {frame.agent: frame.end & ((1 << 64) - 1) for frame, _ in frames}
        encoded = encode_batch(sequence, prev, [encode_frame(*each) for each in frames], reached)
        prev = digest_of(sequence, prev, encoded[BATCH_HEAD:])
        parts.append(encoded)
    page = bytearray(encode_header(header))
    if rng.random() < 0.8:
        length = HEADER_BYTES + sum(map(len, parts))
        mark = encode_mark(SegmentMark(sequence, length, prev))
        page[128 : 128 + len(mark)] = mark
    return bytes(page) + b"".join(parts)


def _others(frames: list[tuple[Frame, bytes]], rng: Random) -> list[tuple[Frame, bytes]]:
    if not frames:
        return frames
    at = rng.randrange(len(frames))
    frame, stored = frames[at]
    choice = rng.randrange(8)
    if choice == 0:
        frames.insert(rng.randint(0, len(frames)), frames[at])
    elif choice == 1:
        del frames[at]
    elif choice == 2:
        fields = {"first": 1 << 64, "records": 1 << 32, "plain": 1 << 32}
        name = rng.choice(sorted(fields))
        value = rng.choice((getattr(frame, name) + rng.choice((-1, 1)), rng.choice(NUMBERS))) % fields[name]
        frames[at] = frame._replace(**{name: value}), stored
    elif choice == 3:
        frames[at] = frame._replace(flags=frame.flags ^ (1 << rng.randrange(7))), stored
    elif choice == 4:
        frames[at] = frame._replace(kind=rng.randint(1, 3), agent=rng.choice(WORDS)), stored
    elif choice == 5:
        frames[at] = frame._replace(**{rng.choice(("prev", "last")): rng.randbytes(16)}), stored
    else:
        frames[at] = _refilled(frame, stored, rng)
    return frames


def _refilled(frame: Frame, stored: bytes, rng: Random) -> tuple[Frame, bytes]:
    """Return a frame with another body, whose lengths fit."""
    try:
        plain = Codec().unpack(frame.flags, stored, frame.plain)
    except (ValueError, NoKey):
        return frame, stored
    try:
        body = mutated(plain, rng, WORDS)
    except Unshaped:
        raw = bytearray(plain or b"\0")
        for _ in range(rng.randint(1, 4)):
            raw[rng.randrange(len(raw))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        body = bytes(raw[: rng.choice((len(raw), rng.randint(0, len(raw))))])
    flags, packed = Codec().pack(body)
    return frame._replace(flags=frame.flags & ~ZSTD | flags, plain=len(body)), packed
