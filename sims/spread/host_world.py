"""Many host machines in virtual time: frames are late or lost, hosts are cut off, killed, started again."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from protocol.fact import Fact, HostFact, State
from protocol.hosts.machine import Failed, HostAction, HostMachine, Knock, Left, Recovered, Tell
from protocol.hosts.messages import Compare
from protocol.ids import HostId
from protocol.limits import HostLimits
from protocol.wire import Frame, decode_frame, encode_frame
from sims.spread.twins import twin_of

EPOCH_US = 1_700_000_000_000_000
"""Versions are wall time, as in a real host."""


@dataclass
class Network:
    """What the network does to frames."""

    delay_us: tuple[int, int] = (500, 5_000)
    loss_percent: int = 0
    cut: dict[HostId, int] = field(default_factory=dict)
    """Which side of a partition each host is on; hosts that are not named are on side 0."""


@dataclass
class Traffic:
    """What has been sent."""

    frames: int = 0
    bytes: int = 0


class HostWorld:
    """Hosts without agents on a simulated network. A seed decides all."""

    def __init__(self, seed: int, network: Network | None = None, limits: HostLimits | None = None) -> None:
        self.now_us = EPOCH_US
        self.network = network or Network()
        self.machines: dict[HostId, HostMachine] = {}
        self.sent = Traffic()
        self.turned: list[tuple[int, HostId, Failed | Left | Recovered]] = []
        """When, seen by whom, what."""
        self.heard: Callable[[HostId], None] = lambda host: None
        """Called after a host has taken in a frame."""
        self.sending: Callable[[Frame, int], None] = lambda frame, size: None
        """Called with each frame and the size of its body."""
        self._limits = limits
        self._rng = Random(seed)
        self._heap: list[tuple[int, int, HostId, tuple[HostId, Frame] | None]] = []
        self._count = 0
        self._timers: dict[HostId, int] = {}

    # -- hosts

    def start(self, host: HostId, agents: tuple[str, ...] = (), seeds: tuple[HostId, ...] = ()) -> HostMachine:
        """Bring up a host, for the first time or again; of its earlier life it knows nothing."""
        machine = HostMachine(host, self._chance(), seeds, self._limits)
        self.machines[host] = machine
        self._timers.pop(host, None)
        self._carry_out(host, machine.publish(self.fact(host, agents), self.now_us))
        return machine

    def fact(self, host: HostId, agents: tuple[str, ...] = ()) -> HostFact:
        """Return what a host says of itself now; its address is its name."""
        return HostFact(host, self.now_us, host, agents, proof=bytes(300))

    def kill(self, host: HostId) -> None:
        """Stop a host dead."""
        del self.machines[host]

    def leave(self, host: HostId) -> None:
        """Have a host say goodbye, and end it."""
        self._carry_out(host, self.machines[host].leave(self.now_us))
        self.kill(host)

    def acquaint(self, hosts: Sequence[HostId]) -> None:
        """Let hosts know each other, as if they had been there for long: cheaper than to let all of them join."""
        own, *facts = (self.fact(host) for host in hosts)
        first = HostMachine(own.host, self._chance(), (), self._limits)
        first.publish(own, self.now_us)
        first.received(own.host, (), Compare(facts=tuple(facts)), (), self.now_us)
        while first.gossip.has_rumours():
            first.gossip.rumours(1)
        self.machines[own.host] = first
        for fact in facts:
            self.machines[fact.host] = twin_of(first, fact, self._chance())
        for host in hosts:
            self._arm(host)

    def publish(self, host: HostId, fact: Fact) -> None:
        """Have a host spread a fact."""
        self._carry_out(host, self.machines[host].publish(fact, self.now_us))

    # -- time

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Go on for a while of virtual time, or until something holds; tell whether it does."""
        end_us = self.now_us + int(seconds * 1e6)
        while self._heap and not until():
            if self._heap[0][0] > end_us:
                break
            self.now_us, _, host, mail = heapq.heappop(self._heap)
            machine = self.machines.get(host)
            if machine is None:
                continue
            if mail is not None:
                sender, frame = mail
                found = machine.received(sender, frame.facts, frame.compare, frame.probes, self.now_us)
                self._carry_out(host, found)
                self.heard(host)
            elif self._timers.get(host) == self.now_us:
                del self._timers[host]
                self._carry_out(host, machine.elapsed(self.now_us))
        if until():
            return True
        self.now_us = end_us
        return False

    def agree(self) -> bool:
        """Tell whether all running hosts hold the same facts, and have no doubt that exactly those live that run."""
        running = sorted(self.machines)
        first = next(iter(self.machines.values())).gossip.opening()
        return all(
            machine.gossip.opening() == first
            and machine.living() == running
            and all(machine.standing(host) == State.ALIVE for host in running)
            for machine in self.machines.values()
        )

    def _chance(self) -> Random:
        return Random(self._rng.getrandbits(64))

    def _carry_out(self, host: HostId, actions: list[HostAction]) -> None:
        for action in actions:
            match action:
                case Tell():
                    self._send(host, action.host, Frame((), action.facts, action.compare, probes=action.probes))
                case Knock():
                    if action.address != host:
                        self._send(host, action.address, Frame(facts=action.facts, compare=action.compare))
                case Failed() | Left() | Recovered():
                    self.turned.append((self.now_us, host, action))
                case _:
                    pass
        self._arm(host)

    def _arm(self, host: HostId) -> None:
        machine = self.machines.get(host)
        if machine is None:
            return
        at_us = max(machine.deadline_us, self.now_us + 1)
        armed = self._timers.get(host)
        if armed is None or at_us < armed:
            self._timers[host] = at_us
            self._push(at_us, host, None)

    def _send(self, sender: HostId, receiver: HostId, frame: Frame) -> None:
        self.sent.frames += 1
        body = encode_frame(frame)
        self.sent.bytes += len(body)
        self.sending(frame, len(body))
        if self._count % 64 == 0:
            # The wire takes and gives the same; all of them would cost more than all the rest.
            assert decode_frame(body) == frame
        cut = self.network.cut
        if cut.get(sender, 0) != cut.get(receiver, 0) or self._rng.randrange(100) < self.network.loss_percent:
            return
        self._push(self.now_us + self._rng.randint(*self.network.delay_us), receiver, (sender, frame))

    def _push(self, at_us: int, host: HostId, mail: tuple[HostId, Frame] | None) -> None:
        self._count += 1
        heapq.heappush(self._heap, (at_us, self._count, host, mail))
