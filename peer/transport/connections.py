"""How many connections others may hold to a socket at which this host receives: strangers take no more (TR-8).

ZeroMQ takes every connection that comes, and each costs a descriptor, without which the host can't write its log. Its
monitor tells of each. Where there are too many, the newest of the network that holds most is cut: so whoever takes all
there are takes them from its own neighbours, and members elsewhere come in. Those that may be strangers are bounded for
themselves, so that members who are in stay in.

Source: Heilman et al. 2015 (Eclipse attacks on Bitcoin's peer-to-peer network), and how Bitcoin Core evicts inbound
connections since (`AttemptToEvictConnection`).
"""

import heapq
import os
import resource
import socket
import struct
from asyncio import AbstractEventLoop, TimerHandle
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import count, takewhile

import zmq

from peer.ports import TransportCounts
from peer.transport.gatekeeper import WAIT_S
from peer.transport.sockets import HANDSHAKE_MS, Socket

DESCRIPTORS = 65_536
"""How many a host's process asks for, if it may."""
UNPROVEN_MAX = 1_024
"""Connections that have come so lately that they may not have proven their key: each may hold up to a frame."""
UNPROVEN_S = HANDSHAKE_MS / 1000 + WAIT_S
"""ZeroMQ ends those whose handshake takes longer than the first; a key that is not known waits for the second."""
REST_S = 0.05
"""How long this waits between two looks: what it costs is bounded, however many come."""
IPV4_BITS, IPV6_BITS = 24, 64
"""What one network is: what one holder of addresses has of them, at least."""

_numbers = count()


def descriptors() -> int:
    """Return how many descriptors this process may have, once it has asked for as many as it wants."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return DESCRIPTORS
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    while wanted > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):  # the system may have a lower limit beside this one, as macOS has
            wanted //= 2
        else:
            return wanted
    return soft


class Connections:
    """Those to one socket that is bound to a TCP port.

    Args:
        context: of the socket.
        watched: the socket; from before it is bound.
        loop: on which this looks at them.
        most: how many there may be.
        counts: where those are counted that are cut.
    """

    def __init__(
        self, context: "zmq.Context[Socket]", watched: Socket, loop: AbstractEventLoop, most: int,
        counts: TransportCounts,
    ) -> None:  # fmt: skip
        self._watched = watched
        self._loop = loop
        self._most = most
        self._counts = counts
        self._came_s: dict[int, float] = {}
        """By descriptor, when it came; the newest is last."""
        self._networks: dict[int, str] = {}
        """By descriptor, where it is from, as far as that was looked at."""
        self._rests: TimerHandle | None = None
        self._nothing = os.open(os.devnull, os.O_RDONLY)
        self._handle = os.dup(self._nothing)
        """A descriptor that is put on a connection to look at it: when there are none left this works still."""
        place = f"inproc://connections-{next(_numbers)}"
        watched.monitor(place, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self._events = context.socket(zmq.PAIR)
        self._events.set(zmq.LINGER, 0)
        # ZeroMQ would wait for room, and all its connections with it.
        self._events.set(zmq.RCVHWM, 0)
        self._events.connect(place)
        self._port = 0
        loop.add_reader(self._events.fileno(), self._look)
        loop.call_soon(self._look)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._came_s)

    def bound(self) -> None:
        """The socket is bound now: only what comes to its port is looked at."""
        self._port = int(self._watched.get_string(zmq.LAST_ENDPOINT).rpartition(":")[2])

    def stop(self) -> None:
        """Look at nothing any more."""
        self._loop.remove_reader(self._events.fileno())
        if self._rests is not None:
            self._rests.cancel()
        self._watched.disable_monitor()
        self._events.close(linger=0)
        os.close(self._handle)
        os.close(self._nothing)

    def _look(self) -> None:
        """Take in what has happened: the descriptor is edge-triggered and does not remind."""
        if self._rests is not None or self._events.closed:
            return
        is_news = False
        while True:
            try:
                event, _ = self._events.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            is_news = True
            kind, descriptor = struct.unpack("=Hi", event)
            self._gone(descriptor)
            if kind == zmq.EVENT_ACCEPTED:
                self._came_s[descriptor] = self._loop.time()
        if is_news:
            self._bound()
            self._rests = self._loop.call_later(REST_S, self._rested)

    def _rested(self) -> None:
        self._rests = None
        self._look()

    def _gone(self, descriptor: int) -> None:
        self._came_s.pop(descriptor, None)
        self._networks.pop(descriptor, None)

    def _bound(self) -> None:
        """Cut what is too much: of those that may be strangers, and of all."""
        since_s = self._loop.time() - UNPROVEN_S
        unproven = min(UNPROVEN_MAX, self._most // 2)
        if len(self._came_s) > unproven:
            lately = takewhile(lambda each: self._came_s[each] > since_s, reversed(self._came_s))
            self._cut(list(lately)[::-1], unproven)
        self._cut(list(self._came_s), self._most)

    def _cut(self, held: list[int], most: int) -> None:
        """Cut the newest of whichever network has most, until there are so many; of two, of that with the newest."""
        if len(held) <= most:
            return
        by_network: dict[str, list[int]] = defaultdict(list)
        for descriptor in held:
            by_network[self._network(descriptor)].append(descriptor)

        def rank(network: str) -> tuple[int, float, str]:
            theirs = by_network[network]
            return -len(theirs), -self._came_s[theirs[-1]] if theirs else 0.0, network

        largest = [rank(network) for network in by_network]
        heapq.heapify(largest)
        for _ in range(len(held) - most):
            network = largest[0][2]
            descriptor = by_network[network].pop()
            heapq.heapreplace(largest, rank(network))
            with self._own(descriptor) as connection:
                if connection is not None and _is_shut(connection):
                    self._counts.cut += 1
            self._gone(descriptor)

    def _network(self, descriptor: int) -> str:
        """Return where a connection is from; it is looked up once."""
        if descriptor not in self._networks:
            with self._own(descriptor) as connection:
                self._networks[descriptor] = "" if connection is None else _network_of(connection)
        return self._networks[descriptor]

    @contextmanager
    def _own(self, descriptor: int) -> Iterator[socket.socket | None]:
        """Have a second handle to a connection; None if the descriptor is something else by now.

        ZeroMQ may have closed it since it told of it, and the process have opened another thing under its number: the
        handle stays what it is, so what is looked at is what is shut.
        """
        try:
            os.dup2(descriptor, self._handle, inheritable=False)
        except OSError:  # it is closed
            yield None
            return
        try:
            try:
                connection = socket.socket(fileno=self._handle)
            except OSError:  # it is no socket
                yield None
                return
            try:
                yield connection if self._is_here(connection) else None
            finally:
                connection.detach()
        finally:
            os.dup2(self._nothing, self._handle, inheritable=False)

    def _is_here(self, connection: socket.socket) -> bool:
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        try:
            return connection.getsockname()[1] == self._port
        except OSError:  # it has ended
            return False


def _is_shut(connection: socket.socket) -> bool:
    """Shut a connection; False if it has ended meanwhile."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


def _network_of(connection: socket.socket) -> str:
    """Return the network that a connection is from; the empty string if it has ended."""
    try:
        return _network_at(connection.getpeername()[0].partition("%")[0])
    except OSError:
        return ""


@lru_cache(maxsize=4096)
def _network_at(text: str) -> str:
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    bits = IPV6_BITS if isinstance(address, IPv6Address) else IPV4_BITS
    return str(ip_network((address, bits), strict=False))
