"""Compacting: what is still needed stays, what is not goes to the archive, and audits read all of it."""

import asyncio
import os
from random import Random

import pytest

from peer.chain import FIRST_HASH, chained
from peer.errors import ConfigInvalid, LogCorrupt
from peer.keys import HostKeys
from peer.store import writing
from peer.store.archive import read_boundary
from peer.store.compacting import ArchiveTerm
from peer.store.files import Files
from peer.store.offline import compact
from peer.store.reading import open_logs, verify
from peer.store.segments import SegmentStore
from tests.damage import damage_record

KEYS = HostKeys.from_seed(b"a tidy host")


async def appended(store, agent, *records, anchor=False):
    done = asyncio.Event()
    store.append(agent, records, done.set, anchor)
    await asyncio.wait_for(done.wait(), 20)


async def compacted(store, share=1.0):
    done = asyncio.get_running_loop().create_future()
    store.compact(share, done.set_result)
    return await asyncio.wait_for(done, 20)


@pytest.fixture
def open_store(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 20_000)
    opened = []

    def open_one(**options):
        opened.append(SegmentStore(tmp_path / "host", asyncio.get_running_loop(), **{"keys": KEYS, **options}))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


async def fill(store, rounds=30):
    """Write a busy log with anchors, one of an agent that has been idle since, and large records."""
    logs = {"busy": [], "idle": [b"idle 1", b"idle 2"]}
    # The same each time: where segments end depends on it.
    rng = Random(7)
    large = rng.randbytes(30_000)
    await appended(store, "idle", b"idle 1")
    await appended(store, "idle", b"idle 2", anchor=True)
    for number in range(rounds):
        large = large[:1_000] + rng.randbytes(50) + large[1_050:]
        record = large if number % 5 == 0 else rng.randbytes(1_500)
        logs["busy"].append(record)
        await appended(store, "busy", record, anchor=number % 10 == 9)
    return logs


async def test_what_no_agent_needs_goes_and_what_one_needs_stays(open_store, tmp_path):
    store = open_store()
    logs = await fill(store)
    needed = {agent: list(store.read(agent)) for agent in logs}
    outcome = await compacted(store)
    assert outcome.archived_segments >= 3
    assert outcome.after_bytes < outcome.before_bytes / 2
    assert {agent: list(store.read(agent)) for agent in logs} == needed
    await appended(store, "idle", b"idle 3")
    await appended(store, "busy", logs["busy"][25])
    store.close()
    store = open_store()
    assert store.findings == []
    assert list(store.read("busy")) == [*needed["busy"], logs["busy"][25]]
    assert list(store.read("idle")) == [b"idle 2", b"idle 3"]
    assert store.length("idle") == 3
    store.close()
    # The archive and the log together are the whole of it, chain and signatures unbroken.
    read = open_logs(tmp_path / "host")
    assert [stored.body for stored in read.read("busy")] == [*logs["busy"], logs["busy"][25]]
    assert [(stored.number, stored.body) for stored in read.read("idle")][-1] == (3, b"idle 3")
    report = verify(tmp_path / "host")
    assert report.findings == ()
    assert report.records == report.signed == 34


async def test_a_segment_that_is_much_needed_stays(open_store):
    store = open_store()
    for _ in range(40):
        await appended(store, "never folded", os.urandom(1_500))
    outcome = await compacted(store, share=0.25)
    assert (outcome.archived_segments, outcome.after_bytes) == (0, outcome.before_bytes)


async def test_the_archive_keeps_no_more_than_it_is_to(open_store, tmp_path):
    store = open_store(kept=ArchiveTerm(bytes=45_000))
    logs = await fill(store, rounds=60)
    outcome = await compacted(store)
    assert outcome.dropped_segments >= 1
    needed = {agent: list(store.read(agent)) for agent in logs}
    store.close()
    report = verify(tmp_path / "host")
    assert report.findings == ()
    boundary = read_boundary(tmp_path / "host" / "log")
    assert sum(segment.size for segment in boundary.segments) <= 45_000
    found = [stored.body for stored in open_logs(tmp_path / "host").read("busy")]
    assert found == logs["busy"][-len(found) :]
    assert len(found) < len(logs["busy"])
    store = open_store()
    assert {agent: list(store.read(agent)) for agent in logs} == needed


@pytest.mark.parametrize("address", ["memory://audit", "file"])
async def test_the_archive_can_be_at_any_address_that_fsspec_knows(open_store, tmp_path, address):
    if address == "file":
        address = f"file://{tmp_path}/elsewhere"
    store = open_store(archive=address)
    logs = await fill(store)
    assert (await compacted(store)).archived_segments >= 3
    store.close()
    assert not (tmp_path / "host" / "archive").exists()
    assert verify(tmp_path / "host").findings == ()
    assert [stored.body for stored in open_logs(tmp_path / "host").read("busy")] == logs["busy"]


async def test_an_address_that_nobody_knows_is_refused(open_store):
    with pytest.raises(ConfigInvalid, match="nosuch"):
        open_store(archive="nosuch://bucket/folder")


async def test_an_archive_that_cannot_be_reached_leaves_the_log_as_it_is(open_store, tmp_path):
    (tmp_path / "full").write_bytes(b"a file where a folder should be")
    store = open_store(archive=f"file://{tmp_path}/full/inside")
    logs = await fill(store)
    files = {file.name for file in store.folder.glob("*.seg")}
    store.compact(0.25)
    await appended(store, "busy", b"goes on")
    assert files <= {file.name for file in store.folder.glob("*.seg")}
    assert list(store.read("busy", 1)) == [*logs["busy"], b"goes on"]


class Stopping(Files):
    """Stops for good at the n-th change."""

    def __init__(self, left):
        self.left = left

    def _step(self):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("stopped")

    def write(self, handle, data, at):
        self._step()
        super().write(handle, data, at)

    def replace(self, source, target):
        self._step()
        super().replace(source, target)

    def remove(self, path):
        self._step()
        super().remove(path)


async def test_wherever_compacting_stops_nothing_is_lost(open_store, tmp_path):
    stop = 0
    while True:
        folder = tmp_path / "host"
        if folder.exists():
            for file in sorted(folder.rglob("*"), reverse=True):
                file.unlink() if file.is_file() else file.rmdir()
        store = open_store()
        logs = await fill(store, rounds=20)
        needed = {agent: list(store.read(agent)) for agent in logs}
        files = store._files = store._writer._files = store._compactor._files = Stopping(stop)
        done = asyncio.get_running_loop().create_future()
        store._on_failure = done.set_result
        store.compact(1.0, done.set_result)
        outcome = await asyncio.wait_for(done, 20)
        store._on_failure = lambda _: None
        files.left = 1 << 30
        store.close()
        store = open_store()
        assert {agent: list(store.read(agent)) for agent in logs} == needed, stop
        assert store.findings == []
        store.close()
        assert verify(folder).findings == ()
        assert [stored.body for stored in open_logs(folder).read("busy")] == logs["busy"], stop
        if not isinstance(outcome, Exception):
            break
        stop += 1
    assert stop > 8


async def test_a_folder_is_compacted_by_command(open_store, tmp_path):
    store = open_store()
    logs = await fill(store)
    KEYS.save(tmp_path / "host" / "host.key")
    store.close()
    outcome = await asyncio.to_thread(compact, tmp_path / "host")
    assert outcome.archived_segments >= 3
    assert [stored.body for stored in open_logs(tmp_path / "host").read("busy")] == logs["busy"]
    with pytest.raises(ConfigInvalid, match="holds no log"):
        compact(tmp_path)


async def test_a_damaged_archive_is_named(open_store, tmp_path):
    store = open_store()
    await fill(store)
    await compacted(store)
    store.close()
    file = tmp_path / "host" / "archive" / "00000002.seg"
    data = bytearray(file.read_bytes())
    data[5_000] ^= 1
    file.write_bytes(data)
    report = verify(tmp_path / "host")
    assert [finding.file.name for finding in report.findings] == ["00000002.seg"]
    with pytest.raises(LogCorrupt, match=r"archive/00000002\.seg, agent busy, record"):
        list(open_logs(tmp_path / "host").read("busy"))
    file.unlink()
    assert any("missing from the archive" in finding.what for finding in verify(tmp_path / "host").findings)


async def test_a_large_state_of_an_idle_agent_does_not_keep_what_comes_after_it_from_being_put_away(
    open_store, tmp_path
):
    store, rng = open_store(), Random(3)
    large = [rng.randbytes(1_500) for _ in range(40)]
    await appended(store, "idle", *large, anchor=True)
    sizes = []
    for number in range(400):
        await appended(store, "busy", rng.randbytes(1_500), anchor=number % 10 == 9)
        if number % 10 == 9:
            await compacted(store, 0.25)
            sizes.append(sum(file.stat().st_size for file in (tmp_path / "host" / "log").glob("*.seg")))
    assert max(sizes) < 6 * 40 * 1_500
    assert list(store.read("idle")) == large
    store.close()
    store = open_store()
    assert list(store.read("idle")) == large
    assert store.findings == []


async def test_that_an_end_was_lost_is_not_forgotten_with_the_segment_that_says_so(open_store):
    store = open_store()
    await appended(store, "short", b"1", b"2")
    done = asyncio.Event()
    store.begin_at("short", 2, store.hash_of("short", 1), (), done.set, lost=True)
    await done.wait()
    await fill(store)
    assert (await compacted(store)).archived_segments >= 3
    store.close()
    store = open_store()
    assert store.findings == []
    assert store.is_lost("short")
    assert not store.is_lost("busy")
    assert list(store.read("short")) == [b"1"]
    await appended(store, "short", b"anew")
    assert not store.is_lost("short")


async def test_a_damaged_segment_goes_to_the_archive_once_it_is_mended_and_not_before(open_store, tmp_path):
    store = open_store()
    logs = await fill(store)
    store.close()
    number = 12
    damage_record(tmp_path / "host", "busy", number)
    store = open_store()
    await compacted(store)
    (damage,) = store.damages("busy")
    assert damage.file.exists(), "what is missing must not be forgotten"
    done = asyncio.Event()
    records = logs["busy"][damage.first - 1 : damage.end]
    # The record before it may be in the archive by now.
    prev = chained(FIRST_HASH, "busy", 1, logs["busy"][: damage.first - 1])
    store.mend("busy", damage.first, prev, records, done.set)
    await done.wait()
    needed = {agent: list(store.read(agent)) for agent in logs}
    assert (await compacted(store)).archived_segments >= 3
    store.close()
    store = open_store()
    assert store.findings == []
    assert {agent: list(store.read(agent)) for agent in logs} == needed
    store.close()
    # The archive keeps the damaged file as evidence, and the log what stands in for it.
    assert len(verify(tmp_path / "host").findings) >= 1
    assert [stored.body for stored in open_logs(tmp_path / "host").read("busy")] == logs["busy"]


async def test_a_gap_that_the_archive_has_dropped_between_records_written_again_and_later_ones_is_no_damage(
    open_store, tmp_path
):  # fmt: skip
    rng = Random(3)
    store = open_store(kept=ArchiveTerm(bytes=25_000))

    async def busy(count):
        for at in range(count):
            await appended(store, "busy", rng.randbytes(1_500), anchor=at == 0)

    await appended(store, "idle", b"1")
    await appended(store, "idle", b"2", anchor=True)
    await busy(15)
    await appended(store, "busy", b"all before is not needed", anchor=True)
    await appended(store, "idle", b"3")
    for _ in range(30):
        await appended(store, "busy", rng.randbytes(1_500))
    # Only the first segment goes now, and what it holds of the idle log is written again; then no anchor needs it.
    assert (await compacted(store, 0.25)).archived_segments == 1
    await appended(store, "idle", b"4", anchor=True)
    await busy(4)
    assert (await compacted(store)).dropped_segments
    store.close()
    numbers = [stored.number for stored in open_logs(tmp_path / "host").read("idle")]
    assert numbers == [2, 4], "the test does not reach what it is about"
    assert verify(tmp_path / "host").findings == ()
    assert [stored.number for stored in open_logs(tmp_path / "host").read("idle", 3)] == [4]
