"""What every log store promises."""

import asyncio
import threading

import pytest

from peer.chain import FIRST_HASH
from peer.errors import LogFailed
from peer.store.memory import MemoryDisk, MemoryStore
from peer.store.segments import SegmentStore
from sims.virtual.disk import Disk, VirtualStore


@pytest.fixture(params=["segments", "memory", "virtual"])
def open_store(request, tmp_path):
    """Open the same logs, as often as wanted."""
    disk, virtual = MemoryDisk(), Disk()
    opened = []

    def open_one():
        loop = asyncio.get_running_loop()
        if request.param == "segments":
            store = SegmentStore(tmp_path, loop)
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


async def test_that_an_end_was_lost_is_known_until_something_follows(open_store):
    store = open_store()
    await appended(store, "a", b"one", b"two", b"three")
    await appended(store, "b", b"one")
    await begun_at(store, "a", 3, lost=True)
    await begun_at(store, "c", 1, b"one", b"two", lost=True)
    store.close()
    store = open_store()
    assert [store.is_lost(agent) for agent in ("a", "b", "c", "d")] == [True, False, True, False]
    assert [list(store.read(agent)) for agent in ("a", "c")] == [[b"one", b"two"]] * 2
    await appended(store, "a", b"anew")
    await begun_at(store, "c", 2)
    assert [store.is_lost(agent) for agent in ("a", "b", "c")] == [False, False, False]
    store.close()
    store = open_store()
    assert [store.is_lost(agent) for agent in ("a", "b", "c")] == [False, False, False]
    assert list(store.read("a")) == [b"one", b"two", b"anew"]


async def begun_at(store, agent, first, *records, lost=False):
    done = asyncio.Event()
    prev = store.hash_of(agent, first - 1) if first > 1 else FIRST_HASH
    store.begin_at(agent, first, prev, records, done.set, lost=lost)
    await asyncio.wait_for(done.wait(), 20)


async def test_a_reading_sees_the_log_as_it_was_when_it_began(open_store):
    store = open_store()
    await appended(store, "a", b"1", b"2")
    reading = store.read("a")
    assert next(reading) == b"1"
    await appended(store, "a", b"3")
    assert list(reading) == [b"2"]
