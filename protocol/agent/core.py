"""What one peer's parts share: its log, its retractions, and the actions of the event at hand.

The parts do not know each other; the modules that join them (`stepping`, `rollback`, `effects`, `loss`) do, by this.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from protocol.action import Action, Append, Send, Tell, Withdraw
from protocol.agent.colours import Colours
from protocol.agent.cone import Cone
from protocol.agent.dead_letters import DeadLetters
from protocol.agent.inbox import Inbox
from protocol.agent.intents import Intents
from protocol.agent.line import Line
from protocol.agent.lives import Lives
from protocol.agent.outbox import Outbox
from protocol.agent.quarantine import Quarantine
from protocol.agent.timers import Timers
from protocol.agent.unplaced import Unplaced
from protocol.agent.versions import Versions
from protocol.hlc import HybridTime
from protocol.ids import AgentId, Lineage, StepId
from protocol.limits import Limits
from protocol.message import Ack, Message, Void
from protocol.proposal import ConeStep, Proposal, Restore
from protocol.records import AckedRecord, BaseRecord, Letter, Record
from protocol.retraction import Retraction
from protocol.step import STEP_INDEX_ENTRIES, Consumer, Entry, Input, Output, StepRecord, VoidOut, entries_of

Then = Callable[[], None]


class Core:
    """The parts of one peer."""

    def __init__(self, agent: AgentId, limits: Limits, knows: Callable[[AgentId], bool], outbox: Outbox) -> None:
        self.agent = agent
        self.limits = limits
        self.knows = knows
        """Tells whether anybody has heard of an agent of a name."""
        self.now_us = 0
        self.lives = Lives(agent)
        self.colours = Colours()
        self.dead_letters = DeadLetters()
        self.retraction = Retraction()
        self.inbox = Inbox()
        self.outbox = outbox
        self.unplaced = Unplaced()
        self.holds: Callable[[StepId], str] = lambda step: ""
        """Says what a step has let go that can't be undone, or may any time; empty if nothing (RQ-2, RQ-4)."""
        self.timers = Timers()
        self.versions = Versions(self.retraction)
        self.cone = Cone()
        self.quarantine = Quarantine()
        self.intents = Intents()
        self.time = HybridTime()
        self.line = Line(self.inbox)
        self.subscribers: dict[str, list[AgentId]] = {}
        """By space, who is sent this agent's entries."""
        self.own_entries: dict[StepId, tuple[Entry, ...]] = {}
        """This agent's shared entries, by the step that wrote them."""
        self.runs_of: dict[Lineage, list[StepId]] = {}
        """The own steps that handled a lineage, oldest first."""
        self.attempts: dict[Lineage, int] = {}
        self.is_stalled = False
        """The log can't be written for now: no step begins (ST-9)."""
        self.paused = ""
        """By whom the agent is paused, and why; empty: it is not (ST-14)."""
        self.held: dict[str, str] = {}
        """Who keeps its requests from being let go, and why (RQ-5)."""
        self.retracted_by: dict[StepId, str] = {}
        self.undone = 0
        """How many own steps have ever been retracted."""
        self.actions: list[Action] = []
        self._tickets = 0
        self._pending: dict[int, list[Then]] = {}
        self._acks: list[tuple[AgentId, int, int, Consumer]] = []
        self.replaying = False

    # -- actions ---------------------------------------------------------------------------------------------------

    def append(
        self, records: Sequence[Record], then: Then | None = None, *, anchor: bool = False, is_fact: bool = False
    ) -> None:
        """Make records durable, then go on; acknowledgments ride along, since losing them is harmless.

        Args:
            records: in order.
            then: called once they are durable.
            anchor: they stand for everything before them (CP-6).
            is_fact: they are with the host's backups, with everything before them, before anything follows (CP-8).
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

    def note_entry(self, entry: Entry) -> None:
        """Take in a shared entry of an own step that is forgotten."""
        self.own_entries[entry.writer] = (*self.own_entries.get(entry.writer, ()), entry)

    def note_undone(self, step: StepId, why: str) -> None:
        """An own step has been retracted: its versions are hidden, what it has requested waits for a re-run (EF-4)."""
        self.retracted_by[step] = why
        self.undone += 1
        self.timers.undone(step)
        for at, _ in (record := self.cone.record(step)).requests:
            self.intents.orphan(record.outputs[at].lineage, self.now_us)
        self.versions.touch(record.writes)

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
        else:
            self.timers.final(step)

    def live_run(self, lineage: Lineage) -> StepId | None:
        """Return the surviving step that handled a lineage, or None."""
        for step in reversed(self.runs_of.get(lineage, ())):
            if step not in self.retraction:
                return step
        return None

    def worn_out(self, lineage: Lineage) -> str:
        """Return why an input is not run again that was undone as often as may be (RB-9); empty if it was not."""
        count, most = self.attempts.get(lineage, 0), self.limits.attempts_max
        if count < most:
            return ""
        last = next((step for step in reversed(self.runs_of.get(lineage, ())) if step in self.retracted_by), None)
        by = "" if last is None else f", last {last} by {self.retracted_by[last]}"
        return f"run {count} of the {most} times that it may be, and undone each time{by}; it is not run again"

    def withdraw(self, steps: Sequence[StepId]) -> None:
        """Undone steps' shared entries go out of this agent's documents (SH-3): those who have them know already."""
        written = tuple(step for step in steps if step in self.own_entries)
        if written and not self.replaying:
            self.actions.append(Withdraw(written))

    def shared_entries(self) -> list[Entry]:
        """Return this agent's own surviving entries, in order: what its documents hold when it comes back."""
        return [entry for step, entries in self.own_entries.items() if step not in self.retraction for entry in entries]

    def sends(self, step: StepId) -> ConeStep:
        """Return an own step with its debits; what has not left is none (CL-7)."""
        sent = self.cone.sends(step, self.subscribers, STEP_INDEX_ENTRIES)
        if not self.unplaced:
            return sent
        holds = self.unplaced.holds
        left = (debit for debit in sent.sends if not holds(debit.receiver, step.incarnation, debit.number))
        return sent._replace(sends=tuple(left))

    def empty(self, steps: tuple[StepId, ...]) -> list[AgentId]:
        """Leave only the places of outputs whose receivers are not told of their undoing; return those."""
        self.unplaced.empty(steps)
        return self.outbox.empty(steps)

    def counts_as_gone(self, writer: StepId) -> bool:
        """Tell whether a tolerance has to count a writer: undone, or frozen by a proposal that may undo it (RB-11)."""
        return writer in self.retraction or self.quarantine.freezes(writer)

    def void(self, receiver: AgentId, lineage: Lineage, ordered: bool) -> VoidOut:
        """Number word for `receiver` that a lineage will not come again."""
        number = self.outbox.number(receiver)
        return VoidOut(receiver, self.lives.incarnation, number, lineage, ordered)

    def voids_for(self, unclaimed: Sequence[tuple[AgentId, Lineage]], ordered: bool) -> tuple[VoidOut, ...]:
        """Number the voids for old outputs that nobody claimed."""
        return tuple(self.void(receiver, lineage, ordered) for receiver, lineage in unclaimed)

    def void_all(self, lineage: Lineage, ordered: bool) -> tuple[VoidOut, ...]:
        """A lineage will not run again here: number the voids for all that its runs had sent."""
        unclaimed = dict.fromkeys((output.receiver, output.lineage) for output in self.leftovers(lineage))
        return self.voids_for(tuple(unclaimed), ordered)

    def leftovers(self, lineage: Lineage) -> list[Output]:
        """Return what undone runs of a lineage sent, oldest first."""
        outputs: list[Output] = []
        for step in self.runs_of.get(lineage, ()):
            if step in self.retraction:
                outputs.extend(
                    output
                    for output in self.cone.record(step).outputs
                    if not self.unplaced.holds(output.receiver, step.incarnation, output.number)
                )
        return outputs

    def post_voids(self, voids: Sequence[VoidOut]) -> None:
        """Put voids of a record that is being written (or read again) into the outbox."""
        for out in voids:
            if out.incarnation == self.lives.incarnation:
                self.outbox.see_number(out.receiver, out.number)
            message = Void(out.incarnation, out.number, out.lineage, out.ordered)
            self.outbox.add(out.receiver, None, out.incarnation, out.number, message)

    def release_voids(self, voids: Sequence[VoidOut]) -> None:
        """The record is durable: its voids may leave."""
        for out in voids:
            self.outbox.release(out.receiver, out.incarnation, out.number)
        self.flush([out.receiver for out in voids])

    def subscribe(self, space: str, agent: AgentId) -> None:
        """Somebody is sent this agent's entries in a space."""
        self.subscribers.setdefault(space, []).append(agent)

    # -- the log --------------------------------------------------------------------------------------------------

    def is_at_rest(self) -> bool:
        """Tell whether no step may begin, and no request be let go (CP-7, ST-9, ST-14)."""
        return self.colours.is_paused or self.is_stalled or bool(self.paused)

    def replay(self) -> None:
        """A log is read again: what is told of it is told to nobody."""
        self.replaying = True
        self.line.replay()

    def replayed(self) -> None:
        """The log is read."""
        self.replaying = False
        self.line.replayed()

    def give_back(self, item: Input, proposal: Proposal | None, step: StepId, counts: bool = True) -> None:
        """Deliver an undone step's input again at its first place, as the proposal wants it if it names the step."""
        payload, evidence = item.payload, item.evidence
        if proposal is not None:
            evidence = proposal.evidence or proposal.reason.encode()
            payload = {amendment.root: amendment.payload for amendment in proposal.amendments}.get(step, payload)
        if counts:
            self.attempts[item.lineage] = self.attempts.get(item.lineage, 0) + 1
        self.line.put(replace(item, payload=payload, evidence=evidence, attempt=item.attempt + 1))

    def acknowledge(self, sender: AgentId, incarnation: int, number: int, consumer: StepId | None) -> None:
        """Tell a sender that what became of its message is durable.

        Where no step consumed it, the next step is named: if the record is ever lost with the disk, that one is too,
        and the sender sends again.
        """
        if number == 0:
            # TI-1: a timer, which its own agent has kept.
            return
        named = Consumer(self.lives.incarnation, self.lives.seq + 1, self.colours.epoch)
        if consumer is not None:
            # A step that is forgotten is settled: nothing is kept for it.
            epoch = self.cone.record(consumer).epoch if consumer in self.cone else 0
            named = Consumer(consumer.incarnation, consumer.seq, epoch)
        if self.colours.is_outside:
            named = named._replace(epoch=-1)
        self.send(sender, Ack(incarnation, ((number, named),)))

    def is_undone(self, item: Input) -> bool:
        """Tell whether a message's producer is undone, or hangs on a lost step."""
        if item.producer is None:
            return False
        return (
            item.producer in self.retraction
            or self.colours.is_passed(item.epoch, item.era)
            or self.lives.is_orphan(item.clock)
        )

    # -- bases -----------------------------------------------------------------------------------------------------

    def told(self) -> dict[str, Any]:
        """Return the slices of a base that no part but these has."""
        return {
            **self.lives.told(),
            **self.colours.told(),
            "time_us": self.time.last,
            "undone": self.undone,
            "paused": self.paused,
            "held": tuple(self.held.items()),
            "retraction": self.retraction.listed(),
            "retracted_by": tuple(self.retracted_by.items()),
            "attempts": tuple(self.attempts.items()),
            "subscribers": tuple((space, agent) for space, names in self.subscribers.items() for agent in names),
        }

    def load(self, base: BaseRecord) -> None:
        """Take in what `told` has told."""
        self.lives.load(base)
        self.colours.load(base)
        self.time.see(base.time_us)
        self.undone, self.paused, self.held = base.undone, base.paused, dict(base.held)
        self.retraction.load(base.retraction)
        self.retracted_by = dict(base.retracted_by)
        self.attempts = dict(base.attempts)
        for space, agent in base.subscribers:
            self.subscribe(space, agent)

    def load_steps(self, base: BaseRecord) -> None:
        """Take in the steps of a base, and which entries of theirs and of forgotten ones there are to see."""
        for record in base.steps:
            self.note_step(record)
        for entries in self.own_entries.values():
            for entry in entries:
                self.versions.merge(entry)
        self.cone.forgotten = base.forgotten

    # -- what others look at ---------------------------------------------------------------------------------------

    @property
    def incarnation(self) -> int:
        """The life that this agent is in."""
        return self.lives.incarnation

    @property
    def seq(self) -> int:
        """The own last step's, in this incarnation."""
        return self.lives.seq

    @property
    def epoch(self) -> int:
        """The colour: how many cuts this agent's host has made."""
        return self.colours.epoch

    @property
    def committed(self) -> int:
        """The newest committed epoch that settles steps here."""
        return self.colours.committed

    @property
    def horizon(self) -> int:
        """Steps of epochs before this one are folded."""
        return self.colours.horizon

    @property
    def era(self) -> int:
        """How many restores have been carried out here."""
        return self.colours.era

    @property
    def restores(self) -> list[Restore]:
        """Every restore carried out here."""
        return self.colours.restores

    @property
    def dead(self) -> list[Letter]:
        """The dead letters."""
        return self.dead_letters.letters
