"""What every transport promises, and what only the real one has to fend off."""

import asyncio

import pytest

from peer.errors import AddressBusy, PayloadTooLarge
from peer.keys import HostKeys
from peer.transport.frame import BODY_BYTES_MAX, HEADER_BYTES
from peer.transport.memory import QUEUE_FRAMES_MAX, MemoryNetwork, MemoryTransport
from sims.virtual.network import Network, VirtualTransport
from tests.contract.ends import Host, meet, opened, over_zmq


@pytest.fixture(params=["zmq", "memory", "virtual"])
def make(request):
    network, virtual = MemoryNetwork(), Network()
    return {
        "zmq": over_zmq,
        "memory": lambda keys: MemoryTransport(network, keys),
        "virtual": lambda keys: VirtualTransport(virtual, keys),
    }[request.param]


async def test_a_frame_arrives_with_its_sender_and_is_counted_on_both_sides(make):
    a, b = Host(make), Host(make)
    async with opened(a, b):
        meet(a, b)
        a.transport.send(b.id, b"hello")
        assert await b.next() == (a.id, b"hello")
        b.transport.send(a.id, b"")
        assert await a.next() == (b.id, b"")
        sent, size = a.transport.counts.frames_sent, a.transport.counts.bytes_sent
        a.transport.send(b.id, b"again")
        assert await b.next() == (a.id, b"again")
        # Whoever is not known yet has to show what lets it in besides.
        assert (a.transport.counts.frames_sent - sent, b.transport.counts.frames_received) == (1, 2)
        assert a.transport.counts.bytes_sent - size == HEADER_BYTES + 5
        assert b.transport.counts.bytes_received == 2 * (HEADER_BYTES + 5)
        assert a.transport.counts.dropped == b.transport.counts.refused == 0


async def test_nothing_is_received_inside_send(make):
    a = Host(make)
    async with opened(a):
        meet(a)
        a.transport.send(a.id, b"to myself")
        assert a.inbox.empty()
        assert await a.next() == (a.id, b"to myself")


async def test_frames_of_a_pair_keep_their_order(make):
    a, b, c = Host(make), Host(make), Host(make)
    async with opened(a, b, c):
        meet(a, b, c)
        for number in range(900):
            a.transport.send(c.id, b"%d" % number)
            b.transport.send(c.id, b"%d" % number)
        heard = {a.id: [], b.id: []}
        # What a full queue dropped was counted; the rest is in order.
        dropped = a.transport.counts.dropped + b.transport.counts.dropped
        for _ in range(1800 - dropped):
            sender, body = await c.next()
            heard[sender].append(int(body))
        assert heard[a.id] == sorted(set(heard[a.id]))
        assert heard[b.id] == sorted(set(heard[b.id]))
        assert len(heard[a.id]) == 900 - a.transport.counts.dropped


async def test_a_host_without_an_address_is_dropped_and_counted(make):
    a = Host(make)
    async with opened(a):
        a.transport.send(HostKeys.generate().host_id, b"nobody")
        assert a.transport.counts.dropped == 1
        assert a.transport.counts.frames_sent == 0


async def test_an_address_that_is_nonsense_is_dropped_and_counted(make):
    a, b = Host(make), Host(make)
    async with opened(a):
        a.transport.connect(b.id, "nonsense")
        a.transport.send(b.id, b"x")
        a.transport.introduce("nonsense", b"x")
        assert a.transport.counts.dropped == 2


async def test_introduce_reaches_whoever_is_at_the_address(make):
    a, b = Host(make), Host(make)
    async with opened(a, b):
        for body in (b"one", b"two"):
            a.transport.introduce(b.transport.address, body)
            assert await b.next() == (a.id, body)


async def test_a_frame_for_another_host_at_this_address_is_given_to_nobody_and_counted(make):
    a, b, gone = Host(make), Host(make), Host(make)
    async with opened(a, b):
        a.transport.connect(gone.id, b.transport.address)
        a.transport.connect(b.id, b.transport.address)
        a.transport.send(gone.id, b"for the one who was here")
        a.transport.introduce(b.transport.address, b"after it, or before")
        assert await b.next() == (a.id, b"after it, or before")
        # It is not sent where another key is known to be; else whoever gets it refuses it.
        while not a.transport.counts.dropped + b.transport.counts.refused:
            a.transport.introduce(b.transport.address, b"one more round trip")
            assert await b.next() == (a.id, b"one more round trip")
        assert a.transport.counts.dropped + b.transport.counts.refused == 1
        assert b.inbox.empty()


async def test_a_host_that_restarts_is_reached_at_its_new_address(make):
    a, b = Host(make), Host(make)
    async with opened(a):
        await b.open()
        a.transport.connect(b.id, b.transport.address)
        a.transport.send(b.id, b"first life")
        assert await b.next() == (a.id, b"first life")
        await b.close()
        a.transport.send(b.id, b"lost")
        again = Host(make, b.keys)
        async with opened(again):
            a.transport.connect(again.id, again.transport.address)
            a.transport.send(again.id, b"second life")
            assert await again.next() == (a.id, b"second life")


async def test_a_big_frame_arrives_and_a_too_big_one_is_the_callers_error(make):
    a, b = Host(make), Host(make)
    body = bytes(range(256)) * (BODY_BYTES_MAX // 256)
    async with opened(a, b):
        meet(a, b)
        a.transport.send(b.id, body)
        assert await b.next() == (a.id, body)
        with pytest.raises(PayloadTooLarge):
            a.transport.send(b.id, body + b"x")
        with pytest.raises(PayloadTooLarge):
            a.transport.introduce(b.transport.address, body + b"x")


async def test_an_exception_of_the_receiver_does_not_strand_the_frames_behind_it(make):
    a, b = Host(make), Host(make)
    heard = asyncio.Queue(10)
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def receive(_, body):
        if body == b"bad":
            raise RuntimeError("the receiver's own")
        heard.put_nowait(body)

    async with opened(a):
        await b.transport.open(receive)
        meet(a, b)
        for body in (b"bad", b"good", b"bad", b"better"):
            a.transport.send(b.id, body)
        assert [await asyncio.wait_for(heard.get(), 20) for _ in range(2)] == [b"good", b"better"]
        assert len(failures) == 2
        await b.close()


async def test_nothing_is_received_or_sent_after_close(make):
    a, b = Host(make), Host(make)
    async with opened(a, b):
        meet(a, b)
        a.transport.send(b.id, b"too late")
        await b.close()
        await b.close()
        b.transport.send(a.id, b"late")
        assert b.transport.counts.dropped == 1
        assert b.inbox.empty()


# -- memory only ----------------------------------------------------------------------------------------------------


async def test_memory_a_full_queue_drops_and_counts():
    network = MemoryNetwork()
    a, b = (Host(lambda keys: MemoryTransport(network, keys)) for _ in range(2))
    async with opened(a, b):
        meet(a, b)
        for _ in range(QUEUE_FRAMES_MAX + 3):
            a.transport.send(b.id, b"x")
        assert a.transport.counts.frames_sent == QUEUE_FRAMES_MAX
        assert a.transport.counts.dropped == 3


async def test_memory_one_host_is_open_once():
    network, keys = MemoryNetwork(), HostKeys.generate()
    first, second = MemoryTransport(network, keys), MemoryTransport(network, keys)
    await first.open(lambda *_: None)
    with pytest.raises(AddressBusy):
        await second.open(lambda *_: None)
    await second.close()
    assert network.places == {first.address: first}
