"""One host among hosts: spreads facts, watches the others, knows which agent lives where (MB-1 to MB-8).

It decides nothing itself: `Gossip`, `Membership` and `Homes` do, which don't know each other. One per host, however
many peers.
"""

from bisect import insort

from msgspec import Struct

from protocol.chance import Chance
from protocol.fact import Began, Claim, Edict, Fact, HostFact, Standing, State, Suspicion, fact_key
from protocol.hosts.gossip import Gossip, shared_out
from protocol.hosts.homes import Homes
from protocol.hosts.membership import Declare, Membership, Outcome, Say, Turned
from protocol.hosts.messages import Compare, Probe
from protocol.ids import AgentId, HostId
from protocol.limits import HostLimits


class Tell(Struct, frozen=True):
    """Send a host facts, a part of a comparison, probes."""

    host: HostId
    facts: tuple[Fact, ...] = ()
    compare: Compare | None = None
    probes: tuple[Probe, ...] = ()


class Knock(Struct, frozen=True):
    """Introduce this host at an address where another may be."""

    address: str
    facts: tuple[Fact, ...]
    compare: Compare


class Connect(Struct, frozen=True):
    """A host is at an address, and these agents with it; at a new address, perhaps, or anew."""

    host: HostId
    address: str
    agents: tuple[AgentId, ...]


class Heard(Struct, frozen=True):
    """A fact that this host, or its peers, should know."""

    fact: Began | Edict


class Outdone(Struct, frozen=True):
    """A newer fact of this very host is about, of an earlier life whose clock ran ahead: say something newer."""

    version: int


class Displaced(Struct, frozen=True):
    """An agent that this host lists lives elsewhere by a higher term: stop it, and list it no more."""

    agent: AgentId
    by: HostId


class Failed(Struct, frozen=True):
    """A host does not answer, and has not refuted it: don't count on what is sent there."""

    host: HostId


class Recovered(Struct, frozen=True):
    """A host that had failed, or left, is there again."""

    host: HostId


class Left(Struct, frozen=True):
    """A host has said goodbye, as somebody says."""

    host: HostId


class Goodbye(Struct, frozen=True):
    """It has said so to this very host."""

    host: HostId


FAR = 1 << 36
"""How far an incarnation may be above what its host has announced: a day of microseconds, or so many refutations."""

HostAction = Tell | Knock | Connect | Heard | Outdone | Displaced | Failed | Recovered | Left | Goodbye


class HostMachine:
    """The gossip of one host. Pure: time and chance come in.

    Args:
        host: this host's id.
        chance: a seeded `random.Random`.
        seeds: addresses at which to knock while nobody else is known, or nobody known is alive.
        limits: waits and counts.
    """

    def __init__(self, host: HostId, chance: Chance, seeds: tuple[str, ...], limits: HostLimits | None = None) -> None:
        self.host = host
        self.limits = limits or HostLimits()
        self.gossip = Gossip(self.limits)
        self.membership = Membership(host, chance, self.limits)
        self.homes: dict[AgentId, HostId]
        """Where each agent is to be reached."""
        self.subscribers: dict[str, dict[AgentId, None]] = {}
        self._homes = Homes()
        self.homes = self._homes.by_agent
        self._rng = chance
        self._seeds = seeds
        self._others: dict[HostId, HostFact] = {}
        self._mine: HostFact | None = None
        self._listed: dict[AgentId, None] = {}
        self._push_us = 0
        self._repair_us = 0
        self._repairs = 0
        self._farewells: list[HostAction] = []
        """The goodbyes that are said again, for as long as this host is still there."""

    # -- questions

    @property
    def deadline_us(self) -> int:
        """When to call `elapsed`; read after each call, so no timer is ever stale."""
        deadline = self._repair_us
        if self.gossip.has_rumours() and (self.membership.living() or self.membership.failed()):
            deadline = min(deadline, self._push_us)
        probe_us = self.membership.deadline_us
        return deadline if probe_us is None else min(deadline, probe_us)

    def knows(self, host: HostId) -> bool:
        """Tell whether a host has proven that it belongs to the cluster."""
        return host in self._others or host == self.host

    def others(self) -> list[HostFact]:
        """Return what is known of the other hosts, failed ones included."""
        return [self._others[host] for host in sorted(self._others)]

    def fact_of(self, host: HostId) -> HostFact | None:
        """Return what a host has announced last, as far as is known."""
        return self._mine if host == self.host else self._others.get(host)

    def living(self) -> list[HostId]:
        """Return the hosts that have neither failed nor left, this one included, in order."""
        living = list(self.membership.living())
        if not self.membership.left:
            insort(living, self.host)
        return living

    def standing(self, host: HostId) -> State | None:
        """Return how a host stands; None if it is not known."""
        return self.membership.standing(host)

    def failed_since(self, host: HostId) -> int | None:
        """Return when a host was found to have failed, by this host's clock; None if it has not."""
        return self.membership.failed_since(host)

    def term(self, agent: AgentId) -> int:
        """Return the term by which an agent is where it is; 0 if nobody has it."""
        return self._homes.term(agent)

    # -- events

    def seek(self, seeds: tuple[str, ...]) -> None:
        """Knock at these addresses from now on, too: where others have been seen since this host began."""
        self._seeds = tuple(dict.fromkeys((*self._seeds, *seeds)))

    def knock(self, addresses: tuple[str, ...]) -> list[HostAction]:
        """Knock at these addresses once, whoever else is known (MB-7)."""
        if self._mine is None:
            return []
        introduction = self.gossip.introduction()
        return [Knock(address, (self._mine,), introduction) for address in addresses]

    def publish(self, fact: Fact, now_us: int) -> list[HostAction]:
        """Spread a fact of this host or of one of its peers."""
        actions: list[HostAction] = []
        if isinstance(fact, HostFact) and fact.host == self.host:
            if self.membership.left or (self._mine is not None and self._mine.version >= fact.version):
                return actions  # MB-7: a newer version would take the goodbye back
            self._homes.listed(self.host, tuple(self._listed), ())
            self._mine, self._listed = fact, dict.fromkeys(fact.agents)
        if self._learn(fact, None, now_us, actions):
            self._spread(fact)
        self._push(now_us, None, actions)
        return actions

    def received(
        self, sender: HostId, facts: tuple[Fact, ...], compare: Compare | None, probes: tuple[Probe, ...], now_us: int
    ) -> list[HostAction]:
        """Take in what another host says (the proofs of hosts' facts checked)."""
        actions: list[HostAction] = []
        for fact in facts:
            if self._may_say(sender, fact) and self._learn(fact, sender, now_us, actions):
                self._spread(fact)
            if isinstance(fact, Standing) and fact.host == sender and fact.state == State.LEFT == self.standing(sender):
                actions.append(Goodbye(sender))
        if compare is not None:
            self._take_repair(sender, compare.facts, now_us, actions)
        if self.knows(sender):
            if compare is not None:
                # Whoever introduces itself must come to know this host, or it would hear nothing else from here.
                greets = any(isinstance(fact, HostFact) and fact.host == sender for fact in facts)
                self._answer(sender, compare, greets, actions)
            for probe in probes:
                self._carry_out(self.membership.probed(sender, probe, now_us), actions)
        self._push(now_us, sender, actions)
        return actions

    def elapsed(self, now_us: int) -> list[HostAction]:
        """Do what is due: probe somebody, push news, compare facts with somebody."""
        actions: list[HostAction] = []
        self._carry_out(self.membership.elapsed(now_us), actions)
        self._push(now_us, None, actions)
        if self._repair_us <= now_us:
            self._repair(now_us, actions)
        return actions

    def leave(self, now_us: int, *backups: HostId) -> list[HostAction]:
        """Say goodbye to as many as a rumour is sent to, at once: whoever leaves may be gone in a moment; and to its
        backups, who take nobody else's word for it (MB-7).
        """
        if self.membership.left:
            return []
        farewell = self.membership.leave()
        self.gossip.learn(farewell)
        self._farewells = [Tell(host, (farewell,)) for host in backups]
        count = self.limits.rumour_factor * (len(self._others) + 1).bit_length()
        return [Tell(host, (farewell,)) for host in dict.fromkeys((*backups, *self._audience(count, None)))]

    # -- parts

    def _may_say(self, sender: HostId, fact: Fact) -> bool:
        # MB-2: a host's fact proves itself; anything else is heard only from who has proven to belong here.
        return isinstance(fact, HostFact) or self.knows(sender)

    def _learn(self, fact: Fact, sender: HostId | None, now_us: int, actions: list[HostAction]) -> bool:
        """Take in a fact; True if it is news to pass on."""
        if isinstance(fact, Standing | Suspicion) and self._is_beyond(fact, now_us):
            return False
        if isinstance(fact, Suspicion):
            self._carry_out(self.membership.doubted(fact, now_us), actions)
            self._keep_up(actions)
            return False  # it is passed on as long as the membership says so
        before = self._others.get(fact.host) if isinstance(fact, HostFact) else None
        if not self.gossip.learn(fact):
            return False
        match fact:
            case Began() | Edict():
                actions.append(Heard(fact))
            case Standing():
                self._carry_out(self.membership.learned(fact, now_us), actions)
                self._keep_up(actions)
                # MB-5: this host may have refuted it, and that is the news.
                return self.gossip.get(fact_key(fact)) == fact
            case Claim():
                self._homes.claimed(fact.agent, fact.term, fact.host)
                self._look_for_displaced((fact.agent,), actions)
            case HostFact():
                if fact.host == self.host and sender is not None:
                    actions.append(Outdone(fact.version))
                    return False
                self._meet(fact, before, now_us, actions)
        return True

    def _is_beyond(self, fact: Standing | Suspicion, now_us: int) -> bool:
        """Tell whether a host can't have come to an incarnation that somebody names: no refutation could follow it."""
        known = self.fact_of(fact.host)
        return fact.incarnation > (now_us if known is None else known.version) + FAR

    def _keep_up(self, actions: list[HostAction]) -> None:
        """Announce this host anew, before its incarnation is so far above that others pass it over."""
        if self._mine is not None and self.membership.incarnation > self._mine.version + FAR // 2:
            actions.append(Outdone(self.membership.incarnation))

    def _meet(self, fact: HostFact, before: HostFact | None, now_us: int, actions: list[HostAction]) -> None:
        self._homes.listed(fact.host, () if before is None else before.agents, fact.agents)
        self._look_for_displaced(fact.agents, actions)
        for agent, space in fact.spaces:
            self.subscribers.setdefault(space, {})[agent] = None
        if fact.host != self.host:
            self._others[fact.host] = fact
            actions.append(Connect(fact.host, fact.address, fact.agents))
        self._carry_out(self.membership.met(fact.host, fact.version, now_us), actions)

    def _look_for_displaced(self, agents: tuple[AgentId, ...], actions: list[HostAction]) -> None:
        for agent in agents:
            home = self.homes.get(agent)
            if home is not None and home != self.host and agent in self._listed:
                actions.append(Displaced(agent, home))

    def _take_repair(self, sender: HostId, facts: tuple[Fact, ...], now_us: int, actions: list[HostAction]) -> None:
        for fact in facts:
            if not self._may_say(sender, fact) or not self._learn(fact, sender, now_us, actions):
                continue
            if isinstance(fact, Standing):
                # A repair brings what others know already; but who is wrongly said to have failed must hear of it.
                self._spread(fact)

    def _answer(self, sender: HostId, compare: Compare, greets: bool, actions: list[HostAction]) -> None:
        answer = self.gossip.answer(compare) or Compare()
        own = (self._mine,) if greets and self._mine is not None else ()
        if answer == Compare() and not own:
            return
        first, *more = [*shared_out((*own, *answer.facts), self.limits.weight_max)] or [()]
        actions.append(Tell(sender, compare=Compare(answer.sums, answer.lists, answer.wants, first)))
        actions.extend(Tell(sender, compare=Compare(facts=facts)) for facts in more)

    def _carry_out(self, outcomes: list[Outcome], actions: list[HostAction]) -> None:
        for outcome in outcomes:
            match outcome:
                case Say():
                    word = () if outcome.word is None else (outcome.word,)
                    actions.append(Tell(outcome.host, (*word, *self.gossip.rumours(1)), None, (outcome.probe,)))
                case Declare():
                    if isinstance(outcome.fact, Standing):
                        self.gossip.learn(outcome.fact)
                    self._spread(outcome.fact)
                case Turned():
                    turned = {State.FAILED: Failed, State.LEFT: Left}.get(outcome.state, Recovered)
                    actions.append(turned(outcome.host))

    def _spread(self, fact: Fact) -> None:
        self.gossip.spread(fact, len(self.membership.living()) + 1)

    def _push(self, now_us: int, sender: HostId | None, actions: list[HostAction]) -> None:
        """Pass news on to a few; what comes in short order goes together (MB-1)."""
        if now_us < self._push_us or not self.gossip.has_rumours():
            return
        audience = self._audience(self.limits.fan_out, sender)
        if not audience:
            return
        self._push_us = now_us + self.limits.gossip_us
        news = self.gossip.rumours(len(audience))
        actions.extend(Tell(host, news) for host in audience)

    def _repair(self, now_us: int, actions: list[HostAction]) -> None:
        """Compare facts with somebody: what rumours have missed is repaired so (MB-3)."""
        self._repair_us = now_us + (self.limits.repair_us if self._others else self.limits.hurry_us)
        self._repairs += 1
        actions.extend(self._farewells)  # one may be lost, and by nobody else's word is a backup to go on at once
        living, failed = self.membership.living(), self.membership.failed()
        if living:
            actions.append(Tell(self._rng.choice(living), compare=self.gossip.opening()))
        if failed and (not living or self._repairs % self.limits.retry_failed == 0):
            # MB-7: it may be that this host was cut off. Two halves of a network find each other so; and one that was
            # started again, and whose seeds are gone, is introduced to somebody.
            own = () if self._mine is None else (self._mine,)
            actions.append(Tell(self._rng.choice(failed), own, self.gossip.opening()))
        if not living:
            actions.extend(self.knock(self._seeds))

    def _audience(self, count: int, sender: HostId | None) -> list[HostId]:
        known = self.membership.living() or self.membership.failed()
        chosen = self._rng.sample(known, min(count + 1, len(known)))
        return [host for host in chosen if host != sender][:count]
