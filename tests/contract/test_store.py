"""What every log store promises, and what only the durable one has to withstand."""

import asyncio
import fcntl
import os
import resource
import signal
import sqlite3
import sys
import threading
from asyncio.subprocess import PIPE

import pytest

from peer.errors import ConfigInvalid, LogBusy, LogCorrupt, LogFailed
from peer.store import sqlite
from peer.store.memory import MemoryStore
from peer.store.sqlite import SqliteStore
from sims.disk import Disk, VirtualStore


@pytest.fixture(params=["sqlite", "memory", "virtual"])
def open_store(request, tmp_path):
    """Open the same logs, as often as wanted."""
    disk, virtual = {}, Disk()
    opened = []

    def open_one():
        loop = asyncio.get_running_loop()
        if request.param == "sqlite":
            store = SqliteStore(tmp_path, loop)
        elif request.param == "memory":
            store = MemoryStore(loop, disk)
        else:
            store = VirtualStore(loop, virtual)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


async def appended(store, agent, *records):
    done = asyncio.Event()
    store.append(agent, records, done.set)
    await asyncio.wait_for(done.wait(), 20)


async def test_records_come_back_in_order(open_store):
    store = open_store()
    await appended(store, "a", b"one", b"", b"three")
    await appended(store, "a", b"four")
    assert list(store.read("a")) == [b"one", b"", b"three", b"four"]
    assert list(store.read("nobody")) == []


async def test_each_agent_has_its_own_log(open_store):
    store = open_store()
    await asyncio.gather(*(appended(store, f"agent-{n % 7}", b"%d" % n) for n in range(70)))
    assert store.agents() == [f"agent-{n}" for n in range(7)]
    for n in range(7):
        assert list(store.read(f"agent-{n}")) == [b"%d" % at for at in range(n, 70, 7)]


async def test_agents_are_in_order_of_name_whatever_the_name(open_store):
    store = open_store()
    names = ["é", "b", "a'b", "", "B", "😀", "a\x00b", "\uffff"]
    for name in names:
        await appended(store, name, b"x")
    assert store.agents() == sorted(names)


async def test_done_is_called_in_order_on_the_loop_and_never_inside_append(open_store):
    store = open_store()
    called, last = [], asyncio.Event()

    def done(number):
        assert threading.current_thread() is threading.main_thread()
        called.append(number)
        if number == 499:
            last.set()

    for number in range(500):
        store.append(f"a{number % 3}", [b"x"] * (number % 2), lambda number=number: done(number))
        assert not called
    await asyncio.wait_for(last.wait(), 20)
    assert called == list(range(500))


async def test_an_append_from_within_done_is_taken(open_store):
    store = open_store()
    both = asyncio.Event()
    store.append("a", [b"1"], lambda: store.append("a", [b"2"], both.set))
    await asyncio.wait_for(both.wait(), 20)
    assert list(store.read("a")) == [b"1", b"2"]


async def test_an_exception_of_one_done_does_not_keep_the_others_from_being_called(open_store):
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    store = open_store()
    called, last = [], asyncio.Event()

    def bad():
        raise RuntimeError("the caller's own")

    for call in (bad, lambda: called.append(1), bad, lambda: called.append(2), last.set):
        store.append("a", [b"x"], call)
    await asyncio.wait_for(last.wait(), 20)
    assert called == [1, 2]
    assert len(failures) == 2


async def test_a_reopened_log_goes_on(open_store):
    store = open_store()
    await appended(store, "a", b"1", b"2")
    store.close()
    store = open_store()
    assert list(store.read("a")) == [b"1", b"2"]
    await appended(store, "a", b"3")
    store.close()
    assert list(open_store().read("a")) == [b"1", b"2", b"3"]


async def test_reading_begins_no_later_than_the_last_anchor(open_store):
    store = open_store()
    await appended(store, "a", b"1", b"2")
    for number in (3, 4):
        durable = asyncio.Event()
        store.append("a", [b"base %d" % number, b"%d" % number], durable.set, anchor=True)
        store.append("b", [b"other"], lambda: None)
        await asyncio.wait_for(durable.wait(), 20)
    await appended(store, "a", b"5")
    store.close()
    store = open_store()
    found = list(store.read("a"))
    assert found == [b"1", b"2", b"base 3", b"3", b"base 4", b"4", b"5"][-len(found) :]
    assert found[-3:] == [b"base 4", b"4", b"5"]
    assert list(store.read("b")) == [b"other"] * 2
    await appended(store, "a", b"6")
    assert list(store.read("a")) == [*found, b"6"]


async def test_close_writes_what_is_queued_and_its_dones_follow(open_store):
    store = open_store()
    called, last = [], asyncio.Event()
    for number in range(100):
        store.append("a", [b"%d" % number], lambda number=number: called.append(number))
    store.append("a", [], last.set)
    store.close()
    assert list(open_store().read("a")) == [b"%d" % number for number in range(100)]
    await asyncio.wait_for(last.wait(), 20)
    assert called == list(range(100))


async def test_a_closed_store_takes_nothing_and_closes_twice(open_store):
    store = open_store()
    store.close()
    store.close()
    with pytest.raises(LogFailed, match="closed"):
        store.append("a", [b"x"], lambda: None)


async def test_a_reading_sees_the_log_as_it_was_when_it_began(open_store):
    store = open_store()
    await appended(store, "a", b"1", b"2")
    reading = store.read("a")
    assert next(reading) == b"1"
    await appended(store, "a", b"3")
    assert list(reading) == [b"2"]


# -- sqlite only ----------------------------------------------------------------------------------------------------


@pytest.fixture
def open_sqlite(tmp_path):
    opened = []

    def open_one(on_failure=None):
        opened.append(SqliteStore(tmp_path, asyncio.get_running_loop(), on_failure))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


async def test_sqlite_what_waits_is_committed_together(open_sqlite):
    store = open_sqlite()
    statements = []
    store._writer.set_trace_callback(statements.append)
    last = asyncio.Event()
    for number in range(2000):
        store.append(f"agent-{number % 50}", [b"x"], last.set if number == 1999 else lambda: None)
    await asyncio.wait_for(last.wait(), 20)
    assert 1 <= statements.count("COMMIT") < 200


async def test_sqlite_a_full_queue_makes_append_wait_and_loses_nothing(open_sqlite, monkeypatch):
    monkeypatch.setattr(sqlite, "PENDING_RECORDS_MAX", 10)
    store = open_sqlite()
    last = asyncio.Event()
    deepest = 0
    for number in range(300):
        store.append("a", [b"%d" % number], last.set if number == 299 else lambda: None)
        deepest = max(deepest, len(store._queue))
    await asyncio.wait_for(last.wait(), 20)
    assert deepest <= 10
    assert list(store.read("a")) == [b"%d" % number for number in range(300)]


async def test_sqlite_a_log_in_use_is_refused_and_names_the_holder(open_sqlite, tmp_path):
    store = open_sqlite()
    with pytest.raises(LogBusy, match=str(os.getpid())):
        open_sqlite()
    store.close()
    open_sqlite()


async def test_sqlite_the_lock_of_another_process_is_respected(open_sqlite, tmp_path):
    held = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(LogBusy):
        open_sqlite()
    os.close(held)
    open_sqlite()


async def test_sqlite_a_flipped_byte_in_a_body_is_found_and_its_record_named(open_sqlite, tmp_path):
    store = open_sqlite()
    await appended(store, "other", b"intact")
    await appended(store, "ledger-1", b"first", b"the body that is to be damaged", b"third")
    store.close()
    file = tmp_path / "log.db"
    raw = bytearray(file.read_bytes())
    at = raw.index(b"the body that is to be damaged")
    raw[at + 9] ^= 1
    file.write_bytes(raw)
    store = open_sqlite()
    reading = store.read("ledger-1")
    assert next(reading) == b"first"
    with pytest.raises(LogCorrupt, match=r"log\.db, agent ledger-1, record 2: its hash .*backup"):
        next(reading)
    assert list(store.read("other")) == [b"intact"]


@pytest.mark.parametrize(
    ("change", "record"),
    [
        ("DELETE FROM records WHERE number = 1", 1),
        ("DELETE FROM records WHERE number = 2", 2),
        ("UPDATE records SET prev_hash = x'00' WHERE number = 3", 3),
        ("UPDATE records SET agent = 'b' WHERE number = 2", 2),
        ("UPDATE records SET body = 'text' WHERE number = 2", 2),
    ],
)
async def test_sqlite_a_changed_row_is_found_and_its_record_named(open_sqlite, tmp_path, change, record):
    store = open_sqlite()
    await appended(store, "a", b"1", b"2", b"3")
    store.close()
    with sqlite3.connect(tmp_path / "log.db") as file:
        file.execute(change)
    file.close()
    with pytest.raises(LogCorrupt, match=f"agent a, record {record}: "):
        list(open_sqlite().read("a"))


async def test_sqlite_a_file_that_is_no_log_is_refused_and_the_lock_released(open_sqlite, tmp_path):
    (tmp_path / "log.db").write_bytes(b"not a database, but long enough to look at" * 100)
    for _ in range(2):
        with pytest.raises(LogCorrupt, match=r"log\.db"):
            open_sqlite()


async def test_sqlite_a_log_of_another_format_is_refused(open_sqlite, tmp_path):
    open_sqlite().close()
    with sqlite3.connect(tmp_path / "log.db") as file:
        file.execute("PRAGMA user_version=99")
    file.close()
    with pytest.raises(ConfigInvalid, match="format 99"):
        open_sqlite()


async def test_sqlite_a_failed_write_is_told_once_and_acknowledges_nothing(open_sqlite):
    failed = asyncio.get_running_loop().create_future()
    store = open_sqlite(failed.set_result)
    await appended(store, "a", b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    acknowledged = []
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # as good as a full disk
    try:
        for _ in range(3):
            store.append("a", [bytes(150_000)], lambda: acknowledged.append(1))
        failure = await asyncio.wait_for(failed, 20)
        with pytest.raises(LogFailed, match="came after"):
            store.append("a", [b"later"], lambda: acknowledged.append(2))
        store.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(failure, LogFailed)
    assert isinstance(failure.__cause__, sqlite3.Error)
    records = list(open_sqlite().read("a"))
    assert len(acknowledged) <= len(records) - 1
    assert 2 not in acknowledged
    assert records[0] == b"before"
    assert b"later" not in records


async def test_sqlite_without_a_callback_a_failure_goes_to_the_loops_handler(open_sqlite):
    told = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.set_result(context["exception"]))
    store = open_sqlite()
    store.append("a", ["not bytes"], lambda: None)
    assert isinstance(await asyncio.wait_for(told, 20), LogFailed)


KILLED = """
import asyncio, sys
from pathlib import Path
from peer.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]), asyncio.get_running_loop())
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


async def test_sqlite_sigkill_in_mid_append_loses_nothing_acknowledged(open_sqlite, tmp_path):
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
        store = open_sqlite()
        for agent in {*store.agents(), *logs, *acknowledged}:
            # The log may hold more than was acknowledged: what is durable need not have been told.
            expected = logs.get(agent, []) + acknowledged.get(agent, [])
            kept = list(store.read(agent))
            assert kept[: len(expected)] == expected
            logs[agent] = kept
        store.close()
