"""What one peer's parts share: its log, its retractions, and the actions of the event at hand.

The parts do not know each other; the modules that join them (`stepping`, `rollback`, `effects`, `loss`) do, through
this.
"""

from collections.abc import Callable, Sequence
from heapq import heapify

from msgspec.structs import replace

from protocol.action import Action, Append, Send, Tell, Withdraw
from protocol.agent.cone import Cone
from protocol.agent.inbox import Inbox
from protocol.agent.intents import Intents
from protocol.agent.outbox import Outbox
from protocol.agent.quarantine import Quarantine
from protocol.agent.versions import Versions
from protocol.clock import Clock, names_lost
from protocol.hlc import HybridTime
from protocol.ids import AgentId, Lineage, StepId
from protocol.limits import Limits
from protocol.message import Ack, Message, Void
from protocol.proposal import Proposal, Restore
from protocol.records import AckedRecord, Cut, Record
from protocol.retraction import Retraction
from protocol.step import Consumer, Entry, Input, StepRecord, VoidOut, entries_of

Then = Callable[[], None]


class Core:
    """The parts of one peer."""

    def __init__(self, agent: AgentId, limits: Limits) -> None:
        self.agent = agent
        self.limits = limits
        self.incarnation = 1
        self.seq = 0
        self.now_us = 0
        self.retraction = Retraction()
        self.inbox = Inbox()
        self.outbox = Outbox(limits)
        self.versions = Versions(self.retraction)
        self.cone = Cone()
        self.quarantine = Quarantine()
        self.intents = Intents()
        self.time = HybridTime()
        self.deferred: list[Input] = []
        """Inputs that wait for the decision of a proposal."""
        self.failed: list[tuple[int, int, Input]] = []
        """Inputs whose handler failed, by when they are tried again, and by place: a heap."""
        self.subscribers: dict[str, list[AgentId]] = {}
        """By space, who is sent this agent's entries."""
        self.own_entries: dict[StepId, tuple[Entry, ...]] = {}
        """This agent's shared entries, by the step that wrote them."""
        self.runs_of: dict[Lineage, list[StepId]] = {}
        """The own steps that handled a lineage, oldest first."""
        self.attempts: dict[Lineage, int] = {}
        self.epoch = 0
        """The colour: how many cuts this agent's host has made (CP-1)."""
        self.committed = 0
        """The newest epoch that is known to be committed, and in whose view the host is."""
        self.horizon = 0
        """Steps of epochs before this one are final: folded and forgotten (CP-6)."""
        self.restores: list[Restore] = []
        """Every restore carried out, by number from 1; their count is the era (CP-7)."""
        self.restored_us: list[int] = []
        """When each of them was."""
        self.cuts: list[Cut] = []
        """The cuts made here, but for those that the horizon has passed: for people to look at."""
        self.is_outside = True
        """The host is in no committed view yet: no epoch settles anything here (CP-3)."""
        self.is_paused = False
        """A restore is being voted on: no step begins."""
        self.is_stalled = False
        """The log can't be written for now: no step begins (ST-9)."""
        self.dead: list[tuple[Input, str]] = []
        self.retracted_by: dict[StepId, str] = {}
        self.undone = 0
        """How many own steps have ever been retracted."""
        self.lost_lives: dict[tuple[AgentId, int], int] = {}
        """By agent and incarnation, the first lost step."""
        self.beginnings: dict[AgentId, int] = {}
        """The newest incarnation whose beginning is known, if it is not the first."""
        self.actions: list[Action] = []
        self._tickets = 0
        self._pending: dict[int, list[Then]] = {}
        self._acks: list[tuple[AgentId, int, int, Consumer]] = []
        self.replaying = False
        self._line: dict[Lineage, Input] = {}
        """While a log is read again: what is in line so far."""

    # -- actions ---------------------------------------------------------------------------------------------------

    def append(
        self, records: Sequence[Record], then: Then | None = None, *, anchor: bool = False, is_fact: bool = False
    ) -> None:
        """Make records durable, then go on; acknowledgments ride along, since losing them is harmless.

        Args:
            records: in order.
            then: called once they are durable.
            anchor: they stand for everything before them (CP-6).
            is_fact: they are with the host's buddies, with everything before them, before anything follows (CP-8).
        """
        if self._acks and not anchor:
            # They came before what is being written, and may be undone by it (a loss): so they stand before it.
            records = (AckedRecord(tuple(self._acks)), *records)
            self._acks = []
        self._tickets += 1
        self._pending[self._tickets] = [] if then is None else [then]
        self.actions.append(Append(self._tickets, tuple(records), anchor, is_fact))

    def appended(self, ticket: int) -> None:
        """Go on with what waited for a ticket; one of an earlier life is ignored."""
        for then in self._pending.pop(ticket, ()):
            then()

    def when_durable(self, then: Then) -> None:
        """Go on once everything that was written so far is durable."""
        if self._pending:
            self._pending[self._tickets].append(then)
        else:
            then()

    def is_flushed(self) -> bool:
        """Tell whether every record is durable."""
        return not self._pending

    def note_ack(self, receiver: AgentId, incarnation: int, number: int, consumer: Consumer) -> None:
        """Remember an acknowledgment until the next record."""
        self._acks.append((receiver, incarnation, number, consumer))

    def send(self, receiver: AgentId, message: Message) -> None:
        """Say something to a peer."""
        self.actions.append(Send(receiver, message))

    def tell(self, notice: str, subject: object, detail: str = "") -> None:
        """Say something to whoever audits; nothing is said while a log is read again."""
        if not self.replaying:
            self.actions.append(Tell(notice, str(subject), detail))

    def flush(self, receivers: Sequence[AgentId] | None = None) -> None:
        """Send what may leave."""
        for receiver, message in self.outbox.send_due(self.now_us, receivers):
            self.actions.append(Send(receiver, message))

    # -- steps -----------------------------------------------------------------------------------------------------

    def note_step(self, record: StepRecord) -> None:
        """Take a step into every index."""
        self.cone.add(record)
        self.versions.write(record.step, record.writes, record.epoch)
        self.runs_of.setdefault(record.input.lineage, []).append(record.step)
        if record.entries:
            self.own_entries[record.step] = entries_of(record)

    def note_undone(self, step: StepId, why: str) -> None:
        """An own step has been retracted: its versions are hidden."""
        self.retracted_by[step] = why
        self.undone += 1
        self.versions.touch(self.cone.record(step).writes)

    def forget_step(self, record: StepRecord) -> None:
        """An own step is final, and nobody will ask for it any more (CP-6); its surviving entries stay."""
        step, lineage = record.step, record.input.lineage
        self.cone.drop(step)
        # What it wrote is the next base's to hold.
        self.versions.touch(record.writes)
        runs = [run for run in self.runs_of[lineage] if run != step]
        if runs:
            self.runs_of[lineage] = runs
        else:
            del self.runs_of[lineage]
            self.attempts.pop(lineage, None)
        self.retracted_by.pop(step, None)
        if step in self.retraction:
            self.own_entries.pop(step, None)

    def live_run(self, lineage: Lineage) -> StepId | None:
        """Return the surviving step that handled a lineage, or None."""
        for step in reversed(self.runs_of.get(lineage, ())):
            if step not in self.retraction:
                return step
        return None

    def withdraw(self, steps: Sequence[StepId]) -> None:
        """Undone steps' shared entries go out of this agent's documents (SH-3): those who have them know already."""
        written = tuple(step for step in steps if step in self.own_entries)
        if written and not self.replaying:
            self.actions.append(Withdraw(written))

    def shared_entries(self) -> list[Entry]:
        """Return this agent's own surviving entries, in order: what its documents hold when it comes back."""
        return [entry for step, entries in self.own_entries.items() if step not in self.retraction for entry in entries]

    def counts_as_gone(self, writer: StepId) -> bool:
        """Tell whether a tolerance has to count a writer: undone, or frozen by a proposal that may undo it (RB-11)."""
        return writer in self.retraction or self.quarantine.freezes(writer)

    # -- voids -----------------------------------------------------------------------------------------------------

    def void(self, receiver: AgentId, lineage: Lineage, ordered: bool) -> VoidOut:
        """Number word for `receiver` that a lineage will not come again."""
        number = self.outbox.number(receiver)
        return VoidOut(receiver, self.incarnation, number, lineage, ordered)

    def post_voids(self, voids: Sequence[VoidOut]) -> None:
        """Put voids of a record that is being written (or read again) into the outbox."""
        for out in voids:
            if out.incarnation == self.incarnation:
                self.outbox.see_number(out.receiver, out.number)
            message = Void(out.incarnation, out.number, out.lineage, out.ordered)
            self.outbox.add(out.receiver, None, out.incarnation, out.number, message)

    def release_voids(self, voids: Sequence[VoidOut]) -> None:
        """The record is durable: its voids may leave."""
        for out in voids:
            self.outbox.release(out.receiver, out.incarnation, out.number)
        self.flush([out.receiver for out in voids])

    # -- deferral --------------------------------------------------------------------------------------------------

    def undefer(self) -> None:
        """Something was decided: everything that waits for a decision is looked at again, in its order."""
        waiting, self.deferred = self.deferred, []
        for item in waiting:
            self.put_in_line(item)

    # -- the line --------------------------------------------------------------------------------------------------

    def put_in_line(self, item: Input) -> None:
        """Put an input in line at its place."""
        if self.replaying:
            self._line[item.lineage] = item
        else:
            self.inbox.push(item)

    def left_line(self, lineage: Lineage) -> None:
        """A record tells that an input was handled: while a log is read again it may still be in line."""
        self._line.pop(lineage, None)

    def take_back(self, lineage: Lineage) -> Input | None:
        """Take an input that waits out of the line, or None if it is not there."""
        if self.replaying:
            return self._line.pop(lineage, None)
        for at, item in enumerate(self.deferred):
            if item.lineage == lineage:
                return self.deferred.pop(at)
        for at, (_, _, item) in enumerate(self.failed):
            if item.lineage == lineage:
                del self.failed[at]
                heapify(self.failed)
                return item
        return self.inbox.take(lineage)

    def replayed(self) -> None:
        """The log is read: what is still in line waits to be handled."""
        self.replaying = False
        for item in self._line.values():
            self.inbox.push(item)
        self._line = {}

    def give_back(self, item: Input, proposal: Proposal | None, step: StepId, counts: bool = True) -> None:
        """Deliver an undone step's input again at its first place, as the proposal wants it if it names the step."""
        payload, evidence = item.payload, item.evidence
        if proposal is not None:
            evidence = proposal.evidence or proposal.reason.encode()
            payload = {amendment.root: amendment.payload for amendment in proposal.amendments}.get(step, payload)
        if counts:
            self.attempts[item.lineage] = self.attempts.get(item.lineage, 0) + 1
        self.put_in_line(replace(item, payload=payload, evidence=evidence, attempt=item.attempt + 1))

    def is_lost(self, agent: AgentId, incarnation: int, seq: int) -> bool:
        """Tell whether a step went with its agent's disk."""
        first = self.lost_lives.get((agent, incarnation))
        return first is not None and seq >= first

    def acknowledge(self, sender: AgentId, incarnation: int, number: int, consumer: StepId | None) -> None:
        """Tell a sender that what became of its message is durable.

        Where no step consumed it, the next step is named: if the record is ever lost with the disk, that one is too,
        and the sender sends again.
        """
        named = Consumer(self.incarnation, self.seq + 1, self.epoch)
        if consumer is not None:
            # A step that is forgotten is settled: nothing is kept for it.
            epoch = self.cone.record(consumer).epoch if consumer in self.cone else 0
            named = Consumer(consumer.incarnation, consumer.seq, epoch)
        if self.is_outside:
            named = named._replace(epoch=-1)
        self.send(sender, Ack(incarnation, ((number, named),)))

    def is_unheard(self, clock: Clock) -> bool:
        """Tell whether a clock names an incarnation whose beginning is not known here (CL-2).

        Its entry would hide an older one of the same agent, which may be of a lost step.
        """
        if not clock or max(clock.values())[0] <= 1:
            # First incarnations need no beginning; the usual case, and long clocks pass at C's speed.
            return False
        return any(entry[0] > max(1, self.beginnings.get(agent, 1)) for agent, entry in clock.items())

    @property
    def era(self) -> int:
        """How many restores have been carried out here (CP-7)."""
        return len(self.restores)

    def is_passed(self, epoch: int, era: int) -> bool:
        """Tell whether a restore has undone every step of this epoch and era (CP-7)."""
        return any(restore.epoch <= epoch for restore in self.restores[era:])

    def is_undone(self, item: Input) -> bool:
        """Tell whether a message's producer is undone, or hangs on a lost step."""
        if item.producer is None:
            return False
        return item.producer in self.retraction or self.is_passed(item.epoch, item.era) or self.is_orphan(item.clock)

    def is_discarded(self, item: Input) -> bool:
        """Tell whether a restore has sent this external input to the dead letters (CP-7)."""
        return item.producer is None and any(
            restore.inputs == "discard" and restore.epoch <= item.epoch for restore in self.restores[item.era :]
        )

    def is_orphan(self, clock: Clock) -> bool:
        """Tell whether whatever carries this clock hangs on a lost step, whatever its edges say (FR-2)."""
        return any(names_lost(clock, agent, life, first) for (agent, life), first in self.lost_lives.items())
