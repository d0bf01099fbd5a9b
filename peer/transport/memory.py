"""Frames between hosts of one process and one event loop: for tests and for clusters that fit into a process.

Nothing is signed, since nobody but the network's own code can put a frame in; who sends is known. Counts, addresses and
limits are those of the real transport.
"""

from asyncio import AbstractEventLoop, get_running_loop
from collections import deque
from collections.abc import Callable

from peer.errors import AddressBusy
from peer.keys import HostKeys
from peer.ports import TransportCounts
from peer.transport.frame import HEADER_BYTES, check_size
from protocol.ids import HostId

QUEUE_FRAMES_MAX = 1000
"""Frames that wait for one receiver, as in the real transport; one whose loop is stuck must not eat the memory."""

TURN_FRAMES_MAX = 100
"""Frames given to the receiver in one turn of the loop, so that timers and others get theirs."""


class MemoryNetwork:
    """Who is reached where. A process may have several: they do not see each other."""

    def __init__(self) -> None:
        self.places: dict[str, MemoryTransport] = {}


class MemoryTransport:
    """One host's side of a `MemoryNetwork`; implements `ports.Transport`."""

    def __init__(self, network: MemoryNetwork, keys: HostKeys) -> None:
        self.address = f"memory://{keys.host_id}"
        self.counts = TransportCounts()
        self._network = network
        self._me = keys.host_id
        self._addresses: dict[HostId, str] = {}
        self._queue: deque[tuple[HostId, HostId | None, bytes]] = deque()
        self._received: Callable[[HostId, bytes], None] | None = None
        self._loop: AbstractEventLoop | None = None
        self._delivers_later = False

    async def open(self, received: Callable[[HostId, bytes], None]) -> None:
        """Start to receive.

        Raises: AddressBusy, if a transport with these keys is open in the network.
        """
        if self.address in self._network.places:
            raise AddressBusy(f"{self.address} is open already. Nothing changed. Close the other transport first.")
        self._loop = get_running_loop()
        self._received = received
        self._network.places[self.address] = self

    def connect(self, host: HostId, address: str) -> None:
        """Say where a host is reached."""
        self._addresses[host] = address

    def send(self, receiver: HostId, body: bytes) -> None:
        """Send one frame, or drop and count it.

        Raises: PayloadTooLarge.
        """
        check_size(body)
        self._put(self._addresses.get(receiver), receiver, body)

    def introduce(self, address: str, body: bytes) -> None:
        """Send one frame to whoever is at the address.

        Raises: PayloadTooLarge.
        """
        check_size(body)
        self._put(address, None, body)

    async def close(self) -> None:
        """Stop; what has not been delivered is lost."""
        if self._received is not None:
            del self._network.places[self.address]
        self._received = None
        self._queue.clear()

    def _put(self, address: str | None, receiver: HostId | None, body: bytes) -> None:
        other = None if address is None or self._received is None else self._network.places.get(address)
        if other is None or not other._accept(self._me, receiver, body):
            self.counts.dropped += 1
            return
        self.counts.frames_sent += 1
        self.counts.bytes_sent += HEADER_BYTES + len(body)

    def _accept(self, sender: HostId, receiver: HostId | None, body: bytes) -> bool:
        if len(self._queue) >= QUEUE_FRAMES_MAX or self._loop is None:
            return False
        self._queue.append((sender, receiver, body))
        self._deliver_later()
        return True

    def _deliver_later(self) -> None:
        if self._loop is not None and not self._delivers_later:
            self._delivers_later = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivers_later = False
        turn = TURN_FRAMES_MAX
        try:
            while self._queue and turn:
                turn -= 1
                self._hand_over(*self._queue.popleft())
        finally:
            # Also after a frame's exception, which goes to the loop's handler: the frames behind it are not stranded.
            if self._queue:
                self._deliver_later()

    def _hand_over(self, sender: HostId, receiver: HostId | None, body: bytes) -> None:
        if receiver not in (None, self._me):
            self.counts.refused += 1
            return
        self.counts.frames_received += 1
        self.counts.bytes_received += HEADER_BYTES + len(body)
        if self._received is not None:
            self._received(sender, body)
