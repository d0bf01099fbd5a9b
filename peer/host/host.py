"""One process's peers behind one endpoint: routes their messages, spreads facts, answers questions (MB-1, MB-2)."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence

from peer import errors
from peer.agents.attempts import Attempts
from peer.agents.resources import Resources
from peer.agents.spec import AgentSpec
from peer.host.answers import Answers
from peer.host.arrivals import Arrivals
from peer.host.asking import Asking
from peer.host.births import Births
from peer.host.checkpoints import Checkpoints
from peer.host.coming import bring_up, expected, heard, startable, without_log
from peer.host.countering import lending
from peer.host.custody import Custody
from peer.host.departures import Departures
from peer.host.driver import Driver
from peer.host.entitlement import Entitlement
from peer.host.meter import Meter
from peer.host.neighbours import Neighbours
from peer.host.orders import Orders
from peer.host.people import People
from peer.host.questions import Costs, Notice
from peer.host.reception import Reception
from peer.host.repeats import Repeats
from peer.host.residents import Residents
from peer.host.rest import Rest
from peer.host.router import Router
from peer.host.strangers import Strangers
from peer.host.vouching import Vouching
from peer.host.watchers import Watchers
from peer.host.wire import Wire
from peer.host.witness import Witness
from peer.ports import Clock, LogStore, Observer, Randomness, Shelves, Transport
from peer.store.memory import MemoryShelves
from peer.store.outside.keeping import Keeping
from peer.system import SystemRandomness
from peer.trust.badge import Badge
from protocol.action import Finish, Reply, Tell
from protocol.errors import WireInvalid
from protocol.event import Learned, LogStalled
from protocol.fact import Began, Fact, HostFact
from protocol.hosts.machine import Displaced
from protocol.ids import HOST, AgentId, HostId
from protocol.limits import CheckpointLimits, HostLimits, Limits
from protocol.message import Message
from protocol.wire import Envelope, Frame

logger = logging.getLogger("ebbtide")

NOTICES_MAX = 10_000
"""Audit lines kept in memory; all of them also go to the log of the process."""


class Host:
    """One network endpoint, one log file, any number of agents."""

    def __init__(
        self, badge: Badge, transport: Transport, store: LogStore, clock: Clock, *,
        seeds: Sequence[str] = (), limits: Limits | None = None, shelves: Shelves | None = None,
        randomness: Randomness | None = None, checkpoints: CheckpointLimits | None = None, founder: bool = False,
        host_limits: HostLimits | None = None, keeping: Keeping | None = None, observer: Observer | None = None,
        attempts: Attempts | None = None, resources: Resources | None = None,
    ) -> None:  # fmt: skip
        self.attempts, self.resources = attempts or Attempts(), lending(resources or Resources(), self.ask)
        self.keeping = keeping or Keeping.in_memory(badge.chain[0].by)
        self.host_id: HostId = badge.keys.host_id
        self.badge, badge.trust.now_us = badge, clock.now_us
        self.residents = Residents()
        self.stall = ""
        """Why nothing can be written for now."""
        self.notices: deque[Notice] = deque(maxlen=NOTICES_MAX)
        self.clock, self.store = clock, store
        self.shelves: Shelves = shelves or MemoryShelves()
        self.meter = Meter(self, observer)
        self.observer: Observer = (watchers := Watchers(self.meter, self.residents, clock))
        self.randomness = randomness or SystemRandomness()
        self.transport, self.limits = transport, limits or Limits()
        self.orders = Orders(self, badge)
        self.neighbours = Neighbours(self, badge, self.orders, seeds, host_limits)
        self._machine = self.neighbours.machine
        self.homes: Mapping[AgentId, HostId] = self._machine.homes
        self.strangers = Strangers(self.homes, self.residents.drivers)
        self.checkpoints = Checkpoints(self, self.residents, checkpoints, founder, self.observer)
        self._witness = Witness(self, badge.keys, self.orders)
        self._version, self._open = 0, False
        self.wire = Wire(self, badge.trust, self._read, clock.now_us())
        self.vouching = Vouching(badge, self.orders, self.homes, self.term, self.wire.versions.is_mixed)
        self._router = Router(self, self.residents, self.vouching)
        self.births = Births(self, self.residents)
        self._custody = Custody(self)
        self.departures = Departures(self, self.residents, self._custody)
        self.arrivals = Arrivals(self, self.residents, self._custody)
        answers = Answers(
            self.host_id, self.residents, self.checkpoints, self.notices, self.homes, self.costs, self.births,
            People(badge.trust, clock), self._custody, self.departures, self.arrivals,
        )  # fmt: skip
        rest = Rest(self.residents, self.births, self.departures, self.checkpoints.machine, clock.now_us())
        reception = Reception(self.residents, answers, watchers, rest, self.orders, self.meter, lambda: self._version)
        self._repeats, entitlement = Repeats(store), Entitlement(badge.trust)
        self.asking = Asking(
            self, self.residents, answers, reception, entitlement, self._repeats, self.randomness.seed()
        )

    @property
    def drivers(self) -> dict[AgentId, Driver]:
        """The agents that are up here."""
        return self.residents.drivers

    def agents_here(self) -> list[AgentId]:
        """Return the agents that are up here."""
        return list(self.residents.drivers)

    def breaks(self, agent: AgentId, why: str) -> None:
        """An agent does not start; whoever asks is told why."""
        self.residents.breaks(agent, why)

    # -- life ------------------------------------------------------------------------------------------------------

    async def open(self, agents: Sequence[AgentSpec] = (), *, is_lost: bool = False) -> None:
        """Bring up the endpoint and the agents, each from its log.

        Args:
            agents: who lives here.
            is_lost: the log of this host is gone: its agents can only come from its backups.

        Raises: LogCorrupt, if what this host has said as a host can't be read: it must not say anything else.
        """
        await self.transport.open(self._received)
        self._open = True
        self._version = self.clock.now_us()
        if is_lost:
            agents = without_log(self, agents)
        agents = expected(self, agents)
        self.residents.expect(agents)
        self.orders.open()
        self._repeats.open()
        self.announce()
        self.neighbours.open()
        specs = await startable(self, agents)
        if any(spec.lost for spec in specs):
            await self.catch_up()
        for spec in specs:
            if spec.name not in self.residents.coming:
                continue  # MB-8: it has moved on while this host was away
            if self._starts(spec):
                self.residents.coming.pop(spec.name, None)
        self.checkpoints.open()
        self.departures.resume()
        if self.store.head()[0]:
            self._witness.open()

    async def catch_up(self) -> None:
        """Hear what others know: before a lost agent begins an incarnation, say, that is to be newer than its own."""
        await heard(self._machine)

    def release(self, agent: AgentId) -> None:
        """Forget an agent that never came up here."""
        self.residents.release(agent)
        self.announce()

    async def add(self, spec: AgentSpec) -> None:
        """Bring up one more agent; one that can't start is broken: whoever asks is told why."""
        if self.residents.is_up(spec.name):
            raise errors.CallerError(f"agent {spec.name!r} is on this host already. Nothing changed.")
        if self._custody.moves.is_away(spec.name):
            return  # MB-9: it has moved, and comes up where it is
        self.residents.release(spec.name)
        self.come_up(spec)

    def come_up(self, spec: AgentSpec) -> None:
        """Bring up one more agent, and let others know; of one that can't start people are told."""
        self.residents.expect((spec,))
        if self._starts(spec):
            self.residents.coming.pop(spec.name, None)
        else:
            self.noticed(spec.name, Tell("agent-broken", spec.name, self.residents.broken[spec.name]))
        self.announce()
        if spec.name in self.drivers:
            self.observer.came(spec.name)

    def adopt(self, spec: AgentSpec) -> None:
        """Bring up an agent that lived on another host, which this one succeeds: it lives here from now on (MB-8)."""
        is_new = not self.residents.is_up(spec.name)
        if is_new:
            self.residents.release(spec.name)
            bring_up(self, spec)
        self.neighbours.claim(spec.name, self._machine.term(spec.name) + 1)
        self.announce()
        if is_new:
            self.observer.came(spec.name)

    def receive(self, spec: AgentSpec, term: int) -> None:
        """Bring up an agent that has come from another host, with its log: it lives here from now on (MB-9)."""
        self.residents.release(spec.name)
        self.neighbours.claim(spec.name, max(term, self.term(spec.name) + 1))
        self.come_up(spec)

    def term(self, agent: AgentId) -> int:
        """Return the term by which an agent is where it is; 0 if nobody has it."""
        return self._machine.term(agent)

    def _starts(self, spec: AgentSpec) -> bool:
        """Bring up an agent; one that can't start stops nobody else, and whoever asks is told why."""
        try:
            bring_up(self, spec)
        except (errors.LogCorrupt, WireInvalid) as error:
            self.breaks(spec.name, str(error))
        except errors.AgentBroken as error:
            self.residents.breaks(spec.name, str(error), errors.AgentBroken)
        return spec.name in self.drivers

    def crash(self, is_orderly: bool = False) -> None:
        """Stop dead, as a killed process does: nothing is written or sent any more; resources are dropped, or close."""
        self._open = False
        self.resources.end(is_orderly=is_orderly)
        self._router.close()
        self.asking.mail.close(is_orderly)
        for driver in self.drivers.values():
            driver.stop()
        self.neighbours.close()
        self.checkpoints.close()
        self._witness.close()
        self.births.close()
        self.departures.close()

    def failed(self, error: Exception) -> None:
        """The log can't be written: the agents stop, for what they do now could not be undone."""
        logger.critical("host %s stops its agents: %s", self.host_id, error)
        self.crash()

    def stalled(self, why: str) -> None:
        """The disk is full, or has room again (no `why`): agents begin no step meanwhile (ST-9)."""
        self.stall = why
        if why:
            logger.critical("host %s waits: %s", self.host_id, why)
        self.noticed(HOST, Tell("disk-full" if why else "disk-has-room", str(self.host_id), why))
        for driver in self.drivers.values():
            driver.feed(LogStalled(bool(why)))

    def leave(self) -> None:
        """Say goodbye to the other hosts, so that nobody takes this one for failed; `close` follows."""
        self.neighbours.leave(self.checkpoints.copies.backups())

    async def close(self) -> None:
        """Stop, and release the endpoint and the log."""
        self.crash(is_orderly=True)
        self.asking.close()
        await self.transport.close()
        self.store.close()
        await self.resources.close()

    def announce(self) -> None:
        """Let the other hosts know who is here."""
        self._version += 1
        kinds = self.residents.kinds()
        spaces = tuple((name, space) for name in sorted(kinds) for space in kinds[name].spaces)
        fact = HostFact(self.host_id, self._version, self.transport.address, tuple(sorted(kinds)), spaces)
        self.neighbours.announce(fact)
        self.strangers.look()

    # -- what drivers need -----------------------------------------------------------------------------------------

    def route(self, sender: AgentId, receiver: AgentId, message: Message) -> None:
        """Carry a message towards an agent, best effort."""
        self._router.route(sender, receiver, message)

    def spread(self, fact: Fact) -> None:
        """Let every host know a fact, and the other peers of this one."""
        self.neighbours.publish(fact)

    def subscribers(self, space: str) -> list[AgentId]:
        """Return who is known to take part in a space."""
        return list(self._machine.subscribers.get(space, ()))

    def agents_of(self, host: HostId) -> list[AgentId]:
        """Return the agents that live on a host, as far as is known."""
        return sorted(agent for agent, home in self._machine.homes.items() if home == host)

    def living(self) -> list[HostId]:
        """Return the other hosts that have agents, and answer."""
        living = dict.fromkeys(self._machine.living())
        return [fact.host for fact in self._machine.others() if fact.agents and fact.host in living]

    def speaks(self, host: HostId) -> int:
        """Return the newest wire version that another host and this one speak; 0 until the other has been heard."""
        return self.wire.versions.said(host)

    def known_hosts(self) -> list[HostFact]:
        """Return what is known of the other hosts: where each is, and who lives there."""
        return self._machine.others()

    def reply(self, action: Reply) -> None:
        """Answer a request that came from outside."""
        self.asking.reply(action)

    def finished(self, agent: AgentId, finish: Finish) -> None:
        """A proposal of an agent here is over."""
        self.asking.finished(agent, finish)

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """Keep a line for whoever audits."""
        self.observer.noticed(agent, notice)
        self.notices.append(Notice(self.clock.now_us(), agent, notice.notice, notice.subject, notice.detail))

    # -- what questions need ---------------------------------------------------------------------------------------

    def costs(self) -> Costs:
        """Return what this host has sent."""
        sent, counts = self._router, self.transport.counts
        return Costs(sent.rollbacks, sent.messages, counts.frames_sent, counts.bytes_sent, counts.refused)

    # -- asking ----------------------------------------------------------------------------------------------------

    async def ask(self, agent: AgentId, what: str, body: bytes = b"", timeout_s: float = 30.0) -> bytes:
        """Ask something of an agent's host, again and again until it answers; raises as `Asking.ask`."""
        return await self.asking.ask(agent, what, body, timeout_s)

    # -- the network -----------------------------------------------------------------------------------------------

    def _received(self, sender: HostId, body: bytes) -> None:
        if self._open:
            self.wire.received(sender, body)

    def is_known(self, host: HostId) -> bool:
        """Tell whether a host has proven that it belongs to the cluster."""
        return self._machine.knows(host)

    def stamp(self) -> tuple[int, int]:
        """Return this host's colour and era."""
        return self.checkpoints.stamp()

    def _read(self, sender: HostId, frame: Frame) -> None:
        self.neighbours.received(sender, frame)
        if not self._machine.knows(sender):
            # Whoever has not shown that it belongs here is nobody.
            if frame.envelopes or frame.asks or frame.answers:
                self.transport.counts.refused += 1
            return
        self.deliver(sender, self.checkpoints.received(sender, frame))
        if frame.heads and self.checkpoints.takes_part:
            self._witness.received(sender, frame.heads)
        self.asking.received(sender, frame)

    def deliver(self, sender: HostId, envelopes: tuple[Envelope, ...]) -> None:
        """Hand agents what those of another host say."""
        for envelope in envelopes:
            driver = self.drivers.get(envelope.receiver)
            if self._machine.homes.get(envelope.sender) != sender:
                # Nobody speaks for an agent but its own host; news of a move may be late, and the message comes again.
                self.transport.counts.refused += 1
            elif driver is not None and (why := self.vouching.why_not(envelope.sender, envelope.message)):
                self.vouching.refuse(sender, envelope.message, why)
            elif driver is not None:
                driver.received(envelope.sender, self.vouching.checked(sender, envelope.message))

    def connected(self, agents: tuple[AgentId, ...]) -> None:
        """A host has come, or come back, with these agents."""
        self.checkpoints.met()
        self.asking.met(names := frozenset(agents))
        for driver in self.drivers.values():
            driver.reached(names)
        self.strangers.look()

    def heard(self, fact: Began) -> None:
        """All agents here should know a fact."""
        for driver in list(self.drivers.values()):
            driver.feed(Learned(fact))

    def displaced(self, moved: list[Displaced]) -> None:
        """Agents live elsewhere by a higher term (MB-8): what they do here would contradict what they do there."""
        gone = False
        for agent, by in ((one.agent, one.by) for one in moved):
            if self.checkpoints.succeeds(by):
                # In its first moments this host can't know all claims; that of a dead one is no claim any more.
                self.neighbours.claim(agent, self._machine.term(agent) + 1)
                continue
            gone = True
            if not self._custody.moves.is_away(agent):
                self.noticed(agent, Tell("displaced", agent, f"lives on host {by} by a higher term"))
            self.residents.coming.pop(agent, None)
            driver = self.drivers.pop(agent, None)
            if driver is not None:
                driver.stop()
                self.asking.ended(agent)
                self.checkpoints.gone(agent)
        if gone:
            self.announce()

    def outdone(self, version: int) -> None:
        """An earlier life of this host has announced in a higher version (MB-2)."""
        self._version = version
        self.announce()

    def send_frame(self, host: HostId, frame: Frame) -> None:
        """Send a frame, with this host's colour and era as they are now."""
        self.wire.send(host, frame)
