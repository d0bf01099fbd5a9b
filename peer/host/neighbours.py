"""The other hosts, as one host sees them: feeds its `HostMachine`, and does what that says (MB-1 to MB-8)."""

import logging
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Protocol

import msgspec

from peer.host.orders import Orders
from peer.host.wire import Wire
from peer.ports import Cancel, Clock, Randomness, Transport
from peer.trust.badge import Badge
from peer.trust.lies import lie_of, signed_part
from protocol.fact import Began, Claim, Edict, Fact, HostFact, fact_key
from protocol.hosts.machine import (
    Connect,
    Displaced,
    Failed,
    Goodbye,
    Heard,
    HostAction,
    HostMachine,
    Knock,
    Left,
    Outdone,
    Recovered,
    Tell,
)
from protocol.ids import AgentId, HostId
from protocol.limits import HostLimits
from protocol.wire import Frame

logger = logging.getLogger("ebbtide")


class Turned(Protocol):
    """Who wants to know whether hosts answer."""

    def turned(self, host: HostId, how: str) -> None:
        """A host has `failed`, `left` or `recovered`."""
        ...


class Resident(Protocol):
    """The host in the middle."""

    host_id: HostId
    transport: Transport
    clock: Clock
    randomness: Randomness
    wire: Wire

    @property
    def checkpoints(self) -> Turned:
        """Its checkpoints and successions."""
        ...

    def connected(self, agents: tuple[AgentId, ...]) -> None:
        """These agents can be reached now, or again."""
        ...

    def heard(self, fact: Began) -> None:
        """A fact for all agents here."""
        ...

    def displaced(self, moved: list[Displaced]) -> None:
        """These agents are said to live elsewhere: stop them, and announce without them."""
        ...

    def outdone(self, version: int) -> None:
        """Announce in a version above this one."""
        ...


class Neighbours:
    """Gossip, membership and homes of one host, with a transport and a clock."""

    def __init__(
        self, resident: Resident, badge: Badge, orders: Orders, seeds: Sequence[str], limits: HostLimits | None = None
    ) -> None:
        self.machine = HostMachine(resident.host_id, Random(resident.randomness.seed()), tuple(seeds), limits)
        self._resident = resident
        self._badge = badge
        self._orders = orders
        self.onlookers: dict[Callable[[HostId, str], None], None] = {}
        """Who is told of hosts: that one has `joined` (or speaks of itself anew), `failed`, `left` or `recovered`."""
        self._timer: Cancel | None = None
        self._timer_us = 0
        self._open = False

    def open(self) -> None:
        """Begin to knock, probe and spread."""
        self._open = True
        self._tick()

    def close(self) -> None:
        """Fall silent."""
        self._open = False
        if self._timer is not None:
            self._timer()

    def seek(self, addresses: Iterable[str]) -> None:
        """Knock at these addresses, too, while nobody else is known or alive."""
        self.machine.seek(tuple(addresses))

    def knock(self, addresses: Iterable[str]) -> None:
        """Knock at these addresses once, whoever else is known or alive."""
        self.carry_out(self.machine.knock(tuple(addresses)))

    def announce(self, fact: HostFact) -> None:
        """Let everybody know where this host is and who lives here, with the proof that it may say so."""
        self.publish(self._badge.prove(fact))

    def publish(self, fact: Fact) -> None:
        """Let everybody know a fact."""
        if isinstance(fact, Began) or (isinstance(fact, Claim) and fact.host == self._resident.host_id):
            fact = self._badge.vouch(fact)
        self.carry_out(self.machine.publish(fact, self._now_us()))

    def claim(self, agent: AgentId, term: int) -> None:
        """Have an agent live here, whoever had it by a lower term."""
        self.publish(Claim(agent, term, self._resident.host_id))

    def leave(self, backups: Iterable[HostId]) -> None:
        """Say goodbye, to these backups at first hand."""
        self.carry_out(self.machine.leave(self._now_us(), *backups))

    def received(self, sender: HostId, frame: Frame) -> None:
        """Take in what another host says of hosts and facts."""
        facts, compare = self._proven(frame.facts), frame.compare
        if compare is not None and compare.facts:
            compare = msgspec.structs.replace(compare, facts=self._proven(compare.facts))
        if facts or compare is not None or frame.probes:
            self.carry_out(self.machine.received(sender, facts, compare, frame.probes, self._now_us()))

    def carry_out(self, actions: list[HostAction]) -> None:
        """Do what the machine says, and see to it that it is woken in time."""
        displaced: list[Displaced] = []
        transport = self._resident.transport
        for action in actions:
            match action:
                case Tell():
                    frame = Frame(facts=action.facts, compare=action.compare, probes=action.probes)
                    self._resident.wire.tell(action.host, frame)
                case Knock():
                    if action.address != transport.address:
                        self._resident.wire.introduce(action.address, Frame(facts=action.facts, compare=action.compare))
                case Connect():
                    transport.connect(action.host, action.address)
                    self._resident.connected(action.agents)
                    self._tell(action.host, "joined")
                case Outdone():
                    self._resident.outdone(action.version)
                case Heard():
                    if isinstance(action.fact, Edict):
                        self._orders.heard(action.fact)
                    else:
                        self._resident.heard(action.fact)
                case Displaced():
                    displaced.append(action)
                case Failed() | Left() | Recovered():
                    what = type(action).__name__.lower()
                    logger.info("%s: host %s has %s", self._resident.host_id, action.host, what)
                    if not isinstance(action, Recovered):
                        self._resident.wire.versions.forget(action.host)  # its next life may be of another release
                    # Others' word that it has left is no better than that it has failed: it may be there, and say so.
                    self._resident.checkpoints.turned(action.host, "failed" if isinstance(action, Left) else what)
                    self._tell(action.host, what)
                case Goodbye():
                    self._resident.checkpoints.turned(action.host, "left")
        if displaced:
            self._resident.displaced(displaced)
        self._wake()

    def _tell(self, host: HostId, how: str) -> None:
        for told in list(self.onlookers):
            told(host, how)

    def _proven(self, facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
        # Who is there first: what others say hangs on that.
        hosts = [fact for fact in facts if isinstance(fact, HostFact) and self._is_proven(fact)]
        words = [fact for fact in facts if not isinstance(fact, HostFact) and self._is_proven(fact)]
        proven = (*hosts, *words)
        if len(proven) < len(facts):
            self._resident.transport.counts.refused += 1
        return proven

    def _is_proven(self, fact: Fact) -> bool:
        if isinstance(fact, Edict):
            return self._orders.is_known(fact) or self._orders.holds(fact)
        if isinstance(fact, Claim | Began):
            return self.machine.gossip.get(fact_key(fact)) == fact or self._badge.may_say(fact)
        if not isinstance(fact, HostFact):
            return True  # the machine hears it only from a host that is proven
        known = self.machine.fact_of(fact.host)
        if known == fact or (known is not None and known.version > fact.version):
            # No news: an older chain of a member must not take the place of the one that it has now.
            return True
        if not self._badge.believes(fact):
            return False
        if known is not None and known.version == fact.version and signed_part(known) != signed_part(fact):
            # TR-5: each of the two is signed, so whoever has both can show that their host lies.
            self._orders.lied(fact.host, lie_of(known, fact), f"it has announced two things as version {fact.version}")
            return False
        self._orders.seen(fact)
        return True

    def _tick(self) -> None:
        if self._open:
            self._timer = None
            self.carry_out(self.machine.elapsed(self._now_us()))

    def _wake(self) -> None:
        deadline_us = self.machine.deadline_us
        if not self._open or (self._timer is not None and self._timer_us <= deadline_us):
            return
        if self._timer is not None:
            self._timer()
        self._timer_us = deadline_us
        self._timer = self._resident.clock.wake(deadline_us, self._tick)

    def _now_us(self) -> int:
        return self._resident.clock.now_us()
