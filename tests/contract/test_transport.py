"""What every transport promises, and what only the real one has to fend off."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import zmq
import zmq.asyncio
from zmq.utils import z85

from peer.errors import AddressBusy, ConfigInvalid, PayloadTooLarge
from peer.keys import HostKeys
from peer.transport.curve import curve_private, curve_public
from peer.transport.frame import BODY_BYTES_MAX, HEADER_BYTES, seal
from peer.transport.memory import QUEUE_FRAMES_MAX, MemoryNetwork, MemoryTransport
from peer.transport.place import Place
from peer.transport.sockets import MESSAGE_BYTES_MAX
from peer.transport.zmq import INTRODUCTIONS_MAX, ZmqTransport
from peer.trust.badge import Badge
from sims.virtual.network import Network, VirtualTransport

AUTHORITY = HostKeys.from_seed(b"authority")


def over_zmq(keys, bind="tcp://127.0.0.1:*", authority=AUTHORITY):
    return ZmqTransport(keys, Badge.issued(authority, keys), bind)


@pytest.fixture(params=["zmq", "memory", "virtual"])
def make(request):
    network, virtual = MemoryNetwork(), Network()
    return {
        "zmq": over_zmq,
        "memory": lambda keys: MemoryTransport(network, keys),
        "virtual": lambda keys: VirtualTransport(virtual, keys),
    }[request.param]


class Host:
    """A transport and what has come out of it."""

    def __init__(self, make, keys=None):
        self.keys = keys or HostKeys.generate()
        self.id = self.keys.host_id
        self.transport = make(self.keys)
        self.inbox = asyncio.Queue(100_000)

    async def open(self):
        await self.transport.open(lambda sender, body: self.inbox.put_nowait((sender, body)))
        return self

    async def next(self):
        return await asyncio.wait_for(self.inbox.get(), 20)

    async def close(self):
        await self.transport.close()


@asynccontextmanager
async def opened(*hosts):
    for host in hosts:
        await host.open()
    try:
        yield
    finally:
        for host in hosts:
            await host.close()


def meet(*hosts):
    for one in hosts:
        for other in hosts:
            one.transport.connect(other.id, other.transport.address)


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


# -- zmq only -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def raw(address, keys=None, server_key=None):
    """A raw socket of someone who keeps to no rule: with a member's keys it gets as far as a member does."""
    place = Place.of(address)
    with zmq.asyncio.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.set(zmq.LINGER, 0)
        if keys is not None:
            socket.set(zmq.CURVE_SERVERKEY, z85.encode(curve_public(server_key or place.key)))
            socket.set(zmq.CURVE_SECRETKEY, z85.encode(curve_private(keys.private_bytes())))
            socket.set(zmq.CURVE_PUBLICKEY, z85.encode(curve_public(keys.public_key)))
        socket.connect(place.members)
        yield socket


async def test_zmq_bad_frames_of_a_member_are_refused_and_counted_and_the_good_one_after_them_arrives():
    b, a, other = Host(over_zmq), HostKeys.generate(), HostKeys.generate()
    good = seal(a, b.id, b"good")
    bad = [
        good[:-1] + b"D",  # altered body
        good[:1] + other.public_key + good[33:],  # another sender's name
        good[:41] + bytes(64) + good[105:],  # unsigned
        b"\x7f" + good[1:],  # of a later version
        seal(a, other.host_id, b"for another"),
        seal(other, b.id, b"of another member"),
        good[:50],
        b"",
        bytes([1]) + bytes(HEADER_BYTES + BODY_BYTES_MAX),  # oversized
    ]
    async with opened(b), raw(b.transport.address, a) as socket:
        b.transport._gate.trust.admit(Badge.issued(AUTHORITY, a).chain)
        for frame in bad:
            await socket.send(frame)
        await socket.send_multipart([good, good])
        await socket.send(good)
        assert await b.next() == (a.host_id, b"good")
        assert b.transport.counts.refused == len(bad) + 1
        assert b.transport.counts.frames_received == 1
        assert b.inbox.empty()


async def test_zmq_a_frame_over_the_limit_is_cut_before_it_is_read_and_the_host_goes_on():
    a, b = Host(over_zmq), Host(over_zmq)
    async with opened(a, b), raw(b.transport.address, a.keys) as socket:
        b.transport._gate.trust.admit(a.transport._gate.chain)
        await socket.send(bytes(MESSAGE_BYTES_MAX + 1))
        meet(a, b)
        a.transport.send(b.id, b"still here")
        assert await b.next() == (a.id, b"still here")
        assert b.transport.counts.refused == 0


async def test_zmq_whoever_is_no_member_gets_no_further_than_the_handshake():
    b, stranger, a = Host(over_zmq), HostKeys.generate(), Host(over_zmq)
    frame = seal(stranger, b.id, b"let me in")
    async with opened(a, b):
        meet(a, b)
        async with raw(b.transport.address) as plain, raw(b.transport.address, stranger) as unknown:
            await plain.send(frame)
            await unknown.send(frame)
            while not b.transport._gatekeeper.refused:
                await asyncio.sleep(0.01)
            a.transport.send(b.id, b"a member")
            assert await b.next() == (a.id, b"a member")
        assert b.inbox.empty()
        assert b.transport.counts.refused == 0


async def test_zmq_a_chain_of_another_cluster_lets_nobody_in():
    b = Host(over_zmq)
    a = Host(lambda keys: over_zmq(keys, authority=HostKeys.generate()))
    async with opened(a, b):
        a.transport.introduce(b.transport.address, b"me, too")
        while not b.transport.counts.refused:
            await asyncio.sleep(0.01)
        assert b.inbox.empty()


async def test_zmq_a_host_at_another_ones_address_gets_nothing_that_is_meant_for_that_one():
    a, b, thief = Host(over_zmq), Host(over_zmq), Host(over_zmq)
    async with opened(a, b, thief):
        there = Place.of(thief.transport.address)
        # The address is the thief's, the key is not: the handshake fails at its end.
        a.transport.connect(b.id, str(there._replace(key=b.keys.public_key)))
        a.transport.send(b.id, b"for b alone")
        # The key does not fit the id: nothing is sent.
        a.transport.connect(b.id, thief.transport.address)
        a.transport.send(b.id, b"for b alone")
        assert a.transport.counts.dropped == 1
        b.transport.introduce(thief.transport.address, b"from b")
        assert await thief.next() == (b.id, b"from b")
        assert thief.inbox.empty()


async def test_zmq_whoever_is_put_out_is_not_read_any_more_though_it_is_connected():
    a, b, c = Host(over_zmq), Host(over_zmq), Host(over_zmq)
    async with opened(a, b, c):
        meet(a, b, c)
        a.transport.send(b.id, b"a member")
        assert await b.next() == (a.id, b"a member")
        trust = b.transport._gate.trust
        del trust._members[a.id]
        trust._expected.clear()
        refused = b.transport.counts.refused
        a.transport.send(b.id, b"no more")
        while b.transport.counts.refused == refused:
            await asyncio.sleep(0.01)
        c.transport.send(b.id, b"another")
        assert await b.next() == (c.id, b"another")


async def test_zmq_a_host_that_forgets_who_was_let_in_is_shown_the_chain_again(monkeypatch):
    monkeypatch.setattr("peer.transport.zmq.REDIAL_S", 0.05)
    monkeypatch.setattr("peer.transport.zmq.REDIAL_S_MAX", 0.2)
    monkeypatch.setattr("peer.transport.gatekeeper.WAIT_S", 0.5)
    a, b = Host(over_zmq), Host(over_zmq)
    async with opened(a):
        await b.open()
        a.transport.connect(b.id, b.transport.address)
        a.transport.send(b.id, b"first life")
        assert await b.next() == (a.id, b"first life")
        bind = Place.of(b.transport.address).members
        await b.close()
        again = Host(lambda keys: over_zmq(keys, bind), b.keys)
        async with opened(again):
            # The same address, unless somebody has taken the door's port meanwhile.
            a.transport.connect(again.id, again.transport.address)
            while again.inbox.empty():
                a.transport.send(again.id, b"second life")
                await asyncio.sleep(0.02)
            assert await again.next() == (a.id, b"second life")


async def test_zmq_a_full_queue_drops_and_counts_and_does_not_block(monkeypatch):
    monkeypatch.setattr("peer.transport.sockets.QUEUE_FRAMES_MAX", 1000)
    a, b = Host(over_zmq), HostKeys.generate()
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.bind("tcp://127.0.0.1:*")
        address = socket.get_string(zmq.LAST_ENDPOINT)
        socket.unbind(address)
        async with opened(a):
            a.transport.connect(b.host_id, str(Place(address, address, b.public_key)))
            for _ in range(3000):
                a.transport.send(b.host_id, b"x")
            assert a.transport.counts.dropped > 0
            assert a.transport.counts.dropped + a.transport.counts.frames_sent >= 3000


async def test_zmq_old_introductions_make_room():
    a, b = Host(over_zmq), Host(over_zmq)
    async with opened(a, b):
        for port in range(1, INTRODUCTIONS_MAX + 20):
            nobody = f"tcp://127.0.0.1:{port}"
            a.transport.introduce(str(Place(nobody, nobody, HostKeys.generate().public_key)), b"anybody?")
        a.transport.introduce(b.transport.address, b"you")
        assert await b.next() == (a.id, b"you")
        assert len(a.transport._knocking) == len(a.transport._doors) == INTRODUCTIONS_MAX


async def test_zmq_a_port_in_use_is_named():
    a = Host(over_zmq)
    async with opened(a):
        bind = Place.of(a.transport.address).members
        with pytest.raises(AddressBusy, match=bind):
            await over_zmq(HostKeys.generate(), bind).open(lambda *_: None)


@pytest.mark.parametrize("bind", ["nonsense", "tcp://192.0.2.1:9999"])
async def test_zmq_an_address_that_cant_be_bound_is_named(bind):
    with pytest.raises(ConfigInvalid, match=bind):
        await over_zmq(HostKeys.generate(), bind).open(lambda *_: None)


async def test_zmq_a_released_port_can_be_bound_at_once():
    a = Host(over_zmq)
    await a.open()
    await a.close()
    again = over_zmq(a.keys, Place.of(a.transport.address).members)
    await again.open(lambda *_: None)
    assert Place.of(again.address).members == Place.of(a.transport.address).members
    await again.close()
