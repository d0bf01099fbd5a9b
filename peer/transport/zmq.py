"""Signed frames between hosts over ZeroMQ, encrypted: one socket to receive, and one to each host that is sent to.

ZeroMQ connects, reconnects and queues; CURVE encrypts, and proves both ends' keys before a frame is read
(`gatekeeper.py`). Sockets are one way, PUSH to PULL: nobody names a connection, or answers on one. Whoever is not known
yet shows its chain at a second socket, the door, which takes nothing larger. What is lost nobody tells, so resending is
left to the protocol. Everything here runs on the event loop and never blocks.
"""

from asyncio import AbstractEventLoop, TimerHandle, get_running_loop
from collections import OrderedDict
from collections.abc import Callable
from time import perf_counter

import zmq
from zmq.utils import z85

from peer.errors import AddressBusy, ConfigInvalid, FrameInvalid
from peer.keys import HostKeys, host_id_of
from peer.ports import Gate, TransportCounts
from peer.transport.connections import Connections, descriptors
from peer.transport.curve import curve_private, curve_public
from peer.transport.frame import seal, unseal
from peer.transport.gatekeeper import DOOR, MEMBERS, Gatekeeper, sender_of
from peer.transport.place import Place
from peer.transport.sockets import REDIAL_S, REDIAL_S_MAX, Dealer, Socket, configure
from peer.transport.turns import Turns
from protocol.ids import HostId

TURN_FRAMES_MAX = 100
TURN_S = 0.02
"""Frames taken in one turn of the loop, and how long that may take, so that timers and others get their turn."""

INTRODUCTIONS_MAX = 64
"""Doors at which this host has knocked lately: introductions are rare, and the oldest has had its time."""

SOCKETS_MAX = 16_384
"""Hosts that one host sends to at a time: ZeroMQ's default of 1023 is less than a cluster."""

BACKLOG = 1024
SHARE_OF_MEMBERS, SHARE_AT_DOOR = 2, 8
"""One in so many of the process's descriptors may be connections to either socket: the host needs the rest."""
DOOR_MAX = 1_024
HELLO_BYTES_MAX = 32_768
HELLOS_A_SECOND = 100
"""Chains that are looked at: each takes some signatures, and anybody may show one."""


class ZmqTransport:
    """One host's endpoint; implements `ports.Transport`.

    Args:
        keys: who this host is; every frame is signed with them, and they are what CURVE proves.
        gate: who may connect.
        bind: where to receive, as ZeroMQ writes it. Name an interface that others reach: `address` repeats it. The door
            is at the next port, if that is free.
        goodbye_ms: how long what is not yet sent may take when this is closed; it holds the loop as long.
    """

    def __init__(self, keys: HostKeys, gate: Gate, bind: str = "tcp://127.0.0.1:*", goodbye_ms: int = 0) -> None:
        self._goodbye_ms = goodbye_ms
        self.address = ""
        self.counts = TransportCounts()
        self._keys = keys
        self._gate = gate
        self._bind = bind
        self._secret = z85.encode(curve_private(keys.private_bytes()))
        self._public = z85.encode(curve_public(keys.public_key))
        self._addresses: dict[HostId, str] = {}
        self._dealers: dict[HostId, Dealer] = {}
        self._knocking: OrderedDict[str, Socket] = OrderedDict()
        """Sockets to members at addresses whose hosts are not known."""
        self._doors: OrderedDict[str, Socket] = OrderedDict()
        self._context: zmq.Context[Socket] | None = None
        self._gatekeeper: Gatekeeper | None = None
        self._inlet: Socket | None = None
        self._door: Socket | None = None
        self._held: list[Connections] = []
        """Of others, to this host."""
        self._loop: AbstractEventLoop | None = None
        self._received: Callable[[HostId, bytes], None] | None = None
        self._turns = Turns(self._take)
        self._in_parts = False
        """What comes next belongs to a message of several parts, which no host sends."""
        self._drains_later = False
        self._door_rests: TimerHandle | None = None

    async def open(self, received: Callable[[HostId, bytes], None]) -> None:
        """Bind and start to receive; `address` is known afterwards.

        Raises: AddressBusy, if the port is in use; ConfigInvalid, if it can't be bound for another reason.
        """
        loop = get_running_loop()
        context = zmq.Context()
        context.set(zmq.MAX_SOCKETS, SOCKETS_MAX)
        gatekeeper = Gatekeeper(context, self._gate, loop)
        gatekeeper.start()
        try:
            inlet = self._listening(context, MEMBERS, self._bind)
            members = inlet.get_string(zmq.LAST_ENDPOINT)
            door = self._beside(context, members)
        except (AddressBusy, ConfigInvalid):
            gatekeeper.stop()
            self._let_go()
            context.destroy(linger=0)
            raise
        self.address = str(Place(members, door.get_string(zmq.LAST_ENDPOINT), self._keys.public_key))
        self._context, self._gatekeeper, self._inlet, self._door = context, gatekeeper, inlet, door
        self._received, self._loop = received, loop
        loop.add_reader(inlet.fileno(), self._drain)
        loop.add_reader(door.fileno(), self._look_at_door)
        # The descriptor only tells of changes: what came before it was watched has to be fetched unasked.
        self._drain_later()
        loop.call_soon(self._look_at_door)

    def connect(self, host: HostId, address: str) -> None:
        """Say where a host is reached; frames that still wait for another address of it are lost."""
        if self._addresses.get(host) == address:
            return
        self._addresses[host] = address
        dealer = self._dealers.pop(host, None)
        if dealer is not None:
            dealer.socket.close(linger=0)

    def send(self, receiver: HostId, body: bytes) -> None:
        """Send one frame, or drop and count it.

        Raises: PayloadTooLarge; ConfigInvalid, if `receiver` has an address but is no host id.
        """
        dealer = self._dealers.get(receiver)
        if dealer is None or dealer.is_over():
            dealer = self._dial_host(receiver)
        if dealer is None or not self._put(dealer.socket, seal(self._keys, receiver, body)):
            if dealer is None:
                self.counts.dropped += 1
            else:
                dealer.failed(self._now_s())
            return
        dealer.sent()

    def introduce(self, address: str, body: bytes) -> None:
        """Send one frame to whoever is at the address, once it has let this host in.

        Raises: PayloadTooLarge.
        """
        frame = seal(self._keys, None, body)
        socket = self._knocking.pop(address, None) or self._dial(address, None)
        if socket is None:
            self.counts.dropped += 1
            return
        self._knock(address)
        if self._put(socket, frame):
            _keep(self._knocking, address, socket)
        else:
            socket.close(linger=0)  # it was refused, or nobody is there: the next knock dials anew

    async def close(self) -> None:
        """Stop and release the port; what ZeroMQ has not yet sent, and can't send in the time given, is lost."""
        if self._context is None or self._inlet is None or self._door is None or self._loop is None:
            return
        self._loop.remove_reader(self._inlet.fileno())
        self._loop.remove_reader(self._door.fileno())
        if self._door_rests is not None:
            self._door_rests.cancel()
        assert self._gatekeeper is not None
        self._gatekeeper.stop()
        self._let_go()
        self._context.destroy(linger=self._goodbye_ms)
        self._context = self._inlet = self._door = self._gatekeeper = None
        self._turns.clear()
        for known in (self._dealers, self._knocking, self._doors):
            known.clear()

    # -- sockets ---------------------------------------------------------------------------------------------------

    def _listening(self, context: "zmq.Context[Socket]", domain: bytes, bind: str) -> Socket:
        socket = context.socket(zmq.PULL)
        configure(socket)
        socket.set(zmq.BACKLOG, BACKLOG)
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_SECRETKEY, self._secret)
        socket.set(zmq.CURVE_PUBLICKEY, self._public)
        socket.set(zmq.ZAP_DOMAIN, domain)
        if domain == DOOR:
            socket.set(zmq.MAXMSGSIZE, HELLO_BYTES_MAX)
            socket.set(zmq.RCVHWM, 4)
        held = Connections(context, socket, get_running_loop(), self._most(domain), self.counts)
        try:
            socket.bind(bind)
            held.bound()
            self._held.append(held)
        except zmq.ZMQError as error:
            held.stop()
            socket.close(linger=0)
            if error.errno == zmq.EADDRINUSE:
                raise AddressBusy(
                    f"Can't receive at {bind}: the port is in use. Nothing was opened."
                    " Stop whoever has it, or bind to another (port * takes any that is free)."
                ) from error
            raise ConfigInvalid(
                f"Can't receive at {bind}: {error}. Nothing was opened."
                " Bind to tcp://ADDRESS:PORT with an address of this machine."
            ) from error
        return socket

    def _most(self, domain: bytes) -> int:
        return min(DOOR_MAX, descriptors() // SHARE_AT_DOOR) if domain == DOOR else descriptors() // SHARE_OF_MEMBERS

    def _let_go(self) -> None:
        for held in self._held:
            held.stop()
        self._held.clear()

    def _beside(self, context: "zmq.Context[Socket]", members: str) -> Socket:
        machine, _, port = members.rpartition(":")
        try:
            return self._listening(context, DOOR, f"{machine}:{int(port) + 1}")
        except (AddressBusy, ConfigInvalid):
            return self._listening(context, DOOR, f"{machine}:*")

    def _dial(self, address: str | None, host: HostId | None) -> Socket | None:
        """Return a socket to the members' side of an address; None if there is none: it may be nonsense.

        None too if the key that is said to be there is not that of the host that is meant.
        """
        if address is None:
            return None
        try:
            place = Place.of(address)
        except ConfigInvalid:
            return None
        if host is not None and host_id_of(place.key) != host:
            return None
        self._gate.expect(place.key)
        return self._connected(place.members, place.key)

    def _connected(self, endpoint: str, key: bytes) -> Socket | None:
        if self._context is None:
            return None
        try:
            socket = self._context.socket(zmq.PUSH)
        except zmq.ZMQError:  # no socket or descriptor left: the caller counts the drop
            return None
        configure(socket)
        try:
            socket.set(zmq.CURVE_SERVERKEY, z85.encode(curve_public(key)))
            socket.set(zmq.CURVE_SECRETKEY, self._secret)
            socket.set(zmq.CURVE_PUBLICKEY, self._public)
            socket.connect(endpoint)
        except zmq.ZMQError:  # no such form of address, or no key, likewise
            socket.close(linger=0)
            return None
        return socket

    def _dial_host(self, host: HostId) -> Dealer | None:
        """Return a connection to a host, to which this one's chain is shown; None if there is no address for it."""
        before = self._dealers.pop(host, None)
        if before is not None:
            before.socket.close(linger=0)
        socket = self._dial(self._addresses.get(host), host)
        if socket is None:
            return None
        wait_s = REDIAL_S if before is None or before.lasted() else min(2 * before.wait_s, REDIAL_S_MAX)
        dealer = self._dealers[host] = Dealer(socket, wait_s, self._now_s)
        self._knock(self._addresses[host])
        return dealer

    def _now_s(self) -> float:
        assert self._loop is not None
        return self._loop.time()

    def _knock(self, address: str) -> None:
        place = Place.of(address)
        socket = self._doors.pop(address, None) or self._connected(place.door, place.key)
        if socket is None:
            self.counts.dropped += 1
            return
        _keep(self._doors, address, socket)
        self._put(socket, seal(self._keys, host_id_of(place.key), self._gate.hello()))

    def _put(self, socket: Socket, frame: bytes) -> bool:
        try:
            socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            self.counts.dropped += 1
            return False
        self.counts.frames_sent += 1
        self.counts.bytes_sent += len(frame)
        return True

    # -- receiving -------------------------------------------------------------------------------------------------

    def _look_at_door(self) -> None:
        """Look at who shows a chain, a few a second: the descriptor is edge-triggered and does not remind."""
        if self._door is None or self._loop is None or self._door_rests is not None:
            return
        try:
            hello = self._door.recv(zmq.NOBLOCK)
        except zmq.Again:
            return
        self._door_rests = self._loop.call_later(1 / HELLOS_A_SECOND, self._door_rested)
        try:
            sender, chain = unseal(hello, self._keys.host_id)
        except FrameInvalid:
            self.counts.refused += 1
            return
        if not self._gate.welcome(sender, chain):
            self.counts.refused += 1
        elif self._gatekeeper is not None:
            self._gatekeeper.came()

    def _door_rested(self) -> None:
        self._door_rests = None
        self._look_at_door()

    def _drain(self) -> None:
        """Take what has come, and read as much as there is time for, of each sender in its turn."""
        self._fetch()
        until = perf_counter() + TURN_S
        for _ in range(TURN_FRAMES_MAX):
            if not self._turns or perf_counter() >= until:
                break
            try:
                self._turns.one()
            except BaseException:
                # It goes to the loop's handler, and must not strand the frames behind it.
                self._drain_later()
                raise
            self._fetch()

    def _fetch(self) -> None:
        """Put what has come in its sender's line; the descriptor is edge-triggered and does not remind."""
        for _ in range(TURN_FRAMES_MAX):
            if self._inlet is None:
                return
            if self._turns.is_full:
                break
            try:
                frame = self._inlet.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                if self._turns:
                    break
                return
            sender, is_part = sender_of(frame), frame.more or self._in_parts
            self._in_parts = frame.more
            if is_part or not self._gate.may_come(sender) or not self._turns.put(sender, frame.bytes):
                self.counts.refused += not frame.more
        self._drain_later()

    def _drain_later(self) -> None:
        if self._loop is not None and not self._drains_later:
            self._drains_later = True
            self._loop.call_soon(self._drain_on)

    def _drain_on(self) -> None:
        self._drains_later = False
        self._drain()

    def _take(self, sender: HostId, frame: bytes) -> None:
        try:
            signer, body = unseal(frame, self._keys.host_id)
        except FrameInvalid:
            self.counts.refused += 1
            return
        if signer != sender:
            self.counts.refused += 1  # what another has signed is the other's to send
            return
        self.counts.frames_received += 1
        self.counts.bytes_received += len(frame)
        if self._received is not None:
            self._received(sender, body)


def _keep(sockets: "OrderedDict[str, Socket]", address: str, socket: Socket) -> None:
    sockets[address] = socket
    while len(sockets) > INTRODUCTIONS_MAX:
        sockets.popitem(last=False)[1].close(linger=0)
