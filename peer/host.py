"""One process's peers behind one endpoint: routes their messages, spreads facts, answers questions (MB-1, MB-2)."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from peer import asks, errors
from peer.asks import Answered, Costs, Notice
from peer.checkpoints import Checkpoints
from peer.driver import Driver
from peer.keeping import Keeping
from peer.keys import HostKeys
from peer.neighbours import Neighbours
from peer.portions import portions
from peer.ports import Clock, LogStore, Randomness, Transport
from peer.randomness import SystemRandomness
from peer.spec import AgentSpec
from protocol.action import Finish, Tell
from protocol.errors import WireInvalid
from protocol.event import Learned
from protocol.fact import Began, Fact, HostFact
from protocol.ids import AgentId, HostId, ProposalId
from protocol.limits import CheckpointLimits, HostLimits, Limits
from protocol.message import ROLLBACK, Message
from protocol.wire import Answer, Ask, Envelope, Frame, decode_frame, encode_frame, encode_message

logger = logging.getLogger("ebbtide")

NOTICES_MAX = 10_000
"""Audit lines kept in memory; all of them also go to the log of the process."""
ANSWERS_MAX = 4096
"""Answers remembered for whoever asks again because the first answer was lost."""
ASK_AGAIN_S = 0.5
CATCH_UP_S = 5.0
"""How long a host with a lost agent waits for others, whom it asks for what they know of it."""


class Host:
    """One network endpoint, one log file, any number of agents."""

    def __init__(
        self, keys: HostKeys, secret: bytes, transport: Transport, store: LogStore, clock: Clock, *,
        seeds: Sequence[str] = (), limits: Limits | None = None, folder: Path | None = None,
        randomness: Randomness | None = None, checkpoints: CheckpointLimits | None = None, founder: bool = False,
        host_limits: HostLimits | None = None, keeping: Keeping | None = None,
    ) -> None:  # fmt: skip
        self.keeping = keeping or Keeping.in_memory(secret)
        self.host_id: HostId = keys.host_id
        self.drivers: dict[AgentId, Driver] = {}
        self._coming: dict[AgentId, AgentSpec] = {}
        """Agents that are announced and not up yet, broken ones included: whoever asks is told here."""
        self.broken: dict[AgentId, str] = {}
        """Agents whose log can't be read, and why."""
        self.notices: deque[Notice] = deque(maxlen=NOTICES_MAX)
        self.clock = clock
        self.store = store
        self.randomness = randomness or SystemRandomness()
        self.transport = transport
        self._limits = limits or Limits()
        self.neighbours = Neighbours(self, secret, seeds, host_limits)
        self._machine = self.neighbours.machine
        self.checkpoints = Checkpoints(self, checkpoints, founder)
        self._version = 0
        self._open = False
        self._inner: deque[tuple[AgentId, AgentId, Message]] = deque()
        self._out: dict[HostId, list[Envelope]] = {}
        self._out_first: dict[HostId, list[Envelope]] = {}
        self._flushing = False
        self._requests = 0
        self._waiting: dict[int, Answered] = {}
        self._asking: dict[int, asyncio.Future[Answer]] = {}
        self._answered: dict[tuple[HostId, int], Answer | None] = {}
        self._finishing: dict[tuple[AgentId, ProposalId], list[Answered]] = {}
        self._rollbacks: dict[ProposalId, tuple[int, int]] = {}
        self._messages: dict[str, int] = {}
        self._ask_number = (self.randomness.seed() >> 24) << 20

    # -- life ------------------------------------------------------------------------------------------------------

    async def open(self, agents: Sequence[AgentSpec] = ()) -> None:
        """Bring up the endpoint and the agents, each from its log."""
        await self.transport.open(self._received)
        self._open = True
        self._version = self.clock.now_us()
        self._coming = {spec.name: spec for spec in agents}
        self._announce()
        self.neighbours.open()
        if any(spec.lost for spec in agents):
            await self._catch_up()
        for spec in agents:
            if spec.name not in self._coming:
                continue  # MB-8: it has moved on while this host was away
            try:
                self._start(spec)
                self._coming.pop(spec.name, None)
            except (errors.LogCorrupt, WireInvalid) as error:
                # A log that can't be read stops its own agent; the others go on, and whoever asks is told.
                logger.critical("%s does not start: %s", spec.name, error)
                self.drivers.pop(spec.name, None)
                self.broken[spec.name] = str(error)
        self.checkpoints.open()

    async def _catch_up(self) -> None:
        """Hear what others know before a lost agent begins an incarnation: it must be newer than any of its own."""
        until = asyncio.get_running_loop().time() + CATCH_UP_S
        while not self._machine.others() and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(CATCH_UP_S / 100)
        await asyncio.sleep(CATCH_UP_S / 10)

    async def add(self, spec: AgentSpec) -> None:
        """Bring up one more agent."""
        if spec.name in self.drivers:
            raise errors.CallerError(f"agent {spec.name!r} is on this host already. Nothing changed.")
        self._start(spec)
        self._announce()

    def adopt(self, spec: AgentSpec) -> None:
        """Bring up an agent that lived on another host, which this one succeeds: it lives here from now on (MB-8)."""
        if spec.name not in self.drivers:
            self._start(spec)
        self.neighbours.claim(spec.name, self._machine.term(spec.name) + 1)
        self._announce()

    def _start(self, spec: AgentSpec) -> None:
        agent = spec.kind(**spec.options)
        agent.name = spec.name
        limits = msgspec.structs.replace(self._limits, failures_max=spec.kind.tries)
        driver = Driver(self, agent, limits)
        driver.options = spec.options
        begun = [fact for fact in self._machine.gossip.facts() if isinstance(fact, Began)]
        known = (fact.incarnation for fact in begun if fact.agent == spec.name)
        self.drivers[spec.name] = driver
        self.checkpoints.copies.begin(spec.name, self.store.length(spec.name))
        driver.start(spec.lost, max(known, default=1))
        for fact in begun:
            driver.feed(Learned(fact))
        self.checkpoints.joined(driver)

    def crash(self) -> None:
        """Stop dead, as a killed process does: nothing is written or sent any more."""
        self._open = False
        for driver in self.drivers.values():
            driver.stop()
        self.neighbours.close()
        self.checkpoints.close()

    def failed(self, error: Exception) -> None:
        """The log can't be written: the agents stop, for what they do now could not be undone."""
        logger.critical("host %s stops its agents: %s", self.host_id, error)
        self.crash()

    def leave(self) -> None:
        """Say goodbye to the other hosts, so that nobody takes this one for failed; `close` follows."""
        self.neighbours.leave()

    async def close(self) -> None:
        """Stop, and release the endpoint and the log."""
        self.crash()
        await self.transport.close()
        self.store.close()

    def _announce(self) -> None:
        self._version += 1
        kinds = {name: type(driver.agent) for name, driver in self.drivers.items()}
        kinds.update((spec.name, spec.kind) for spec in self._coming.values())
        spaces = tuple((name, space) for name in sorted(kinds) for space in kinds[name].spaces)
        self.neighbours.announce(
            HostFact(self.host_id, self._version, self.transport.address, tuple(sorted(kinds)), spaces)
        )

    # -- what drivers need -----------------------------------------------------------------------------------------

    def route(self, sender: AgentId, receiver: AgentId, message: Message) -> None:
        """Carry a message towards an agent; one whose home is not known yet is dropped, and sent again later."""
        kind = type(message).__name__
        self._messages[kind] = self._messages.get(kind, 0) + 1
        urgent = isinstance(message, ROLLBACK)
        if urgent:
            pid = message.proposal if isinstance(message.proposal, str) else message.proposal.id
            count, size = self._rollbacks.get(pid, (0, 0))
            self._rollbacks[pid] = (count + 1, size + len(encode_message(message)))
        if receiver in self.drivers:
            if urgent:
                self._inner.appendleft((sender, receiver, message))
            else:
                self._inner.append((sender, receiver, message))
        else:
            home = self._machine.homes.get(receiver)
            if home is None:
                return
            # RB-6: votes overtake data.
            queues = self._out_first if urgent else self._out
            queues.setdefault(home, []).append(Envelope(sender, receiver, message))
        self._flush_soon()

    def spread(self, fact: Fact) -> None:
        """Let every host know a fact, and the other peers of this one."""
        self.neighbours.publish(fact)

    def subscribers(self, space: str) -> list[AgentId]:
        """Return who is known to take part in a space."""
        return list(self._machine.subscribers.get(space, ()))

    def known_hosts(self) -> list[HostFact]:
        """Return what is known of the other hosts: where each is, and who lives there."""
        return self._machine.others()

    def reply(self, request: int, value: str, error: str) -> None:
        """Answer a request that came from outside."""
        answered = self._waiting.pop(request, None)
        if answered is not None:
            answered(value.encode() if not error else error.encode(), "CallerError" if error else "")

    def finished(self, agent: AgentId, finish: Finish) -> None:
        """A proposal of an agent here is over."""
        for answered in self._finishing.pop((agent, finish.outcome.proposal), ()):
            answered(asks.encode(finish.outcome), "")

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """Keep a line for whoever audits."""
        logger.info("%s: %s %s %s", agent, notice.notice, notice.subject, notice.detail)
        self.notices.append(Notice(self.clock.now_us(), agent, notice.notice, notice.subject, notice.detail))

    # -- what questions need ---------------------------------------------------------------------------------------

    def later(self, answered: Answered) -> int:
        """Return the number under which a machine will reply."""
        self._requests += 1
        self._waiting[self._requests] = answered
        return self._requests

    def when_finished(self, agent: AgentId, pid: ProposalId, answered: Answered) -> None:
        """Answer when a proposal is over, or now if it is."""
        proposer = self.drivers[agent].machine.proposer
        if pid in proposer.outcomes:
            answered(asks.encode(proposer.outcomes[pid]), "")
        elif any(open_pid == pid for open_pid, _ in proposer.open()):
            self._finishing.setdefault((agent, pid), []).append(answered)
        else:
            raise errors.CallerError(f"{agent} has made no proposal {pid!r}. Nothing changed.")

    def costs(self) -> Costs:
        """Return what this host has sent."""
        counts = self.transport.counts
        return Costs(self._rollbacks, self._messages, counts.frames_sent, counts.bytes_sent, counts.refused)

    # -- asking ----------------------------------------------------------------------------------------------------

    async def ask(self, agent: AgentId, what: str, body: bytes = b"", timeout_s: float = 30.0) -> bytes:
        """Ask something of an agent's host, again and again until it answers.

        Raises: AgentUnknown, if nobody is known to host the agent when the time is over; RollbackTimeout, if its host
            does not answer; CallerError and others, as the host says.
        """
        self._ask_number += 1
        question = Ask(self._ask_number, agent, what, body)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asking[question.number] = future
        until = asyncio.get_running_loop().time() + timeout_s
        try:
            while asyncio.get_running_loop().time() < until:
                home = self._machine.homes.get(agent)
                if agent in self.drivers:
                    self._asked(self.host_id, question)
                elif home is not None:
                    self.send_frame(home, Frame(asks=(question,)))
                again_s = ASK_AGAIN_S if home is not None or agent in self.drivers else 0.05
                wait_s = min(max(0.0, until - asyncio.get_running_loop().time()), again_s)
                done, _ = await asyncio.wait((future,), timeout=wait_s)
                if done:
                    return asks.unwrap(future.result())
        finally:
            del self._asking[question.number]
        if self._machine.homes.get(agent) is None:
            raise errors.AgentUnknown(f"no host of an agent {agent!r} has been heard of within {timeout_s:g} s")
        raise errors.AskTimeout(f"the host of {agent} did not answer {what!r} within {timeout_s:g} s; it may be down")

    def _asked(self, sender: HostId, question: Ask) -> None:
        name = (sender, question.number)
        if name in self._answered:
            given = self._answered[name]
            if given is not None:
                self._give(sender, given)
            return
        if question.agent in self._coming and question.agent not in self.broken:
            return  # it is asked again, and the agent will be here soon
        self._answered[name] = None
        while len(self._answered) > ANSWERS_MAX:
            del self._answered[next(iter(self._answered))]

        def answered(body: bytes, error: str) -> None:
            given = Answer(question.number, body, error)
            self._answered[name] = given
            self._give(sender, given)

        try:
            asks.answer(self, question.agent, question.what, question.body, answered)
        except errors.EbbtideError as error:
            answered(str(error).encode(), type(error).__name__)

    def _give(self, host: HostId, given: Answer) -> None:
        if host != self.host_id:
            self.send_frame(host, Frame(answers=(given,)))
            return
        future = self._asking.get(given.number)
        if future is not None and not future.done():
            future.set_result(given)

    # -- the network -----------------------------------------------------------------------------------------------

    def _received(self, sender: HostId, body: bytes) -> None:
        if not self._open:
            return
        try:
            frame = decode_frame(body)
        except WireInvalid as error:
            self.transport.counts.refused += 1
            logger.warning("refused a frame of %s: %s", sender, error)
            return
        self.neighbours.received(sender, frame)
        if not self._machine.knows(sender):
            # Whoever was not given the cluster's secret is nobody here.
            if frame.envelopes or frame.asks or frame.answers:
                self.transport.counts.refused += 1
            return
        self.deliver(sender, self.checkpoints.received(sender, frame))
        for question in frame.asks:
            self._asked(sender, question)
        for given in frame.answers:
            self._give(self.host_id, given)

    def deliver(self, sender: HostId, envelopes: tuple[Envelope, ...]) -> None:
        """Hand agents what those of another host say."""
        for envelope in envelopes:
            driver = self.drivers.get(envelope.receiver)
            if self._machine.homes.get(envelope.sender) != sender:
                # Nobody speaks for an agent but its own host; news of a move may be late, and the message comes again.
                self.transport.counts.refused += 1
            elif driver is not None:
                driver.received(envelope.sender, envelope.message)

    def connected(self, agents: tuple[AgentId, ...]) -> None:
        """A host has come, or come back, with these agents."""
        self.checkpoints.met()
        names = frozenset(agents)
        for driver in self.drivers.values():
            driver.reached(names)

    def heard(self, fact: Began) -> None:
        """All agents here should know a fact."""
        for driver in list(self.drivers.values()):
            driver.feed(Learned(fact))

    def displaced(self, agents: list[AgentId]) -> None:
        """Agents live elsewhere now (MB-8): what they do here would contradict what they do there."""
        for agent in agents:
            self._coming.pop(agent, None)
            driver = self.drivers.pop(agent, None)
            if driver is not None:
                driver.stop()
        self._announce()

    def outdone(self, version: int) -> None:
        """An earlier life of this host has announced in a higher version (MB-2)."""
        self._version = version
        self._announce()

    def send_frame(self, host: HostId, frame: Frame) -> None:
        """Send a frame, with this host's colour and era as they are now."""
        epoch, era = self.checkpoints.stamp()
        self.transport.send(host, encode_frame(msgspec.structs.replace(frame, epoch=epoch, era=era)))

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Send what one turn of the loop has made: one frame, one signature for each host."""
        self._flushing = False
        if not self._open:
            return
        for host in list({**self._out_first, **self._out}):
            envelopes = [*self._out_first.pop(host, ()), *self._out.pop(host, ())]
            for some in portions(envelopes):
                self.send_frame(host, Frame(envelopes=some))
        for _ in range(len(self._inner)):
            sender, receiver, message = self._inner.popleft()
            driver = self.drivers.get(receiver)
            if driver is not None:
                driver.received(sender, message)
