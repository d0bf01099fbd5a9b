"""Random damage to a log's files is found and named, and never yields what was not written."""

import asyncio
import os
import random
import re
import shutil
from pathlib import Path

import pytest

from peer.errors import LogCorrupt
from peer.keys import HostKeys
from peer.store import writing
from peer.store.files import Files
from peer.store.frame import BATCH_HEAD, decode_batch_head
from peer.store.reading import open_logs, verify
from peer.store.segment import HEADER_BYTES
from peer.store.segments import SegmentStore

KEYS = HostKeys.from_seed(b"a host that has bad luck")
CORRUPTIONS = 6_000
PARTS = 4


class Unsynced(Files):
    """For folders that are thrown away at once."""

    def sync(self, handle: int) -> None:
        """Leave it to the operating system."""

    def sync_folder(self, folder: Path) -> None:
        """Leave it to the operating system."""


async def make(folder: Path) -> dict[str, list[bytes]]:
    """Write logs with everything in them: several segments, large records, anchors, mended and moved logs."""
    rng = random.Random(7)
    store = SegmentStore(folder, asyncio.get_running_loop(), keys=KEYS, files=Unsynced())
    logs: dict[str, list[bytes]] = {}
    large = rng.randbytes(20_000)
    done = asyncio.Event()
    for number in range(60):
        for agent in ("ledger-1", "risk-2", "copy:0011/ledger-9"):
            large = large[:5_000] + rng.randbytes(20) + large[5_020:]
            record = large if number % 20 == 5 else b"%s record %d " % (agent.encode(), number) * rng.randint(1, 9)
            logs.setdefault(agent, []).append(record)
            store.append(agent, [record], lambda: None, anchor=number == 40)
        if number % 3 == 0:
            done.clear()
            store.append("host:", [], done.set)
            await done.wait()
    store.begin_at("moved", 30, b"m" * 16, [b"30", b"31"], lambda: None)
    logs["moved"] = [b"30", b"31"]
    store.close()
    return logs


def corrupt(folder: Path, rng: random.Random) -> str:
    """Change the files of a log at random; return what was done."""
    files = sorted((folder / "log").glob("*.seg"))
    file = rng.choice(files)
    data = bytearray(file.read_bytes())
    whole = bytes(data)
    at = rng.randrange(len(data))
    length = min(rng.choice((1, 4, 16, 200, 4096)), len(data) - at)
    batches = _batches(whole)
    kind = rng.choice(
        ("bit", "bit", "bit", "noise", "zeros", "cut", "longer", "gone", "out", "in", "other", "swap", "twice", "move")
    )
    if kind == "bit":
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "noise":
        data[at : at + length] = rng.randbytes(length)
    elif kind == "zeros":
        data[at : at + length] = bytes(length)
    elif kind == "cut":
        del data[at:]
    elif kind == "longer":
        data += rng.randbytes(length)
    elif kind == "gone":
        file.unlink()
        return f"{file.name} removed"
    elif kind == "out":
        del data[at : at + length]
    elif kind == "in":
        data[at:at] = rng.randbytes(length)
    elif kind in ("other", "swap"):
        second = rng.choice(files)
        data = bytearray(second.read_bytes())
        if kind == "swap":
            second.write_bytes(whole)
    elif kind == "twice":
        begin, end = rng.choice(batches)
        data[end:end] = data[begin:end]
    else:
        begin, end = batches.pop(rng.randrange(len(batches)))
        moved = data[begin:end]
        del data[begin:end]
        place = rng.choice([HEADER_BYTES, len(data)])
        data[place:place] = moved
    file.write_bytes(data)
    return f"{file.name}: {kind} at {at} ({length} bytes)"


def _batches(data: bytes) -> list[tuple[int, int]]:
    at, found = HEADER_BYTES, []
    while (head := decode_batch_head(data, at)) is not None:
        found.append((at, at + BATCH_HEAD + head.length))
        at = found[-1][1]
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "log").iterdir()}


@pytest.mark.parametrize("part", range(PARTS))
async def test_random_corruptions_are_each_found_and_named_and_yield_nothing_wrong(tmp_path, monkeypatch, part):
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 7_000)
    logs = await make(tmp_path / "whole")
    original = contents(tmp_path / "whole")
    assert len(original) >= 3
    for seed in range(part, CORRUPTIONS, PARTS):
        folder = tmp_path / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "log").mkdir(parents=True)
        for name, data in original.items():
            (folder / "log" / name).write_bytes(data)
        what = f"seed {seed}: {corrupt(folder, random.Random(seed))}"
        if contents(folder) == original:
            continue
        report = verify(folder)
        assert report.findings or report.torn, what
        assert all(finding.file.name and finding.what for finding in report.findings), what
        look(open_logs(folder), logs, what)
        if seed % 50 == part:
            await start(folder, logs, what)


def look(reader, logs, what):
    """Read every log: what comes is what was written, from the first on; what does not come is said to be missing."""
    for agent, records in logs.items():
        found, error, first = [], None, 30 if agent == "moved" else 1
        try:
            for stored in reader.read(agent, first):
                found.append(stored.body)
        except LogCorrupt as raised:
            error = str(raised)
        assert found == records[: len(found)], what
        if error is None:
            assert len(found) == len(records), what
        else:
            assert re.search(r"\.seg, agent .*, record \d", error), what


async def start(folder, logs, what):
    """Start a host on it: each log is read whole or refused, and whoever is whole goes on."""
    store = SegmentStore(folder, asyncio.get_running_loop(), keys=KEYS, files=Unsynced())
    try:
        for agent, records in logs.items():
            try:
                found = list(store.read(agent))
            except LogCorrupt:
                continue
            assert found == records[-len(found) :], what
            assert len(found) >= min(20, len(records)), what
            if not store.damages(agent):
                done = asyncio.Event()
                store.append(agent, [b"goes on"], done.set)
                await asyncio.wait_for(done.wait(), 20)
                assert list(store.read(agent)) == [*found, b"goes on"], what
    finally:
        store.close()
    assert os.listdir(folder / "log")
