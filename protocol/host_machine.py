"""One host: spreads facts, and knows which agent lives where (MB-1, MB-2). One per host, however many peers."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from protocol.fact import Began, Fact, HostFact
from protocol.gossip import Gossip
from protocol.ids import AgentId, HostId

FAN_OUT = 3
"""To how many others a host passes news on: more than two reaches all with high probability."""
REPAIR_US = 1_000_000
"""How often a host compares digests with one other, chosen at random."""
HURRY_US = 100_000
"""The same, while the host knows nobody but its seeds."""


class Tell(Struct, frozen=True):
    """Send facts, and perhaps a digest, to a host."""

    host: HostId
    facts: tuple[Fact, ...]
    digest: dict[str, int] | None


class Knock(Struct, frozen=True):
    """Introduce this host at an address where another may be."""

    address: str
    facts: tuple[Fact, ...]
    digest: dict[str, int]


class Connect(Struct, frozen=True):
    """A host is at an address, and these agents with it; `back`: at a new address, or anew."""

    host: HostId
    address: str
    agents: tuple[AgentId, ...]


class Heard(Struct, frozen=True):
    """A fact that the peers of this host should know."""

    fact: Began


T = TypeVar("T")


class Chance(Protocol):
    """Chance, handed in: a seeded `random.Random` fits."""

    def choice(self, seq: Sequence[T], /) -> T:
        """Return one of them."""
        ...

    def sample(self, population: Sequence[T], k: int) -> list[T]:
        """Return `k` different ones."""
        ...


class Outdone(Struct, frozen=True):
    """A newer fact of this very host is about, of an earlier life whose clock ran ahead: say something newer."""

    version: int


HostAction = Tell | Knock | Connect | Heard | Outdone


class HostMachine:
    """The gossip of one host. Pure: time and chance come in."""

    def __init__(self, host: HostId, chance: Chance, seeds: tuple[str, ...]) -> None:
        self.host = host
        self.gossip = Gossip()
        self.homes: dict[AgentId, HostId] = {}
        self.subscribers: dict[str, dict[AgentId, None]] = {}
        self._rng = chance
        self._seeds = seeds
        self._others: dict[HostId, HostFact] = {}
        self.deadline_us: int = 0

    def publish(self, fact: Fact) -> list[HostAction]:
        """Spread a fact of this host or of one of its peers."""
        return self._learn((fact,), None)

    def received(self, sender: HostId, facts: tuple[Fact, ...], digest: dict[str, int] | None) -> list[HostAction]:
        """Take in another host's facts (their proofs checked), and answer its digest with what it lacks."""
        actions = self._learn(facts, sender)
        if digest is not None:
            lacked = tuple(self.gossip.beyond(digest))
            wants = self.gossip.lacks(digest)
            if lacked or wants:
                actions.append(Tell(sender, lacked, self.gossip.digest() if wants else None))
        return actions

    def elapsed(self, now_us: int) -> list[HostAction]:
        """Compare digests with somebody: what rumours have missed is repaired so."""
        self.deadline_us = now_us + (REPAIR_US if self._others else HURRY_US)
        digest = self.gossip.digest()
        if self._others:
            return [Tell(self._rng.choice(sorted(self._others)), (), digest)]
        own = tuple(fact for fact in self.gossip.facts() if isinstance(fact, HostFact) and fact.host == self.host)
        return [Knock(address, own, digest) for address in self._seeds]

    def knows(self, host: HostId) -> bool:
        """Tell whether a host has proven that it belongs to the cluster."""
        return host in self._others or host == self.host

    def others(self) -> list[HostFact]:
        """Return what is known of the other hosts."""
        return [self._others[host] for host in sorted(self._others)]

    def _learn(self, facts: tuple[Fact, ...], sender: HostId | None) -> list[HostAction]:
        news = [fact for fact in facts if self.gossip.learn(fact)]
        actions: list[HostAction] = []
        for fact in news:
            if isinstance(fact, Began):
                actions.append(Heard(fact))
                continue
            if fact.host == self.host and sender is not None:
                actions.append(Outdone(fact.version))
                continue
            for agent in fact.agents:
                self.homes[agent] = fact.host
            for agent, space in fact.spaces:
                self.subscribers.setdefault(space, {})[agent] = None
            if fact.host != self.host:
                self._others[fact.host] = fact
                actions.append(Connect(fact.host, fact.address, fact.agents))
        if news:
            audience = [host for host in sorted(self._others) if host != sender]
            chosen = self._rng.sample(audience, min(FAN_OUT, len(audience)))
            actions.extend(Tell(host, tuple(news), None) for host in chosen)
        return actions
