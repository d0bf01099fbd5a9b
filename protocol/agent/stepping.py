"""One step at a time: choose an input, run it, and let it become a step or never have been (ST-1, ST-2, ST-6)."""

from collections import deque
from typing import Any

from msgspec.structs import replace

from protocol.action import RunStep, Seek, Share
from protocol.agent.core import Core
from protocol.agent.effects import Effects
from protocol.agent.failures import Failures
from protocol.agent.inbox import Item
from protocol.agent.lineage import inherited
from protocol.agent.proposer import Proposer
from protocol.agent.timing import Timing
from protocol.agent.unplaced import Kept
from protocol.clock import Clock, joined
from protocol.event import StepRan
from protocol.ids import AgentId, StepId
from protocol.limits import NEVER_US
from protocol.message import Data, Void
from protocol.records import BaseRecord, DeadRecord, ProposedRecord
from protocol.step import (
    EXTERNAL,
    OUTSIDE,
    Entry,
    Input,
    Output,
    StepDraft,
    StepRecord,
    VoidOut,
    entries_of,
    message_of,
)


class Stepping:
    """The running step of one agent, and the way of each input to it."""

    def __init__(self, core: Core, effects: Effects, proposer: Proposer, timing: Timing) -> None:
        self._core = core
        self._effects = effects
        self._proposer = proposer
        self._timing = timing
        self.running: tuple[int, StepId, Input] | None = None
        self.ending: int | None = None
        """A run whose input was called off, and whose handler has not ended yet (ST-12)."""
        self._runs = 0
        self._failures = Failures(core.limits)
        self.held: set[str] = set()
        """Lineages whose input waits because an undecided proposal names a step that handled it."""
        self._unheard: list[tuple[AgentId, Input]] = []
        self._own_voids: deque[VoidOut] = deque()
        """Voids to this agent itself, which are as good as come."""
        self._is_delivering = False

    # -- inputs ----------------------------------------------------------------------------------------------------

    def data_came(self, sender: AgentId, item: Input) -> None:
        """A message has arrived: in order, once (CL-3, CL-4)."""
        core = self._core
        if item.producer is None or item.producer.agent != sender:
            core.tell("refused", sender, f"a message in the name of {item.producer}")
            return
        if core.inbox.is_settled(sender, item.incarnation, item.number):
            # CL-5: what was consumed a moment ago may not be durable yet, when its message comes a second time.
            core.when_durable(lambda: self._acknowledge(sender, item))
            return
        if core.lives.is_lost(*item.producer):
            # A late message of a lost life: its number will not come again, and nobody waits for it.
            return
        if core.lives.is_unheard(item.clock):
            self._unheard.append((sender, item))
            return
        self._arrive(sender, item)

    def void_came(self, sender: AgentId, void: Void) -> None:
        """A void has arrived; it is numbered as data is."""
        if self._core.inbox.is_settled(sender, void.incarnation, void.number):
            self._core.when_durable(lambda: self._effects.void_again(sender, void))
            return
        self._arrive(sender, void)

    def _arrive(self, sender: AgentId, item: Item) -> None:
        core, inbox = self._core, self._core.inbox
        if (sender, item.incarnation) in core.lives.lost and inbox.is_ahead(sender, item.incarnation, item.number):
            # FR-3: what survives of a lost life comes again, in order; for what went with it this would wait for ever.
            return
        self.deliver(sender, inbox.arrive(sender, item.incarnation, item.number, item) or ())

    def deliver(self, sender: AgentId, items: list[Item] | tuple[Item, ...]) -> None:
        """Put what the inbox delivers in line."""
        for item in items:
            if isinstance(item, Void):
                self._own_voids.extend(self._effects.void_came(sender, item))
            else:
                self._core.line.put(replace(item, place=self._core.inbox.new_place()))

        while self._own_voids and not self._is_delivering:
            # Of a chain within one agent each is passed on at once, not with the next message to itself.
            out, self._is_delivering = self._own_voids.popleft(), True
            self._arrive(out.receiver, Void(out.incarnation, out.number, out.lineage, out.ordered))
            self._is_delivering = False

    def heard(self) -> None:
        """A beginning has become known: look again at what waited for one."""
        waiting, self._unheard = self._unheard, []
        for sender, item in waiting:
            self.data_came(sender, item)

    def _acknowledge(self, sender: AgentId, item: Input) -> None:
        consumer = None if item.message is None else self._core.cone.consumer(item.message)
        self._core.acknowledge(sender, item.incarnation, item.number, consumer)

    # -- running ---------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Start the next step, if none runs."""
        core = self._core
        core.line.look(core.now_us, core.outbox.count <= core.limits.backlog_max // 2)
        while self.running is None and self.ending is None and not core.is_at_rest():
            item = core.inbox.pop()
            if item is None:
                return
            if self._may_run(item):
                self._runs += 1
                step = StepId(core.agent, core.lives.incarnation, core.lives.seq + 1)
                self.running = (self._runs, step, item)
                core.actions.append(RunStep(self._runs, step, item, self._failures.of(item.lineage)))

    def _may_run(self, item: Input) -> bool:
        core = self._core
        if core.colours.is_discarded(item):
            self.bury(item, "discarded by a restore")
            return False
        if core.is_undone(item):
            # Its producer is undone: it keeps its place as void. Its sender, an elector too, has dropped it.
            if item.number and not core.inbox.is_settled(item.sender, item.incarnation, item.number):
                self._effects.void_came(item.sender, Void(item.incarnation, item.number, "", ordered=False))
            return False
        if item.sender.startswith(EXTERNAL) and core.outbox.count > core.limits.backlog_max:
            core.line.hold_back(item)
            return False
        message = item.message
        if message is not None and (core.quarantine.defers(message) or core.quarantine.freezes(message.producer)):
            core.line.defer(item)
            return False
        if item.lineage in self.held or core.live_run(item.lineage) is not None:
            # Its sender has decided and run again; our own step on this lineage is undone as soon as we decide.
            core.line.defer(item)
            return False
        if worn := core.worn_out(item.lineage):
            self.bury(item, worn)
            return False
        return True

    def ran(self, event: StepRan) -> None:
        """A handler has returned: check once more, then log the step (ST-6)."""
        if self.ending == event.run:
            self.ending = None
        if self.running is None or self.running[0] != event.run:
            return
        core = self._core
        _, step, item = self.running
        self.running = None
        if event.draft.error is not None:
            self._raised(event.run, item, event.draft)
        elif core.colours.is_discarded(item):
            self._effects.release_claims(event.run, item)
            self.bury(item, "discarded by a restore")
        elif self._still_stands(event.run, item, event.draft):
            self._became(event.run, step, item, event.draft)

    def _still_stands(self, run: int, item: Input, draft: StepDraft) -> bool:
        core = self._core
        message = item.message
        frozen = item.lineage in self.held
        stale = core.is_undone(item) or core.colours.is_paused
        if message is not None:
            frozen = frozen or core.quarantine.defers(message) or core.quarantine.freezes(message.producer)
        for read in draft.reads:
            if read.writer is not None:
                stale = stale or read.writer in core.retraction
                frozen = frozen or core.quarantine.freezes(read.writer)
        for sums in draft.tolerated:
            # RB-11: what was undone meanwhile is read anew; what is frozen counts as if it were undone.
            stale = stale or any(writer in core.retraction for writer, _ in sums.parts)
            frozen = frozen or sums.is_exceeded(core.quarantine.freezes)
        if not stale and not frozen:
            return True
        # Something that it read no longer stands, or may not: the step never was.
        self._effects.release_claims(run, item)
        if frozen:
            core.line.defer(item)
        else:
            core.line.put(item)
        return False

    def _became(self, run: int, step: StepId, item: Input, draft: StepDraft) -> None:
        core = self._core
        if draft.read_only:
            # ST-7: nothing can hang on it, so its record need not say what it hangs on.
            wrote = (*draft.writes, *draft.entries, *draft.outputs, *draft.cancels, *draft.rollbacks)
            assert not wrote, f"{step} was to read only"
            draft = replace(draft, reads=(), observed=(), tolerated=())
        old = core.leftovers(item.lineage)
        lineages, unclaimed = inherited(item.lineage, core.agent, draft.outputs, old)
        number = core.outbox.number
        numbers = [0 if out.after_us is not None else number(out.receiver) for out in draft.outputs]
        outputs = tuple(
            Output(out.receiver, at, out.payload, lineage, out.key)
            for out, at, lineage in zip(draft.outputs, numbers, lineages, strict=True)
        )
        clock, floor = self._clock(step, item, draft)
        cancelled = self._timing.cancelled(item, draft)
        record = StepRecord(
            step=step,
            input=item,
            reads=draft.reads,
            writes=draft.writes,
            entries=draft.entries,
            outputs=outputs,
            calls=self._effects.claims_of(run),
            clock=clock,
            time_us=core.time.tick(core.now_us),
            voids=(*core.voids_for(unclaimed, ordered=draft.backwards), *self._timing.voids_for(cancelled)),
            confidence=draft.confidence,
            scores=draft.scores,
            epoch=core.colours.epoch,
            era=core.colours.era,
            floor=floor,
            outside=core.colours.is_outside,
            observed=draft.observed,
            tolerated=draft.tolerated,
            model=draft.model,
            read_only=draft.read_only,
            unplaced=self._unplaced(outputs),
            due_us=tuple(min(core.now_us + o.after_us, NEVER_US) for o in draft.outputs if o.after_us is not None),
            cancelled=cancelled,
            requests=tuple((at, out.request) for at, out in enumerate(draft.outputs) if out.request is not None),
        )
        self.apply_step(record)
        proposed = tuple(self._proposer.prepare(rollback) for rollback in draft.rollbacks)
        core.append((record, *proposed), lambda: self._durable(record, proposed), is_fact=bool(proposed))

    def _clock(self, step: StepId, item: Input, draft: StepDraft) -> tuple[dict[AgentId, tuple[int, int]], int]:
        """Join the clocks of what the step depends on (CL-1); those of settled steps say nothing any more (CP-5)."""
        core = self._core
        causes: list[Input | StepRecord | Entry] = [item]
        # RB-11: a tolerated writer is joined, too: losses are told by clocks alone, and know no tolerance.
        seen = {writer: sums.key for sums in draft.tolerated for writer, _ in sums.parts}
        seen.update({read.writer: read.key for read in draft.reads if read.writer is not None})
        for writer, key in seen.items():
            if writer in core.cone:
                causes.append(core.cone.record(writer))
            elif writer.agent != core.agent:
                causes.extend(self._entry_of(writer, key))
        floor = core.colours.committed
        clocks: list[Clock] = []
        for cause in causes:
            core.time.see(cause.time_us)
            floor = max(floor, cause.floor)
            if cause.outside or cause.epoch >= core.colours.committed:
                clocks.append(cause.clock)
        clock = joined(clocks)
        clock[step.agent] = (step.incarnation, step.seq)
        return clock, floor

    def _unplaced(self, outputs: tuple[Output, ...]) -> tuple[AgentId, ...]:
        """Return the receivers that nobody has heard of; what waits for one of the others may leave now (CL-7)."""
        core = self._core
        strange: list[AgentId] = []
        for receiver in dict.fromkeys(out.receiver for out in outputs):
            if receiver == core.agent or core.knows(receiver):
                core.unplaced.hear(receiver)
            else:
                strange.append(receiver)
        return tuple(strange)

    def _entry_of(self, writer: StepId, key: str) -> list[Entry]:
        found = [entry for entry in self._core.versions.entries(key) if entry.writer == writer]
        assert found or OUTSIDE in key, f"a step read {writer}, which left no entry here"
        return found[:1]  # SH-5: without one, what a tool wrote outside has come behind the horizon meanwhile

    def apply_step(self, record: StepRecord) -> None:
        """Take in a step, live or from the log."""
        core = self._core
        step, item = record.step, record.input
        core.lives.took(step.incarnation, step.seq)
        core.time.see(record.time_us)
        core.inbox.see_place(item.place)
        core.line.left(item.lineage)
        core.timers.gone(item.message)
        core.note_step(record)
        items = core.inbox.settle(item.sender, item.incarnation, item.number)
        self.deliver(item.sender, items)
        for index, output in enumerate(record.outputs):
            if output.number == 0:
                continue  # TI-1: a timer, which never leaves
            if step.incarnation == core.lives.incarnation:
                core.outbox.see_number(output.receiver, output.number)
            message = Data(message_of(record, index))
            if output.receiver in record.unplaced:
                kept = Kept(step, message)
                core.unplaced.add(output.receiver, step.incarnation, output.number, kept, core.now_us)
            else:
                core.outbox.add(output.receiver, step, step.incarnation, output.number, message)
        for entry in entries_of(record):
            core.versions.merge(entry)
        core.post_voids(record.voids)
        core.intents.claim(step, record.calls)
        self._effects.ran(item.lineage, record.calls, record.voids)
        self._timing.apply(record)
        self._failures.forget(item.lineage)

    def _durable(self, record: StepRecord, proposed: tuple[ProposedRecord, ...]) -> None:
        """The step is durable: what it made may leave, and its input is acknowledged (ST-2)."""
        core = self._core
        step, item = record.step, record.input
        for output in record.outputs:
            core.outbox.release(output.receiver, step.incarnation, output.number)
        core.flush([output.receiver for output in record.outputs])
        core.actions.extend(map(Seek, record.unplaced))
        core.release_voids(record.voids)
        if record.entries:
            core.actions.append(Share(entries_of(record)))
        if item.producer is not None:
            core.acknowledge(item.sender, item.incarnation, item.number, step)
        for wanted in proposed:
            self._proposer.begin(wanted.proposal)

    # -- failures --------------------------------------------------------------------------------------------------

    def _raised(self, run: int, item: Input, draft: StepDraft) -> None:
        core = self._core
        self._effects.release_claims(run, item)
        core.tell("step-failed", item, draft.error or "")
        wait_us = self._failures.again_us(item.lineage, draft)
        if wait_us is None:
            self.bury(item, draft.error or "failed")
        else:
            core.line.try_again(item, core.now_us + wait_us)

    def bury(self, item: Input, why: str) -> None:
        """An input will not be handled: to the dead letters, and its lineage is settled."""
        record = DeadRecord(item, why, self._core.void_all(item.lineage, ordered=True), self._core.now_us)
        self.apply_dead(record)
        self._core.tell("dead-letter", item, why)
        self._core.append((record,), lambda: self._dead_durable(record))

    def apply_dead(self, record: DeadRecord) -> None:
        """Take in a dead letter, live or from the log."""
        item = record.input
        self._failures.forget(item.lineage)
        self._core.line.left(item.lineage)
        self._core.timers.gone(item.message)
        self._core.dead_letters.add(item, record.why, record.time_us)
        self.deliver(item.sender, self._core.inbox.settle(item.sender, item.incarnation, item.number))
        self._core.post_voids(record.voids)
        self._effects.end(item.lineage, record.voids)

    def _dead_durable(self, record: DeadRecord) -> None:
        self._core.release_voids(record.voids)
        if record.input.producer is not None:
            self._acknowledge(record.input.sender, record.input)

    def deadline_us(self) -> int | None:
        """Return when a failed input is to be tried again."""
        return self._core.line.retry_us()

    def waiting(self) -> list[Input]:
        """Return every input that waits or runs, in the order of their places."""
        waiting = self._core.line.waiting()
        if self.running is not None:
            waiting.append(self.running[2])
        return sorted(waiting, key=lambda item: item.place)

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base: the inputs that wait, and will not be sent again."""
        return {"line": tuple(item for item in self.waiting() if not self._comes_again(item))}

    def _comes_again(self, item: Input) -> bool:
        if item.sender.startswith(EXTERNAL):
            return False
        if item.number == 0:
            # TI-1: one that no step has handled is told with the timers.
            return self._core.timers.has(item.message)
        return not self._core.inbox.is_settled(item.sender, item.incarnation, item.number)

    def load(self, base: BaseRecord) -> None:
        """Take in this part's slice of a base; the inbox has loaded its own."""
        for item in base.line:
            if item.sender.startswith(EXTERNAL):
                self._core.inbox.arrive(item.sender, item.incarnation, item.number, item)
            self._core.line.put(item)

    def backlog(self) -> int:
        """Return how many inputs wait or run; those of a paused agent wait for people, and are not counted."""
        waiting = 0 if self._core.paused else self._core.line.count() + len(self._unheard)
        return waiting + (self.running is not None or self.ending is not None)
