"""Bytes behind a segment's end: those that a crash has left, and those that somebody has put there."""

import asyncio
import random

import pytest

from peer.keys import HostKeys
from peer.store import writing
from peer.store.reading import verify
from peer.store.segment import SECTOR
from peer.store.segments import SegmentStore

KEYS = HostKeys.from_seed(b"a host with company")


async def make(folder, *records):
    store = SegmentStore(folder, asyncio.get_running_loop(), keys=KEYS)
    for record in records or [b"%d" % number * 200 for number in range(6)]:
        event = asyncio.Event()
        store.append("a", [record], event.set)
        await asyncio.wait_for(event.wait(), 20)
    store.close()
    return sorted((folder / "log").glob("*.seg"))


@pytest.mark.parametrize("put", [b"x", b"EbbT", b"\n", b"EbbT" + bytes(600), bytes(40) + b"x" * 600])
async def test_what_no_write_can_have_left_is_called_appended(tmp_path, put):
    (file,) = await make(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole + put)
    report = verify(tmp_path)
    if put == b"EbbT":
        # A write of the host's may have begun so.
        assert (report.torn, report.findings) == (4, ())
        return
    (finding,) = report.findings
    assert (finding.file, report.torn) == (file, 0)
    assert f"{len(put)} bytes were appended" in finding.what
    assert f"Cut the file to {len(whole)} bytes" in finding.remedy
    # A host cuts it off, and goes on.
    await make(tmp_path, b"on")
    assert verify(tmp_path).findings == ()


@pytest.mark.parametrize("hole", [False, True])
async def test_what_a_crash_has_left_is_called_torn(tmp_path, hole):
    (file,) = await make(tmp_path)
    whole = file.read_bytes()
    await make(tmp_path, random.Random(1).randbytes(2_000))
    written = bytearray(file.read_bytes()[: len(whole) + 1_500])
    rest = SECTOR - len(whole) % SECTOR
    if hole:
        # A disk that has not written the sector in which the batch begins.
        written[len(whole) : len(whole) + rest] = bytes(rest)
    for length in [*range(1, 80), rest - 1, rest, rest + 1, rest + SECTOR]:
        file.write_bytes(whole + written[len(whole) : len(whole) + length])
        report = verify(tmp_path)
        assert (report.findings, report.torn) == ((), length)


async def test_nothing_is_torn_behind_a_segment_that_another_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 600)
    files = await make(tmp_path)
    assert len(files) > 2
    file = files[0]
    file.write_bytes(file.read_bytes() + b"EbbT")
    report = verify(tmp_path)
    assert ([finding.file for finding in report.findings], report.torn) == ([file], 0)


@pytest.mark.parametrize("seed", range(40))
async def test_noise_behind_the_end_is_never_called_torn(tmp_path, seed):
    (file,) = await make(tmp_path)
    rng = random.Random(seed)
    file.write_bytes(file.read_bytes() + b"n" + rng.randbytes(rng.randint(1, 3_000)))
    report = verify(tmp_path)
    assert (len(report.findings), report.torn, report.records) == (1, 0, 6)
