"""What the real transport has to fend off: strangers, liars, silence, and ports that are taken."""

import asyncio
import select
import time
from contextlib import asynccontextmanager, suppress

import pytest
import zmq
import zmq.asyncio
from zmq.utils import z85

from peer.errors import AddressBusy, ConfigInvalid
from peer.keys import HostKeys
from peer.transport.curve import curve_private, curve_public
from peer.transport.frame import BODY_BYTES_MAX, HEADER_BYTES, seal
from peer.transport.place import Place
from peer.transport.sockets import MESSAGE_BYTES_MAX
from peer.transport.zmq import INTRODUCTIONS_MAX
from peer.trust.badge import Badge
from tests.contract.ends import AUTHORITY, Host, meet, opened, over_zmq


@asynccontextmanager
async def raw(address, keys=None, server_key=None, connects=True):
    """A raw socket of someone who keeps to no rule: with a member's keys it gets as far as a member does."""
    place = Place.of(address)
    with zmq.asyncio.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.set(zmq.LINGER, 0)
        if keys is not None:
            socket.set(zmq.CURVE_SERVERKEY, z85.encode(curve_public(server_key or place.key)))
            socket.set(zmq.CURVE_SECRETKEY, z85.encode(curve_private(keys.private_bytes())))
            socket.set(zmq.CURVE_PUBLICKEY, z85.encode(curve_public(keys.public_key)))
        if connects:
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
            for socket in (plain, unknown):
                # Who was refused already has nobody to send to, and would wait for good.
                with suppress(zmq.Again):
                    await socket.send(frame, zmq.NOBLOCK)
            while not b.transport._gatekeeper.refused:
                await asyncio.sleep(0.01)
            a.transport.send(b.id, b"a member")
            assert await b.next() == (a.id, b"a member")
        assert b.inbox.empty()
        assert b.transport.counts.refused == 0


async def test_zmq_who_comes_while_another_is_answered_is_answered_too(monkeypatch):
    b, first, second = Host(over_zmq), HostKeys.generate(), HostKeys.generate()
    asked: list[str] = []
    async with opened(b), raw(b.transport.address, second, connects=False) as late:
        keeper, place = b.transport._gatekeeper, Place.of(b.transport.address)
        for keys in (first, second):
            b.transport._gate.trust.admit(Badge.issued(AUTHORITY, keys).chain)
        real_ask, real_reply = keeper.callback, keeper._send_zap_reply

        async def ask(domain, key):
            asked.append(key)
            return await real_ask(domain, key)

        def reply(*args, **kwargs):
            monkeypatch.setattr(keeper, "_send_zap_reply", real_reply)
            late.connect(place.members)
            # Nothing is read here: the descriptor tells that the second one's question has come.
            assert select.select([keeper.zap_socket.fileno()], [], [], 60)[0]
            time.sleep(0.02)  # ZeroMQ takes in what has come when something is sent, but for the first millisecond
            real_reply(*args, **kwargs)

        monkeypatch.setattr(keeper, "callback", ask)
        monkeypatch.setattr(keeper, "_send_zap_reply", reply)
        async with raw(b.transport.address, first):
            while not asked:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert asked == [z85.encode(curve_public(keys.public_key)) for keys in (first, second)]


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
