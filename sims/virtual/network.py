"""A network in virtual time: frames are late, lost, doubled and out of order as the seed and the faults want.

Each directed link has a stream of chance of its own, so a fault on one link changes no draw on another. Nothing is
signed: nobody but this code can put a frame in, and who sends is known. Counts and limits are those of the real one.
"""

from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from peer.errors import AddressBusy
from peer.keys import HostKeys
from peer.ports import TransportCounts
from peer.transport.frame import HEADER_BYTES, check_size
from protocol.ids import HostId
from sims.virtual.chance import AnySpread, Uniform, stream
from sims.virtual.loop import VirtualLoop

IN_FLIGHT_MAX = 1000
"""Frames under way on one link; more are dropped and counted, as the real transport's queue does."""


@dataclass
class Conditions:
    """What a frame meets on one link, now."""

    loss: float = 0.0
    double: float = 0.0
    reorder: float = 0.0
    """Share of frames that may overtake others."""
    slow: list[float] = field(default_factory=list)
    """By what the delay is multiplied: by the greatest, for slow ends of one link do not make each other slower."""
    extra: list[AnySpread] = field(default_factory=list)
    """Further delays."""
    cut: int = 0
    """How many partitions part the two."""


class Watcher(Protocol):
    """Sees what frames do: for traces and counts."""

    def frame(self, what: str, sender: HostId, receiver: HostId | None, body: bytes, at_us: int) -> None:
        """A frame was `sent`, `lost`, `doubled`, `cut`, or has `arrived`."""
        ...


class _Link:
    """One direction between two hosts."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.conditions = Conditions()
        self.flying = 0
        self.last_us = 0
        """When the last frame that keeps its place arrives."""


class Network:
    """Who is reached where, and what happens on the way."""

    def __init__(self, seed: int = 0, delay: AnySpread | None = None, watcher: Watcher | None = None) -> None:
        self.places: dict[str, VirtualTransport] = {}
        self.delay: AnySpread = delay or Uniform(100, 400)
        self._seed = seed
        self._watcher = watcher
        self._links: dict[tuple[HostId, HostId], _Link] = {}
        self.sent = 0

    def conditions(self, sender: HostId, receiver: HostId) -> Conditions:
        """Return what holds from one host to another; faults change it in place."""
        return self._link(sender, receiver).conditions

    def watched_by(self, watcher: Watcher) -> None:
        """Tell somebody else what frames do."""
        self._watcher = watcher

    def saw(self, what: str, sender: HostId, receiver: HostId | None, body: bytes, at_us: int) -> None:
        """Tell the watcher."""
        if self._watcher is not None:
            self._watcher.frame(what, sender, receiver, body, at_us)

    def carry(self, sender: "VirtualTransport", other: "VirtualTransport", to: HostId | None, body: bytes) -> bool:
        """Take a frame on its way; False if the link's queue is full."""
        link = self._link(sender.me, other.me)
        if link.flying >= IN_FLIGHT_MAX:
            return False
        self.sent += 1
        now_us = sender.now_us()
        self.saw("sent", sender.me, other.me, body, now_us)
        conditions, rng = link.conditions, link.rng
        # All is drawn for every frame: a fault that goes away leaves the later draws as they were.
        lost, doubled, overtakes = rng.random(), rng.random(), rng.random()
        delays = [self.delay.draw(rng), self.delay.draw(rng)]
        if conditions.cut:
            self.saw("cut", sender.me, other.me, body, now_us)
            return True
        if lost < conditions.loss:
            self.saw("lost", sender.me, other.me, body, now_us)
            return True
        copies = 2 if doubled < conditions.double else 1
        for copy in range(copies):
            if copy:
                self.saw("doubled", sender.me, other.me, body, now_us)
            delay_us = delays[copy] + sum(extra.draw(rng) for extra in conditions.extra)
            at_us = now_us + max(1, int(delay_us * max(conditions.slow, default=1.0)))
            if overtakes < conditions.reorder:
                self.saw("unordered", sender.me, other.me, body, now_us)
            else:
                at_us = link.last_us = max(at_us, link.last_us + 1)
            link.flying += 1
            sender.let(at_us, self._arrive, link, sender.me, other.address, to, body)
        return True

    def _arrive(self, link: _Link, sender: HostId, address: str, to: HostId | None, body: bytes) -> None:
        link.flying -= 1
        receiver = self.places.get(address)
        if receiver is not None and not link.conditions.cut:
            receiver.hand_over(sender, to, body)

    def _link(self, sender: HostId, receiver: HostId) -> _Link:
        link = self._links.get((sender, receiver))
        if link is None:
            link = self._links[sender, receiver] = _Link(stream(self._seed, f"link/{sender}/{receiver}"))
        return link


class VirtualTransport:
    """One host's side of a `Network`; implements `ports.Transport`."""

    def __init__(self, network: Network, keys: HostKeys) -> None:
        self.address = f"virtual://{keys.host_id}"
        self.counts = TransportCounts()
        self.me = keys.host_id
        self._network = network
        self._addresses: dict[HostId, str] = {}
        self._received: Callable[[HostId, bytes], None] | None = None
        self._loop: AbstractEventLoop | None = None

    def now_us(self) -> int:
        """Return the loop's time, in microseconds."""
        loop = self._loop
        assert loop is not None
        return loop.now_us if isinstance(loop, VirtualLoop) else round(loop.time() * 1e6)

    def let(self, at_us: int, callback: Callable[..., object], *args: object) -> None:
        """Let something happen at a time, on whatever loop it is open."""
        loop = self._loop
        assert loop is not None
        if isinstance(loop, VirtualLoop):
            loop.let(at_us, callback, *args)
        else:
            loop.call_at(at_us / 1e6, callback, *args)

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
        """Stop."""
        self.cut_off()

    def cut_off(self) -> None:
        """Stop at once, as the end of the process does; what is under way to it is lost."""
        if self._received is not None:
            del self._network.places[self.address]
        self._received = None

    def hand_over(self, sender: HostId, receiver: HostId | None, body: bytes) -> None:
        """Take a frame in."""
        if receiver not in (None, self.me):
            self.counts.refused += 1
            return
        self.counts.frames_received += 1
        self.counts.bytes_received += HEADER_BYTES + len(body)
        if self._received is not None:
            self._network.saw("arrived", sender, self.me, body, self.now_us())
            self._received(sender, body)

    def _put(self, address: str | None, receiver: HostId | None, body: bytes) -> None:
        other = None if address is None or self._received is None else self._network.places.get(address)
        if other is None or not self._network.carry(self, other, receiver, body):
            self.counts.dropped += 1
            return
        self.counts.frames_sent += 1
        self.counts.bytes_sent += HEADER_BYTES + len(body)
