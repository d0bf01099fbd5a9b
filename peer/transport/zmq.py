"""Signed frames between hosts over ZeroMQ: a ROUTER to receive, a DEALER to each host that is sent to.

ZeroMQ connects, reconnects and queues; it neither authenticates nor tells what is lost. So every frame carries its own
proof (`frame.py`), and resending is left to the protocol. Everything here runs on the event loop and never blocks.
"""

from asyncio import AbstractEventLoop, get_running_loop
from collections import OrderedDict
from collections.abc import Callable

import zmq

from peer.errors import AddressBusy, ConfigInvalid, FrameInvalid
from peer.keys import HostKeys
from peer.ports import TransportCounts
from peer.transport.frame import BODY_BYTES_MAX, HEADER_BYTES, seal, unseal
from protocol.ids import HostId

QUEUE_FRAMES_MAX = 1000
"""Frames that wait for one host in each direction; the protocol resends what a full queue drops."""

TURN_FRAMES_MAX = 100
"""Frames taken in one turn of the loop (some 10 ms of checking signatures), so that timers and others get theirs."""

INTRODUCTIONS_MAX = 64
"""Sockets to addresses whose host is not known: introductions are rare, and the oldest has had its time."""

SOCKETS_MAX = 16_384
"""Hosts that one host sends to at a time: ZeroMQ's default of 1023 is less than a cluster."""

MESSAGE_BYTES_MAX = 2 * (HEADER_BYTES + BODY_BYTES_MAX)
"""Above this ZeroMQ cuts the connection before reading the frame, uncounted; a frame below is refused and counted."""

RECONNECT_MS = 100
RECONNECT_MS_MAX = 5_000
"""How long a lost connection waits before it is tried again: doubles from the first to the second."""

HEARTBEAT_MS = 5_000
HEARTBEAT_TIMEOUT_MS = 15_000
"""How soon a connection is known to be dead although nobody closed it (a pulled cable): it swallows frames."""


class ZmqTransport:
    """One host's endpoint; implements `ports.Transport`.

    Args:
        keys: who this host is; every frame is signed with them.
        bind: where to receive, as ZeroMQ writes it. Name an interface that others reach: `address` repeats it.
        goodbye_ms: how long what is not yet sent may take when this is closed; it holds the loop as long.
    """

    def __init__(self, keys: HostKeys, bind: str = "tcp://127.0.0.1:*", goodbye_ms: int = 0) -> None:
        self._goodbye_ms = goodbye_ms
        self.address = ""
        self.counts = TransportCounts()
        self._keys = keys
        self._bind = bind
        self._addresses: dict[HostId, str] = {}
        self._dealers: dict[HostId, zmq.Socket[bytes]] = {}
        self._introductions: OrderedDict[str, zmq.Socket[bytes]] = OrderedDict()
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._router: zmq.Socket[bytes] | None = None
        self._loop: AbstractEventLoop | None = None
        self._received: Callable[[HostId, bytes], None] | None = None
        self._drains_later = False

    async def open(self, received: Callable[[HostId, bytes], None]) -> None:
        """Bind and start to receive; `address` is known afterwards.

        Raises: AddressBusy, if the port is in use; ConfigInvalid, if it can't be bound for another reason.
        """
        context = zmq.Context()
        context.set(zmq.MAX_SOCKETS, SOCKETS_MAX)
        router = context.socket(zmq.ROUTER)
        _configure(router)
        try:
            router.bind(self._bind)
        except zmq.ZMQError as error:
            context.destroy(linger=0)
            if error.errno == zmq.EADDRINUSE:
                raise AddressBusy(
                    f"Can't receive at {self._bind}: the port is in use. Nothing was opened."
                    " Stop whoever has it, or bind to another (port * takes any that is free)."
                ) from error
            raise ConfigInvalid(
                f"Can't receive at {self._bind}: {error}. Nothing was opened."
                " Bind to tcp://ADDRESS:PORT with an address of this machine."
            ) from error
        self.address = router.get_string(zmq.LAST_ENDPOINT)
        self._context, self._router, self._received = context, router, received
        self._loop = get_running_loop()
        self._loop.add_reader(router.fileno(), self._drain)
        # The descriptor only tells of changes: what came before it was watched has to be fetched unasked.
        self._drain_later()

    def connect(self, host: HostId, address: str) -> None:
        """Say where a host is reached; frames that still wait for another address of it are lost."""
        if self._addresses.get(host) == address:
            return
        self._addresses[host] = address
        dealer = self._dealers.pop(host, None)
        if dealer is not None:
            dealer.close(linger=0)

    def send(self, receiver: HostId, body: bytes) -> None:
        """Send one frame, or drop and count it.

        Raises: PayloadTooLarge; ConfigInvalid, if `receiver` has an address but is no host id.
        """
        dealer = self._dealers.get(receiver)
        if dealer is None:
            dealer = self._dial(self._addresses.get(receiver))
            if dealer is None:
                self.counts.dropped += 1
                return
            self._dealers[receiver] = dealer
        self._put(dealer, seal(self._keys, receiver, body))

    def introduce(self, address: str, body: bytes) -> None:
        """Send one frame to whoever is at the address.

        Raises: PayloadTooLarge.
        """
        frame = seal(self._keys, None, body)
        dealer = self._introductions.pop(address, None) or self._dial(address)
        if dealer is None:
            self.counts.dropped += 1
            return
        self._introductions[address] = dealer
        while len(self._introductions) > INTRODUCTIONS_MAX:
            self._introductions.popitem(last=False)[1].close(linger=0)
        self._put(dealer, frame)

    async def close(self) -> None:
        """Stop and release the port; what ZeroMQ has not yet sent, and can't send in the time given, is lost."""
        if self._context is None or self._router is None or self._loop is None:
            return
        self._loop.remove_reader(self._router.fileno())
        self._context.destroy(linger=self._goodbye_ms)
        self._context = self._router = None
        self._dealers.clear()
        self._introductions.clear()

    def _dial(self, address: str | None) -> zmq.Socket[bytes] | None:
        """Return a socket to the address; None if there is none: addresses come from others and may be nonsense."""
        if address is None or self._context is None:
            return None
        try:
            dealer = self._context.socket(zmq.DEALER)
        except zmq.ZMQError:  # no socket or descriptor left: the caller counts the drop
            return None
        _configure(dealer)
        try:
            dealer.connect(address)
        except zmq.ZMQError:  # no such form of address, likewise
            dealer.close(linger=0)
            return None
        return dealer

    def _put(self, dealer: zmq.Socket[bytes], frame: bytes) -> None:
        try:
            dealer.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            self.counts.dropped += 1
            return
        self.counts.frames_sent += 1
        self.counts.bytes_sent += len(frame)

    def _drain(self) -> None:
        """Take what has come until nothing is left: the descriptor is edge-triggered and does not remind."""
        for _ in range(TURN_FRAMES_MAX):
            if self._router is None:
                return
            try:
                parts = self._router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                self._take(parts)
            except BaseException:
                # It goes to the loop's handler, and must not strand the frames behind it.
                self._drain_later()
                raise
        self._drain_later()

    def _drain_later(self) -> None:
        if self._loop is not None and not self._drains_later:
            self._drains_later = True
            self._loop.call_soon(self._drain_on)

    def _drain_on(self) -> None:
        self._drains_later = False
        self._drain()

    def _take(self, parts: list[bytes]) -> None:
        if len(parts) != 2:  # the connection's name, which the ROUTER puts in front, and the frame
            self.counts.refused += 1
            return
        try:
            sender, body = unseal(parts[1], self._keys.host_id)
        except FrameInvalid:
            self.counts.refused += 1
            return
        self.counts.frames_received += 1
        self.counts.bytes_received += len(parts[1])
        if self._received is not None:
            self._received(sender, body)


def _configure(socket: "zmq.Socket[bytes]") -> None:
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.SNDHWM, QUEUE_FRAMES_MAX)
    # Nobody answers on a DEALER; what a stranger sends there anyway must not pile up.
    socket.set(zmq.RCVHWM, QUEUE_FRAMES_MAX if socket.type == zmq.ROUTER else 1)
    socket.set(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
    socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MS_MAX)
    socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.set(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
