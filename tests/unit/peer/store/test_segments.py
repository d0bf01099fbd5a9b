"""The durable store: what only files have to withstand."""

import asyncio
import errno
import os
import resource
import shutil
import signal
import sys
from asyncio.subprocess import PIPE

import pytest

from peer.chain import FIRST_HASH
from peer.errors import ConfigInvalid, LogBusy, LogCorrupt, LogFailed
from peer.keys import HostKeys
from peer.store import jobs, segments, writing
from peer.store.files import Files
from peer.store.reading import open_logs, verify
from peer.store.segments import SegmentStore
from tests.damage import damage_record

KEYS = HostKeys.from_seed(b"a host of the tests")


@pytest.fixture
def open_store(tmp_path):
    opened = []

    def open_one(folder=tmp_path, **options):
        opened.append(SegmentStore(folder, asyncio.get_running_loop(), **{"keys": KEYS, **options}))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


async def appended(store, agent, *records, anchor=False):
    done = asyncio.Event()
    store.append(agent, records, done.set, anchor)
    await asyncio.wait_for(done.wait(), 20)


async def written(write):
    done = asyncio.Event()
    write(done.set)
    await asyncio.wait_for(done.wait(), 20)


class Counting(Files):
    def __init__(self):
        self.syncs = 0

    def sync(self, handle):
        self.syncs += 1
        super().sync(handle)


async def test_what_waits_is_committed_together(open_store):
    files = Counting()
    store = open_store(files=files)
    last = asyncio.Event()
    for number in range(2000):
        store.append(f"agent-{number % 50}", [b"x"], last.set if number == 1999 else lambda: None)
    await asyncio.wait_for(last.wait(), 20)
    assert 1 <= files.syncs < 200


async def test_a_full_queue_makes_append_wait_and_loses_nothing(open_store, monkeypatch):
    monkeypatch.setattr(jobs, "PENDING_RECORDS_MAX", 10)
    store = open_store()
    last = asyncio.Event()
    deepest = 0
    for number in range(300):
        store.append("a", [b"%d" % number], last.set if number == 299 else lambda: None)
        deepest = max(deepest, len(store._jobs))
    await asyncio.wait_for(last.wait(), 20)
    assert deepest <= 10
    assert list(store.read("a")) == [b"%d" % number for number in range(300)]


async def test_a_log_in_use_is_refused_and_names_the_holder(open_store):
    store = open_store()
    with pytest.raises(LogBusy, match=str(os.getpid())):
        open_store()
    store.close()
    open_store()


async def test_a_small_change_of_a_large_record_stores_a_small_piece(open_store):
    store = open_store()
    large = os.urandom(1 << 20)
    await appended(store, "a", large)
    before = size_of(store.folder)
    for at in range(10):
        place = at * 100_000
        large = large[:place] + os.urandom(200) + large[place + 200 :]
        await appended(store, "a", large)
    assert size_of(store.folder) - before < 10 * 8_000
    # An insertion moves no later border; another agent's equal value costs a recipe.
    await appended(store, "b", b"inserted" + large)
    assert size_of(store.folder) - before < 11 * 8_000
    store.close()
    store = open_store()
    assert list(store.read("a"))[-1] == large
    assert list(store.read("b")) == [b"inserted" + large]


def size_of(folder):
    return sum(file.stat().st_size for file in folder.iterdir())


async def test_a_log_goes_on_over_many_segments(open_store, monkeypatch):
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 4096)
    store = open_store()
    for number in range(50):
        await appended(store, f"a{number % 3}", os.urandom(500), b"%d" % number)
    assert len(list(store.folder.glob("*.seg"))) > 5
    wanted = {agent: list(store.read(agent)) for agent in store.agents()}
    store.close()
    store = open_store()
    assert {agent: list(store.read(agent)) for agent in store.agents()} == wanted
    assert store.findings == []
    store.close()
    report = verify(store.folder.parent)
    assert report.findings == ()
    assert report.records == report.signed == 100


async def test_a_damaged_record_is_named_and_the_other_logs_go_on(open_store, tmp_path):
    store = open_store()
    await appended(store, "ledger-1", b"first")
    await appended(store, "ledger-1", b"the body that is to be damaged")
    await appended(store, "other", b"intact")
    await appended(store, "ledger-1", b"third")
    store.close()
    damage_record(tmp_path, "ledger-1", 2)
    store = open_store()
    reading = store.read("ledger-1")
    assert next(reading) == b"first"
    with pytest.raises(LogCorrupt, match=r"00000001\.seg, agent ledger-1, record 2: .*backup"):
        next(reading)
    assert list(store.read("other")) == [b"intact"]
    assert [(found.agent, found.number) for found in store.findings] == [("ledger-1", 2)]


async def test_damaged_records_are_mended_in_their_place(open_store, tmp_path):
    store = open_store()
    await appended(store, "a", b"1")
    await appended(store, "a", b"2")
    await appended(store, "a", b"3")
    store.close()
    damage_record(tmp_path, "a", 2)
    store = open_store()
    await written(lambda done: store.mend("a", 2, store.hash_of("a", 1), [b"2"], done))
    assert list(store.read("a")) == [b"1", b"2", b"3"]
    assert store.damages("a") == []
    store.close()
    store = open_store()
    assert list(store.read("a")) == [b"1", b"2", b"3"]
    await appended(store, "a", b"4")
    assert list(store.read("a")) == [b"1", b"2", b"3", b"4"]


async def test_a_log_can_begin_at_any_record_and_ends_before_one_that_begins_anew(open_store):
    store = open_store()
    await written(lambda done: store.begin_at("moved", 41, b"h" * 16, [b"41", b"42"], done))
    await appended(store, "moved", b"43")
    assert store.length("moved") == 43
    assert list(store.read("moved")) == [b"41", b"42", b"43"]
    assert store.reads_from("moved") == (41, b"h" * 16)
    await written(lambda done: store.begin_at("moved", 43, store.hash_of("moved", 42), [], done))
    assert list(store.read("moved")) == [b"41", b"42"]
    await appended(store, "moved", b"another 43")
    store.close()
    assert list(open_store().read("moved")) == [b"41", b"42", b"another 43"]


async def test_a_torn_last_write_is_dropped_and_said(open_store, tmp_path):
    store = open_store()
    await appended(store, "a", b"1")
    file = tmp_path / "log" / "00000001.seg"
    whole = file.read_bytes()
    await appended(store, "a", os.urandom(300))
    torn = file.read_bytes()
    store.close()
    for cut in (1, 20, 47, 48, 49, 200, len(torn) - len(whole) - 1):
        # As a crash leaves it: the mark is of before, the batch is there in part.
        file.write_bytes(whole + torn[len(whole) : len(whole) + cut])
        store = open_store()
        assert (store.torn, store.findings) == (cut, [])
        assert list(store.read("a")) == [b"1"]
        await appended(store, "a", b"3")
        assert list(store.read("a")) == [b"1", b"3"]
        store.close()
        assert verify(tmp_path).findings == ()


async def test_a_file_cut_short_is_damage_and_no_torn_write(open_store, tmp_path):
    store = open_store()
    for number in range(10):
        await appended(store, "a", b"%d" % number * 50)
    store.close()
    file = tmp_path / "log" / "00000001.seg"
    whole = file.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 300, 256, 100, 0):
        file.write_bytes(whole[:length])
        assert verify(tmp_path).findings != ()
        store = open_store()
        assert store.findings != []
        if 256 < length < len(whole) // 2 + 1:
            with pytest.raises(LogCorrupt, match="agent a, record"):
                list(store.read("a"))
        store.close()
        for later in (tmp_path / "log").glob("*[2-9].seg"):
            later.unlink()


@pytest.mark.parametrize("gone", [1, 2, 3, 4])
async def test_a_missing_segment_is_named(open_store, tmp_path, monkeypatch, gone):
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 3000)
    store = open_store()
    while store._writer.number < 4:
        await appended(store, "a", os.urandom(700))
    await appended(store, "a", b"last")
    store.close()
    (tmp_path / "log" / f"0000000{gone}.seg").unlink()
    report = verify(tmp_path)
    assert any(f"segment {gone}" in str(finding) and "missing" in finding.what for finding in report.findings)
    with pytest.raises(LogCorrupt, match="agent a, record"):
        list(open_store().read("a"))


async def test_a_segment_of_another_host_is_not_taken_for_ones_own(open_store, tmp_path):
    for name in ("one", "two"):
        store = open_store(tmp_path / name, keys=HostKeys.from_seed(name.encode()))
        await appended(store, "a", name.encode())
        store.close()
    shutil.copy(tmp_path / "two" / "log" / "00000001.seg", tmp_path / "one" / "log" / "00000001.seg")
    store = open_store(tmp_path / "one", keys=HostKeys.from_seed(b"one"))
    assert "belongs to host" in store.findings[0].what
    with pytest.raises(LogCorrupt, match="agent a, record 1: another file stands in this segment's place"):
        list(store.read("a"))


async def test_a_log_of_another_format_is_refused(open_store, tmp_path):
    open_store().close()
    file = tmp_path / "log" / "00000001.seg"
    data = bytearray(file.read_bytes())
    from zlib import crc32

    data[8:10] = (99).to_bytes(2, "little")
    data[50:54] = crc32(data[:50]).to_bytes(4, "little")
    file.write_bytes(data)
    for _ in range(2):
        with pytest.raises(ConfigInvalid, match="format 99"):
            open_store()


async def test_a_full_disk_is_waited_for_and_nothing_acknowledged_is_lost(open_store, monkeypatch):
    monkeypatch.setattr(segments, "ROOM_S", 0.02)
    told = []
    store = open_store(on_stall=told.append)
    await appended(store, "a", b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    acknowledged = []
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # the kernel refuses to let files grow beyond
    try:
        for number in range(3):
            store.append("a", [os.urandom(60_000)], lambda number=number: acknowledged.append(number))
        async with asyncio.timeout(20):
            while not told:
                await asyncio.sleep(0.01)
        assert "once there is room" in told[0]
        count = len(acknowledged)
        assert count < 3
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    await appended(store, "a", b"after")
    assert acknowledged == [0, 1, 2]
    assert told[-1] == ""
    records = list(store.read("a"))
    assert (records[0], records[-1], len(records)) == (b"before", b"after", 5)
    store.close()
    assert list(open_store().read("a")) == records


class Failing(Files):
    fails = False

    def sync(self, handle):
        if self.fails:
            raise OSError(errno.EIO, "the disk is broken")
        super().sync(handle)


async def test_a_failed_sync_is_told_once_and_acknowledges_nothing(open_store):
    failed, files, acknowledged = asyncio.get_running_loop().create_future(), Failing(), []
    store = open_store(on_failure=failed.set_result, files=files)
    await appended(store, "a", b"before")
    files.fails = True
    store.append("a", [b"lost"], lambda: acknowledged.append(1))
    failure = await asyncio.wait_for(failed, 20)
    with pytest.raises(LogFailed, match="came after"):
        store.append("a", [b"later"], lambda: acknowledged.append(2))
    store.close()
    assert isinstance(failure.__cause__, OSError)
    assert acknowledged == []
    files.fails = False
    assert next(open_store().read("a")) == b"before"


async def test_without_a_callback_a_failure_goes_to_the_loops_handler(open_store):
    told = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.set_result(context["exception"]))
    store = open_store()
    store.append("a", ["not bytes"], lambda: None)
    assert isinstance(await asyncio.wait_for(told, 20), LogFailed)


async def test_a_folder_that_is_deleted_under_a_running_host_fails_it(open_store, tmp_path):
    failed = asyncio.get_running_loop().create_future()
    store = open_store(tmp_path / "host", on_failure=failed.set_result)
    await appended(store, "a", b"before")
    shutil.rmtree(tmp_path / "host")
    store.append("a", [b"into nothing"], lambda: pytest.fail("acknowledged what is gone"))
    assert "deleted" in str(await asyncio.wait_for(failed, 20))


async def test_a_read_only_folder_says_so(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    (tmp_path / "host").mkdir(mode=0o500)
    with pytest.raises(LogFailed, match=r"host.*Permission"):
        SegmentStore(tmp_path / "host", asyncio.get_running_loop())


async def test_an_audit_reads_while_the_host_writes(open_store, tmp_path):
    store = open_store()
    await appended(store, "a", b"1")
    logs = open_logs(tmp_path)
    assert [stored.body for stored in logs.read("a")] == [b"1"]
    await appended(store, "a", b"2")
    logs.refresh()
    assert [(stored.number, stored.body) for stored in logs.read("a", 2)] == [(2, b"2")]
    assert next(logs.read("a")).hash != FIRST_HASH


KILLED = """
import asyncio, sys
from pathlib import Path
from peer.store.segments import SegmentStore

async def main():
    store = SegmentStore(Path(sys.argv[1]), asyncio.get_running_loop())
    numbers = iter(range(10**9))
    def more(agent):
        number = next(numbers)
        def done():
            print(agent, number, flush=True)
            more(agent)
        store.append(agent, [b"%d" % number], done)
    for n in range(20):
        more(f"agent-{n}")
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_sigkill_in_mid_append_loses_nothing_acknowledged(open_store, tmp_path):
    logs = {}
    for acks in (1, 500, 3000):
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, tmp_path, stdout=PIPE)
        lines = [await child.stdout.readline() for _ in range(acks)]
        child.send_signal(signal.SIGKILL)
        lines += (await child.stdout.read()).splitlines(keepends=True)
        assert await child.wait() == -signal.SIGKILL
        acknowledged = {}
        for line in lines:
            if line.endswith(b"\n"):
                agent, number = line.split()
                acknowledged.setdefault(agent.decode(), []).append(number)
        assert sum(map(len, acknowledged.values())) >= acks
        store = open_store(keys=None)
        for agent in {*store.agents(), *logs, *acknowledged}:
            # The log may hold more than was acknowledged: what is durable need not have been told.
            expected = logs.get(agent, []) + acknowledged.get(agent, [])
            kept = list(store.read(agent))
            assert kept[: len(expected)] == expected
            logs[agent] = kept
        store.close()
