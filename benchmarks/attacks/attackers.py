"""Attackers: each a function of an address and how long it goes on, with raw sockets where no library would do it.

None has a grant. They know where a host is and its public key, as anybody does who has seen an address.
"""

import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import zmq
from zmq.utils import z85

from peer.keys import HostKeys
from peer.transport.curve import curve_private, curve_public
from peer.transport.frame import seal
from peer.transport.place import Place

NAMED = 60
"""Connections that claim names of others."""
ANNOUNCING = 300
"""Connections that announce a large frame each."""
ANNOUNCED_BYTES = 60 << 20
FRAME_BYTES = 32 << 20
HELD = 4_000
"""Connections that say nothing, held at a time."""
PAUSE_S = 0.01


def _greeting(mechanism: bytes) -> bytes:
    """Return how a connection begins: ZMTP 3.1, section "greeting" (RFC 37)."""
    return b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + mechanism.ljust(20, b"\0") + b"\0" + bytes(31)


def _command(name: bytes, body: bytes) -> bytes:
    data = bytes([len(name)]) + name + body
    return (b"\x04" + bytes([len(data)]) if len(data) < 256 else b"\x06" + struct.pack(">Q", len(data))) + data


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


def _connected(endpoint: str) -> socket.socket:
    machine, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return socket.create_connection((machine, int(port)), timeout=5)


def _sent(connection: socket.socket, data: bytes) -> bool:
    try:
        connection.sendall(data)
    except OSError:  # it was cut off: that is what the host is to do
        return False
    return True


def claim_names(address: str, seconds: float) -> int:
    """Claim the names of connections, many at once, the same and those that a ROUTER gives; return how many did."""
    place, until, done = Place.of(address), time.monotonic() + seconds, 0
    while time.monotonic() < until:
        connections: list[socket.socket] = []
        for number in range(NAMED):
            name = b"\0" + struct.pack(">I", number) if number % 2 else b"\x01same"
            with suppress(OSError):
                connection = _connected(place.members if number % 3 else place.door)
                connections.append(connection)
                ready = _property(b"Socket-Type", b"DEALER") + _property(b"Identity", name)
                done += _sent(connection, _greeting(b"NULL") + _command(b"READY", ready))
        for connection in connections:
            connection.close()
        time.sleep(PAUSE_S)
    return done


def announce_much(address: str, seconds: float) -> int:
    """Announce large frames on many connections, and send them slowly; return how many were announced."""
    place, until, done = Place.of(address), time.monotonic() + seconds, 0
    header = b"\x02" + struct.pack(">Q", ANNOUNCED_BYTES)
    while time.monotonic() < until:
        with selectors.DefaultSelector() as waiting:
            for number in range(ANNOUNCING):
                with suppress(OSError):
                    connection = _connected(place.members if number % 2 else place.door)
                    done += _sent(connection, _greeting(b"CURVE") + header + bytes(1000))
                    connection.setblocking(False)
                    waiting.register(connection, selectors.EVENT_WRITE)
            for _ in range(50):
                for key, _ in waiting.select(0.1):
                    with suppress(OSError):
                        key.fileobj.send(bytes(65_536))  # type: ignore[union-attr]
                if time.monotonic() >= until:
                    break
                time.sleep(PAUSE_S)
            for key in list(waiting.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]
    return done


def flood(address: str, seconds: float) -> int:
    """Send frames of 32 MB, and chains at the door, with a key that nobody has granted anything; return how many."""
    place, keys, until, done = Place.of(address), HostKeys.generate(), time.monotonic() + seconds, 0
    with zmq.Context() as context:
        members, door = (_curve(context, keys, place, each) for each in (place.members, place.door))
        frame, hello = seal(keys, None, b"x") + bytes(FRAME_BYTES), seal(keys, None, bytes(10_000))
        while time.monotonic() < until:
            for there, what in ((members, frame), (door, hello)):
                with suppress(zmq.Again):
                    there.send(what, zmq.NOBLOCK)
                    done += 1
            if done % 50 == 0:
                # One that was refused does not try again by itself.
                members.close()
                members = _curve(context, keys, place, place.members)
            time.sleep(0.001)
        members.close()
        door.close()
    return done


def _curve(context: "zmq.Context[zmq.Socket[bytes]]", keys: HostKeys, place: Place, to: str) -> "zmq.Socket[bytes]":
    there = context.socket(zmq.PUSH)
    there.set(zmq.LINGER, 0)
    there.set(zmq.SNDHWM, 4)
    there.set(zmq.CURVE_SERVERKEY, z85.encode(curve_public(place.key)))
    there.set(zmq.CURVE_SECRETKEY, z85.encode(curve_private(keys.private_bytes())))
    there.set(zmq.CURVE_PUBLICKEY, z85.encode(curve_public(keys.public_key)))
    there.connect(to)
    return there


def replay(address: str, seconds: float, captured: tuple[bytes, ...] = ()) -> int:
    """Send again what a member's connections have sent, byte for byte, from the first on; return how often."""
    place, until, done = Place.of(address), time.monotonic() + seconds, 0
    while time.monotonic() < until:
        for stream in captured:
            with suppress(OSError), _connected(place.members) as connection:
                done += _sent(connection, stream)
                connection.settimeout(0.2)
                with suppress(OSError):
                    connection.recv(65_536)
    return done


def hold_many(address: str, seconds: float) -> int:
    """Hold as many connections as can be had, and say nothing; return how many were opened."""
    place, until, done = Place.of(address), time.monotonic() + seconds, 0
    connections: deque[socket.socket] = deque()
    while time.monotonic() < until:
        with suppress(OSError):
            connections.append(_connected(place.members if done % 2 else place.door))
            done += 1
        if len(connections) >= HELD:
            connections.popleft().close()
    for connection in connections:
        connection.close()
    return done


ATTACKS: dict[str, tuple[str, Callable[..., int]]] = {
    "names": (f"{NAMED} raw connections claim the names of others, again and again", claim_names),
    "announced": (
        f"{ANNOUNCING} raw connections announce {ANNOUNCED_BYTES >> 20} MB each, and begin to send",
        announce_much,
    ),
    "flood": (f"frames of {FRAME_BYTES >> 20} MB, and chains at the door, with a key of its own", flood),
    "held": (f"{HELD:,} raw connections at a time that say nothing", hold_many),
    "replay": ("what a member's connection has sent is sent again, byte for byte", replay),
}
"""By name, what it does."""
