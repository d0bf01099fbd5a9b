"""What can go wrong on a simulated network and disk does, and is seen."""

import asyncio
from random import Random

import pytest

from peer.keys import HostKeys
from sims.virtual.chance import Constant, Uniform
from sims.virtual.disk import Disk, VirtualStore
from sims.virtual.loop import VirtualLoop
from sims.virtual.network import Network, VirtualTransport


class Seen:
    """Counts what becomes of frames."""

    def __init__(self):
        self.what = []

    def frame(self, what, sender, receiver, body, at_us):
        self.what.append(what)


class Wire:
    """Two hosts."""

    def __init__(self, seed=1):
        self.loop = VirtualLoop()
        self.seen = Seen()
        self.network = Network(seed, Constant(100), self.seen)
        self.keys = [HostKeys.from_seed(name) for name in (b"a", b"b")]
        self.one, self.other = (VirtualTransport(self.network, keys) for keys in self.keys)
        self.heard = []
        for transport in (self.one, self.other):
            self.loop.run_until_complete(transport.open(lambda _, body: self.heard.append(body)))
        self.one.connect(self.other.me, self.other.address)
        self.other.connect(self.one.me, self.one.address)
        self.link = self.network.conditions(self.one.me, self.other.me)

    def send(self, count=200):
        for number in range(count):
            self.one.send(self.other.me, b"%d" % number)
        self.loop.run_to(self.loop.now_us + 10_000_000)
        return [int(body) for body in self.heard]


@pytest.fixture
def wire():
    wire = Wire()
    yield wire
    wire.loop.close()


def test_without_faults_everything_comes_in_order(wire):
    assert wire.send() == list(range(200))


def test_frames_are_lost(wire):
    wire.link.loss = 0.3
    heard = wire.send()
    assert 100 < len(heard) < 180
    assert heard == sorted(heard)
    assert wire.seen.what.count("lost") == 200 - len(heard)


def test_frames_come_twice(wire):
    wire.link.double = 0.3
    heard = wire.send()
    assert set(heard) == set(range(200))
    assert len(heard) == 200 + wire.seen.what.count("doubled") > 230


def test_frames_overtake_each_other(wire):
    wire.network.delay = Uniform(10, 5000)
    wire.link.reorder = 0.5
    heard = wire.send()
    assert sorted(heard) == list(range(200))
    assert heard != sorted(heard)


def test_frames_are_slow(wire):
    wire.link.slow += [50.0, 20.0]
    wire.one.send(wire.other.me, b"1")
    wire.loop.run_to(wire.loop.now_us + 4_999)
    assert wire.heard == []
    wire.loop.run_to(wire.loop.now_us + 1)
    assert wire.heard == [b"1"]


def test_a_partition_one_way_stops_one_direction_and_what_is_under_way(wire):
    wire.one.send(wire.other.me, b"under way")
    wire.link.cut += 1
    assert wire.send() == []
    wire.other.send(wire.one.me, b"back")
    wire.loop.run_to(wire.loop.now_us + 1_000)
    assert wire.heard == [b"back"]
    wire.link.cut -= 1
    wire.one.send(wire.other.me, b"healed")
    wire.loop.run_to(wire.loop.now_us + 1_000)
    assert wire.heard[-1] == b"healed"


def test_a_fault_on_one_link_changes_no_draw_on_another():
    def back(loss):
        wire = Wire()
        wire.link.loss = loss
        wire.network.conditions(wire.other.me, wire.one.me).loss = 0.3
        for number in range(50):
            wire.one.send(wire.other.me, b"x")
            wire.other.send(wire.one.me, b"%d" % number)
        wire.loop.run_to(1_000_000)
        wire.loop.close()
        return [body for body in wire.heard if body != b"x"]

    assert back(0.0) == back(0.9)


# -- disks


@pytest.fixture
def loop():
    loop = VirtualLoop()
    yield loop
    loop.close()


def test_what_was_not_fsynced_is_gone_after_a_crash(loop):
    disk, done = Disk(), []
    store = VirtualStore(loop, disk, sync=Constant(1000))
    store.append("a", [b"1"], lambda: done.append(1))
    loop.run_to(2000)
    store.append("a", [b"2"], lambda: done.append(2))
    loop.run_to(2500)
    assert store.unwritten() == 1
    assert store.crash() == 0
    loop.run_to(10_000)
    assert (done, disk.logs["a"]) == ([1], [b"1"])


def test_of_a_torn_write_a_prefix_survives_and_nobody_is_told(loop):
    kept, done = set(), []
    for seed in range(30):
        disk = Disk()
        store = VirtualStore(loop, disk, Random(seed), Constant(1000))
        for number in range(5):
            store.append("ab"[number % 2], [b"%d" % number], lambda: done.append(1))
        survived = store.crash(torn=True)
        kept.add(survived)
        found = sorted(body for log in disk.logs.values() for body in log)
        assert found == [b"%d" % number for number in range(survived)]
        loop.run_to(loop.now_us + 10_000)
        assert done == []
    assert kept == {1, 2, 3, 4, 5}


def test_a_failed_write_is_told_once_and_nothing_is_written_after_it(loop):
    disk, failures, done = Disk(), [], []
    store = VirtualStore(loop, disk, sync=Constant(1000), failed=failures.append)
    store.append("a", [b"1"], lambda: done.append(1))
    loop.run_to(1500)
    store.fails = True
    store.append("a", [b"2"], lambda: done.append(2))
    loop.run_to(10_000)
    assert (len(failures), done, disk.logs["a"]) == (1, [1], [b"1"])


def test_reading_begins_at_the_last_anchor_until_the_disk_loses_it(loop):
    disk = Disk()
    store = VirtualStore(loop, disk, sync=Constant(100))
    for number, anchor in ((1, False), (2, True), (3, False), (4, True), (5, False)):
        store.append("a", [b"%d" % number], lambda: None, anchor)
    loop.run_to(1000)
    assert list(store.read("a")) == [b"4", b"5"]
    assert disk.lose_end("a", 3) == [b"4", b"5"]
    assert list(store.read("a")) == [b"1", b"2", b"3"]


def test_appends_that_wait_for_the_disk_go_together(loop):
    times = []
    store = VirtualStore(loop, Disk(), sync=Constant(1000))

    async def write():
        for _ in range(5):
            store.append("a", [b"x"], lambda: times.append(loop.now_us))
            await asyncio.sleep(0.0001)

    loop.run_until_complete(write())
    loop.run_to(10_000)
    assert times == [1000, 2000, 2000, 2000, 2000]
