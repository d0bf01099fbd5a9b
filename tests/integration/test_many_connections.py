"""Very many connections to a host: whoever takes all there are takes them from its own network, and members come in."""

import asyncio
import os
import resource
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from benchmarks.bench_attacks import Counter
from peer import Cluster
from peer.backends.admission import addresses_in
from peer.ports import TransportCounts
from peer.transport import connections
from peer.transport.connections import Connections, descriptors
from peer.transport.place import Place
from tests.contract.ends import Host, meet, opened, over_zmq

DESCRIPTORS = 32
"""So that a host takes 16 connections, and 4 at its door; half of them of such as may be strangers."""
ELSEWHERE = ("127.0.9.1", 0)
"""An address in another network."""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.transport.zmq.descriptors", lambda: DESCRIPTORS)


@contextmanager
def held(endpoint: str, count: int, source: tuple[str, int] = ELSEWHERE):
    """Hold raw connections that say nothing."""
    machine, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    found = [socket.create_connection((machine, int(port)), 5, source) for _ in range(count)]
    try:
        yield found
    finally:
        for connection in found:
            connection.close()


async def settled(host: Host, most: tuple[int, int], cut: int) -> None:
    """Wait until so many connections were cut, and see that no more are left than may be."""
    async with asyncio.timeout(20):
        while host.transport.counts.cut < cut:
            await asyncio.sleep(0.02)
    assert [len(each) <= limit for each, limit in zip(host.transport._held, most, strict=True)] == [True, True]


async def test_tr8_members_come_in_and_stay_while_a_stranger_takes_all_connections_that_there_are(few: None) -> None:
    a, b, late = (Host(over_zmq) for _ in range(3))
    async with opened(a, b, late):
        meet(a, b)
        a.transport.send(b.id, b"before")
        assert await b.next() == (a.id, b"before")
        place = Place.of(b.transport.address)
        with held(place.members, 60), held(place.door, 60):
            await settled(b, (9, 3), cut=(60 - 8) + (60 - 2))
            a.transport.send(b.id, b"during")
            assert await b.next() == (a.id, b"during")
            meet(late, b)
            late.transport.send(b.id, b"new")
            assert await b.next() == (late.id, b"new")
        assert a.transport.counts.cut == 0


async def test_tr8_connections_that_have_not_proven_their_key_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNPROVEN_MAX", 8)
    a, b = Host(over_zmq), Host(over_zmq)
    async with opened(a, b):
        meet(a, b)
        with held(Place.of(b.transport.address).members, 40):
            await settled(b, (9, 2), cut=32)
            a.transport.send(b.id, b"there")
            assert await b.next() == (a.id, b"there")


async def test_tr8_what_is_no_connection_to_the_host_is_never_cut(tmp_path: Path) -> None:
    loop, counts = asyncio.get_running_loop(), TransportCounts()
    with zmq.Context() as context, context.socket(zmq.PULL) as bound:
        watch = Connections(context, bound, loop, most=2, counts=counts)
        bound.bind("tcp://127.0.0.1:*")
        watch.bound()
        ends = socket.socketpair()
        with (tmp_path / "file").open("w") as file, socket.create_server(("127.0.0.1", 0)) as server:
            others = [ends[0].fileno(), file.fileno(), server.fileno(), 10_000]
            watch._came_s.update(dict.fromkeys(others, loop.time()))
            before = len(os.listdir("/dev/fd"))
            watch._bound()
            assert (counts.cut, len(watch)) == (0, 1)
            assert len(os.listdir("/dev/fd")) == before, "no handle is left open"
            ends[0].send(b"still open")
            assert ends[1].recv(20) == b"still open"
        watch.stop()
        for end in ends:
            end.close()


async def test_a_host_opens_files_and_goes_on_while_its_connections_are_flooded(few: None, tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path, listen=True) as cluster:
        await cluster.spawn("counter", Counter)
        place = Place.of(next(iter(addresses_in(tmp_path).values())).address)
        with held(place.members, 100), held(place.door, 100):
            for _ in range(20):
                await cluster.submit("counter", 1)
            await cluster.quiet()
            assert await cluster.state("counter") == {"n": 20}


def test_a_process_asks_for_as_many_descriptors_as_it_may_have() -> None:
    asked = descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert asked == soft
    assert asked >= min(hard if hard != resource.RLIM_INFINITY else asked, connections.DESCRIPTORS)
