"""What befell the store in attacks of our own: what is left of lost logs, full disks, damage to what was put away."""

import asyncio
import errno
import os

import pytest

from peer.chain import FIRST_HASH
from peer.errors import LogCorrupt
from peer.keys import HostKeys
from peer.store import writing
from peer.store.files import Files
from peer.store.opening import open_folder
from peer.store.segments import SegmentStore
from tests.damage import damage_record, file_of

KEYS = HostKeys.from_seed(b"a host that is attacked")


@pytest.fixture
def open_store(tmp_path):
    opened = []

    def open_one(**options):
        opened.append(SegmentStore(tmp_path, asyncio.get_running_loop(), **{"keys": KEYS, **options}))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


async def done(write):
    event = asyncio.Event()
    write(event.set)
    await asyncio.wait_for(event.wait(), 20)


async def appended(store, agent, *records, anchor=False):
    await done(lambda told: store.append(agent, records, told, anchor))


async def compacted(store):
    outcome = asyncio.get_running_loop().create_future()
    store.compact(1.0, outcome.set_result)
    return await asyncio.wait_for(outcome, 20)


class Full(Files):
    """A disk on which there is no room at some places."""

    is_full = False

    def __init__(self, at=None):
        self.at = at

    def write(self, handle, data, at):
        if self.is_full and self.at in (None, at):
            raise OSError(errno.ENOSPC, "no room")
        super().write(handle, data, at)


async def test_a_lost_log_leaves_nothing_that_eats_the_next_one(tmp_path):
    loop = asyncio.get_running_loop()
    store = open_folder(tmp_path, loop).store
    for number in range(30):
        await appended(store, "a", b"%d" % number, anchor=number == 20)
    assert (await compacted(store)).archived_segments == 1
    store.close()
    old = (tmp_path / "archive" / "00000001.seg").read_bytes()
    for file in (tmp_path / "log").glob("*.seg"):
        file.unlink()
    for life in range(3):
        opened = open_folder(tmp_path, loop, is_first=False)
        assert opened.is_lost == (life == 0)
        assert opened.store.findings == []
        assert list(opened.store.read("a")) == [b"new %d" % number for number in range(life)]
        await appended(opened.store, "a", b"new %d" % life, anchor=True)
        await compacted(opened.store)
        await appended(opened.store, "a", *(b"new %d" % number for number in range(life + 1)), anchor=True)
        opened.store.close()
    # What the archive had is still there, for whoever audits.
    assert (tmp_path / "archive.lost-1" / "00000001.seg").read_bytes() == old


async def test_a_start_from_a_lost_log_that_was_interrupted_is_still_one(tmp_path):
    loop = asyncio.get_running_loop()
    opened = open_folder(tmp_path, loop)
    await appended(opened.store, "a", b"1")
    opened.store.close()
    (tmp_path / "log" / "00000001.seg").unlink()
    (tmp_path / "host.key").replace(tmp_path / "host.key.lost-1")
    opened = open_folder(tmp_path, loop)
    assert opened.is_lost
    opened.store.close()


async def test_a_disk_that_is_full_while_compacting_stops_nothing(open_store):
    files, failures = Full(), []
    store = open_store(files=files, on_failure=failures.append)
    for number in range(30):
        await appended(store, "a", b"%d" % number, anchor=number == 20)
    files.is_full = True
    told = asyncio.Event()
    store._on_failure = lambda error: told.set()
    store.compact(1.0, lambda outcome: None)
    await asyncio.wait_for(told.wait(), 20)
    files.is_full = False
    await appended(store, "a", b"on")
    assert (await compacted(store)).archived_segments >= 1
    store.close()
    store = open_store()
    assert store.findings == []
    assert list(store.read("a"))[-1] == b"on"


async def test_a_disk_that_is_full_when_a_segment_begins_leaves_no_gap_in_their_numbers(open_store, monkeypatch):
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 2000)
    monkeypatch.setattr("peer.store.segments.ROOM_S", 0.01)
    files, stalls = Full(at=0), []
    store = open_store(files=files, on_stall=stalls.append)
    files.is_full = True
    last = asyncio.Event()
    for number in range(8):
        store.append("a", [os.urandom(500)], last.set if number == 7 else lambda: None)
        await asyncio.sleep(0.02)
    assert stalls
    files.is_full = False
    await asyncio.wait_for(last.wait(), 20)
    store.close()
    store = open_store()
    assert store.findings == []
    assert len(list(store.read("a"))) == 8


async def test_damage_to_what_was_written_again_when_segments_went_is_found_and_mended(open_store, tmp_path):
    store = open_store()
    for number in range(30):
        await appended(store, "a", b"record %d" % number, anchor=number == 20)
    await compacted(store)
    wanted, prev = list(store.read("a")), store.reads_from("a")[1]
    store.close()
    damage_record(tmp_path, "a", 21)
    store = open_store()
    assert [(each.first, each.end) for each in store.needed("a")] == [(21, 21)]
    with pytest.raises(LogCorrupt, match="agent a, record 21"):
        list(store.read("a"))
    await done(lambda told: store.mend("a", 21, prev, wanted[:1], told, anchor=True))
    for _ in range(2):
        assert store.needed("a") == []
        assert list(store.read("a")) == wanted
        store.close()
        store = open_store()


async def test_a_record_whose_piece_is_gone_is_damaged_and_can_be_mended(open_store, tmp_path):
    large = os.urandom(100_000)
    store = open_store()
    await appended(store, "a", large)
    await appended(store, "b", b"other", large + b"more")
    store.close()
    # The pieces of the first record stand before it, in the same batch.
    file, begin, _ = file_of(tmp_path, "a", 1)
    data = bytearray(file.read_bytes())
    data[begin // 2] ^= 1
    file.write_bytes(data)
    store = open_store()
    assert [(each.first, each.end) for each in store.needed("b")] == [(1, 2)]
    await done(lambda told: store.mend("b", 1, FIRST_HASH, [b"other", large + b"more"], told))
    await done(lambda told: store.mend("a", 1, FIRST_HASH, [large], told))
    for _ in range(2):
        assert list(store.read("a")) == [large]
        assert list(store.read("b")) == [b"other", large + b"more"]
        await appended(store, "c", b"goes on")
        store.close()
        store = open_store()


async def test_a_log_that_begins_anew_after_damage_counts_no_damage_behind_its_beginning(open_store, tmp_path):
    store = open_store()
    await appended(store, "a", b"1")
    await appended(store, "a", b"2")
    await appended(store, "b", b"1")
    store.close()
    damage_record(tmp_path, "a", 2)
    store = open_store()
    await done(lambda told: store.begin_at("a", 9, b"h" * 16, [b"9"], told))
    for _ in range(2):
        assert store.needed("a") == []
        assert list(store.read("a")) == [b"9"]
        store.close()
        store = open_store()


async def test_opening_again_and_again_leaves_no_file_open(open_store):
    store = open_store()
    await appended(store, "a", b"1")
    list(store.read("a"))
    store.close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        store = open_store()
        assert list(store.read("a")) == [b"1"]
        store.close()
    assert len(os.listdir("/proc/self/fd")) <= before + 1


async def test_records_of_any_size_and_logs_of_any_name(open_store):
    sizes = (0, 1, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 30 << 20)
    records = {size: os.urandom(min(size, 1 << 20)) * max(1, size >> 20) for size in sizes}
    names = ("ä/ö", "a b", "host:", "copy:x/\u2028", "x" * 1000, "\U0001f600")
    store = open_store()
    for size, record in records.items():
        await appended(store, "sizes", record)
        assert len(record) == size
    for name in names:
        await appended(store, name, b"", name.encode())
    store.close()
    store = open_store()
    assert store.findings == []
    assert list(store.read("sizes")) == list(records.values())
    for name in names:
        assert list(store.read(name)) == [b"", name.encode()]


async def test_ten_thousand_agents_with_one_record_each(open_store, monkeypatch):
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 200_000)
    store = open_store()
    last = asyncio.Event()
    for number in range(10_000):
        store.append(f"agent-{number}", [b"%d" % number], last.set if number == 9_999 else lambda: None)
    await asyncio.wait_for(last.wait(), 30)
    await compacted(store)
    store.close()
    store = open_store()
    assert len(store.agents()) == 10_000
    assert all(list(store.read(f"agent-{number}")) == [b"%d" % number] for number in range(0, 10_000, 7))


async def test_damaged_batches_that_stand_side_by_side_cast_no_doubt_on_other_logs(open_store, tmp_path):
    store = open_store()
    await appended(store, "other", b"whole")
    for number in range(4):
        await appended(store, "a", b"%d" % number)
    store.close()
    for number in (2, 3, 4):
        damage_record(tmp_path, "a", number)
    store = open_store()
    assert store.damages("other") == []
    assert [(damage.first, damage.end) for damage in store.damages("a")] == [(2, 2), (3, 3), (4, 4)]
    assert [finding.number for finding in store.findings] == [2, 3, 4]
    store.close()
