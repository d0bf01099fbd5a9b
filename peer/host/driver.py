"""Feeds one peer's machine and carries out what it says: the same in a Ray actor and in a plain process."""

import logging
from collections.abc import Callable, Container
from functools import partial
from itertools import islice
from threading import RLock
from typing import Any, Protocol

from peer.agents.agent import Agent
from peer.agents.attempts import Attempts
from peer.agents.consent import Consent
from peer.agents.earlier import Earlier
from peer.agents.failures import told, traced
from peer.agents.hooks import Hooks
from peer.agents.licence import Licence
from peer.agents.making import Origin
from peer.agents.oversight import Oversight
from peer.agents.past import check_past
from peer.agents.resources import Resources
from peer.agents.runner import Runner
from peer.agents.state import State
from peer.agents.unstarted import kind_of
from peer.host.attendance import Attendance, Nursery
from peer.host.barrier import Barrier
from peer.host.checkpointer import Checkpointer
from peer.host.endings import Endings
from peer.host.replicas import Replicas
from peer.host.strangers import Strangers
from peer.host.ticks import Ticks
from peer.host.vouching import Vouching
from peer.ports import Cancel, Clock, LogStore, Observer, Randomness, Shelves
from peer.store.outside.keeping import Keeping
from peer.values.codec import Values
from protocol.action import (
    Accuse,
    Action,
    Admit,
    Append,
    Consult,
    CutOff,
    CutReady,
    Finish,
    Publish,
    Reply,
    Resume,
    RunStep,
    Seek,
    Send,
    Share,
    Tell,
    UseTool,
    Withdraw,
)
from protocol.agent.machine import PeerMachine
from protocol.errors import WireInvalid
from protocol.event import (
    Appended,
    Elapsed,
    Event,
    LogStalled,
    Merged,
    Reached,
    Received,
    Recovered,
    SubscriberSeen,
)
from protocol.fact import Fact
from protocol.ids import AgentId, ProposalId, StepId
from protocol.limits import Limits
from protocol.message import Message, Shared, Sync
from protocol.wire import decode_record, encode_record

logger = logging.getLogger("ebbtide")

SYNC_US = 200_000
SYNC_US_MAX = 5_000_000
"""How often an agent asks the others of its spaces for what it lacks: doubles from the first to the second."""
HURRY_US = 20_000
"""How soon it asks when somebody has come: a little later, since they seldom come alone."""


class Surroundings(Protocol):
    """What a driver needs of its host."""

    clock: Clock
    store: LogStore
    randomness: Randomness
    shelves: Shelves
    keeping: Keeping
    observer: Observer
    strangers: Strangers
    vouching: Vouching
    attempts: Attempts
    resources: Resources

    @property
    def checkpoints(self) -> Checkpointer:
        """The host's checkpoints and copies."""
        ...

    def route(self, sender: AgentId, receiver: AgentId, message: Message) -> None:
        """Carry a message towards an agent, best effort."""
        ...

    def spread(self, fact: Fact) -> None:
        """Let every host know a fact."""
        ...

    def subscribers(self, space: str) -> list[AgentId]:
        """Return who is known to take part in a space."""
        ...

    def reply(self, action: Reply) -> None:
        """Answer a request from outside."""
        ...

    def finished(self, agent: AgentId, finish: Finish) -> None:
        """A proposal of one of the host's agents is over."""
        ...

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """Something for the audit log."""
        ...


class Driver:
    """One agent: its machine, its code, its documents."""

    def __init__(self, host: Surroundings, agent: Agent, limits: Limits, origin: Origin, nursery: Nursery) -> None:
        self._host, self._nursery, self.origin = host, nursery, origin
        self.agent = agent
        knows, tell = partial(host.strangers.knows, agent.name), partial(host.noticed, agent.name)
        self.machine = PeerMachine(agent.name, limits, knows, host.shelves.of(agent.name))
        self.values = Values(type(agent).state_schema, host.keeping, host.randomness.seed)
        self._lock = RLock()
        """Plain handlers read in threads what the machine changes here."""
        agent.state = State(self.values, self._check_past)
        versions, vault = self.machine.core.versions, host.keeping.vault
        self.hooks = Hooks(agent, host.attempts, tell)
        rules = () if host.resources.rehearsal else agent.overseers
        self.oversight = Oversight(agent.name, rules, host.clock, tell, self._is_undecided)
        self.consent = Consent(
            agent, self.machine.core, self.values, self._lock, host.clock, vault, host.attempts, host.resources,
            self.feed, tell, self.oversight,
        )  # fmt: skip
        self.attendance = Attendance(self.machine, origin, host.clock, self.feed, tell, nursery)
        self.licence = Licence(agent.name, kind_of(agent), self.machine, tell)
        self.runner = Runner(
            agent, versions, self.feed, vault, tell, self._lock, host.attempts, self.hooks, origin, host.resources,
            Earlier(agent, self.machine, self._lock), self.licence,
        )  # fmt: skip
        self.replicas = Replicas(agent.name, host.randomness.seed)
        self.barrier = Barrier(agent.name, host, self.replicas, self.machine.core, self.runner, tell)
        self._ticks = Ticks(agent.everies, self.machine, host.clock, self.feed, self.attendance.is_there)
        self._endings = Endings(self.machine, host.clock, self.feed)
        self._serves: dict[str, dict[AgentId, None]] = {}
        self._cancel: Cancel | None = None
        self._armed_us: int | None = None
        self._sync_wait_us = SYNC_US
        self._cancel_sync: Cancel | None = None
        self._alive = True
        self._appending: dict[int, bool] = {}
        """Tickets in order, and whether each may be told of."""
        self.options: dict[str, Any] = {}
        """What the agent's class was given."""
        self.activity = 0
        self._undone: int | None = None
        """Of how many of its steps the agent knows that they are undone; None while its log is read."""

    def start(self, lost: bool, incarnation: int, unheard: int = 0) -> None:
        """Read the log and go on from there.

        Raises: LogCorrupt, WireInvalid.
        """
        records = tuple(decode_record(data) for data in self._host.store.read(self.agent.name))
        self.hooks.began(is_first=not records)
        self.feed(Recovered(records, lost, incarnation, unheard))
        self._undone = self.machine.core.undone
        self.licence.look()
        core = self.machine.core
        self.replicas.write(core.shared_entries())
        self._serves = {space: dict.fromkeys(names) for space, names in core.subscribers.items()}
        self.attendance.open(self._ticks.hurry)
        self._sync()
        self._ticks.start()
        self._endings.look()

    def rest(self, then: Callable[[], None]) -> None:
        """Begin no step any more; go on once what runs has ended and is durable."""
        self.feed(LogStalled(True))
        self.runner.when_idle(lambda: self.machine.core.when_durable(then))

    def under_way(self) -> list[str]:
        """Name what is not finished: of the agent, and of those that it wants made."""
        return [*self.machine.under_way(), *self._nursery.under_way(self.agent.name)]

    def stop(self) -> None:
        """Drop everything that is not in the log."""
        self._alive = False
        for part in (self.runner, self.hooks, self.consent, self._ticks, self._endings):
            part.stop()
        self._host.shelves.end(self.agent.name)
        for cancel in (self._cancel, self._cancel_sync):
            if cancel is not None:
                cancel()

    def feed(self, event: Event) -> None:
        """Handle an event, and before it what an agent that sleeps is told (CP-13)."""
        if self._alive:
            for missed in self._host.checkpoints.before(self.agent.name, event):
                self._handle(missed)
            self._handle(event)

    def _handle(self, event: Event) -> None:
        """Handle an event, carry out the actions in order, arm the deadline."""
        if not self._alive:
            return
        self.activity += 1
        try:
            with self._lock:
                actions = self.machine.handle(event, self._host.clock.now_us())
        except Exception as error:  # noqa: BLE001  # our own mistake stops this agent only; its log is whole
            self._break(event, error)
            return
        self._host.observer.handled(self.agent.name, event, actions)
        self._tell_of_undone()
        for action in actions:
            try:
                self._do(action)
            except WireInvalid as error:
                # It would not come back from a log that holds this: nothing of it is written, nor what follows.
                self._break(event, error)
                return
        self._arm()
        self.attendance.look()

    def _tell_of_undone(self) -> None:
        undone = self.machine.core.undone
        if self._undone is not None and undone > self._undone:
            self.hooks.undone(tuple(islice(reversed(self.machine.core.retracted_by), undone - self._undone))[::-1])
            self._undone = undone

    def _break(self, event: Event, error: Exception) -> None:
        text = told(error)
        logger.critical("%s stops: %s on %s\n%s", self.agent.name, text, type(event).__name__, traced(error))
        self._host.noticed(self.agent.name, Tell("agent-stopped", self.agent.name, text))
        self.stop()

    def _is_undecided(self, proposal: ProposalId) -> bool:
        return proposal in self.machine.rollback.undecided()

    def _check_past(self, step: StepId) -> None:
        with self._lock:
            check_past(self.machine.core, step)

    def reached(self, agents: Container[AgentId]) -> None:
        """These agents are at an address: send what waits for them. Who has nothing for them is not disturbed."""
        self.hurry_sync()
        for agent in self.machine.core.outbox.owed(agents):
            self.feed(Reached(agent))

    def received(self, sender: AgentId, message: Message) -> None:
        """Take a message from the transport; those of spaces are merged first."""
        if not self._alive:
            return  # what was held back would be looked at for ever
        if isinstance(message, Shared):
            entries, gap = self.replicas.merge(sender, message)
            if gap:
                self._host.route(self.agent.name, sender, self.replicas.vector(message.space))
            if entries:
                self.feed(Merged(tuple(entries)))
            self.barrier.came(sender, message)
        elif not isinstance(message, Sync):
            self.feed(Received(sender, message))
        elif not self.barrier.holds(message, lambda: self.received(sender, message)):
            self.replicas.asked(sender, message)
            if sender in self._serves.get(message.space, ()):
                self._serve(message.space, sender)
            else:
                self.feed(SubscriberSeen(message.space, sender))

    def _arm(self) -> None:
        deadline = self.machine.deadline_us
        if deadline is None or (self._armed_us is not None and self._armed_us <= deadline):
            # Nearly every message is acknowledged in time: a timer that is early looks again, and costs less than two.
            return
        if self._cancel is not None:
            self._cancel()
        self._armed_us = deadline
        self._cancel = self._host.clock.wake(deadline, self._elapsed)

    def _elapsed(self) -> None:
        self._armed_us, self._cancel = None, None
        deadline = self.machine.deadline_us
        if deadline is not None and deadline <= self._host.clock.now_us():
            self.feed(Elapsed())
        else:
            self._arm()

    def _do(self, action: Action) -> None:
        name = self.agent.name
        match action:
            case Send():
                self._leaves(lambda: self._host.route(name, action.receiver, action.message))
            case Append():
                records = [encode_record(record) for record in action.records]
                ticket = action.ticket
                self._appending[ticket] = False
                self._host.store.append(name, records, lambda: self._written(ticket, records, action), action.anchor)
            case RunStep():
                self.runner.start(action)
            case CutOff():
                self.runner.cut_off(action)
            case Resume():
                self.runner.resume(action)
            case UseTool():
                self._leaves(lambda: self.runner.use(action))
            case Consult():
                self.consent.ask(action)
            case Share():
                for update in self.replicas.write(action.entries):
                    for subscriber in self._serves.get(update.space, ()):
                        self._leaves(partial(self._host.route, name, subscriber, update))
            case Admit():
                self._serves.setdefault(action.space, {})[action.subscriber] = None
                self._serve(action.space, action.subscriber)
            case Withdraw():
                self.replicas.withdraw(action.steps)
            case Publish():
                self._host.spread(action.fact)
            case CutReady():
                self._host.checkpoints.cut_ready(name, action)
            case Reply():
                self._leaves(lambda: self._host.reply(action))
            case Finish():
                self._leaves(lambda: self._finished(action))
            case Tell():
                self._host.noticed(name, self._host.strangers.advised(action))
            case Accuse():
                self._host.vouching.accused(action)
            case Seek():
                self._leaves(partial(self._nursery.sought, name, action.name))

    def _leaves(self, leave: Callable[[], None]) -> None:
        self._host.checkpoints.when_recovered(lambda: leave() if self._alive else None)

    def _finished(self, action: Finish) -> None:
        self._host.finished(self.agent.name, action)
        self._endings.ended(action.outcome)

    def _written(self, ticket: int, records: list[bytes], action: Append) -> None:
        """Records are durable here; facts, or all, count once they are with the backups too, and what follows waits."""
        checkpoints = self._host.checkpoints
        checkpoints.wrote(self.agent.name, records, action.anchor)
        if action.is_fact or checkpoints.is_replicated:
            checkpoints.place(self.agent.name, lambda: self._placed(ticket))
        else:
            self._placed(ticket)

    def _placed(self, ticket: int) -> None:
        self._appending[ticket] = True
        while self._appending:
            first = next(iter(self._appending))
            if not self._appending[first]:
                return
            del self._appending[first]
            self.feed(Appended(first))

    def _serve(self, space: str, subscriber: AgentId) -> None:
        def answer() -> None:
            update = self.replicas.answer(subscriber, space)
            if update is not None:
                self._host.route(self.agent.name, subscriber, update)

        # Of the entries of earlier lives, too, some may be nowhere but here until then.
        self._leaves(answer)

    def _sync(self) -> None:
        """Ask the other members of this agent's spaces for what it lacks: repairs whatever was lost on the way."""
        for space in self.agent.spaces:
            vector = self.replicas.vector(space)
            for author in self._host.subscribers(space):
                if author != self.agent.name:
                    self._host.route(self.agent.name, author, vector)
        self._sync_wait_us = min(2 * self._sync_wait_us, SYNC_US_MAX)
        if self.agent.spaces:
            at_us = self._host.clock.now_us() + self._sync_wait_us
            self._cancel_sync = self._host.clock.wake(at_us, self._sync)

    def hurry_sync(self) -> None:
        """Somebody may be new in a space: ask them soon."""
        if self._alive and self.agent.spaces:
            if self._cancel_sync is not None:
                self._cancel_sync()
            self._sync_wait_us = SYNC_US // 2
            self._cancel_sync = self._host.clock.wake(self._host.clock.now_us() + HURRY_US, self._sync)
