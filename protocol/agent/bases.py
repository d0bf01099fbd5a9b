"""A peer's whole state as one record, so that recovery need not read the log from its beginning (CP-6).

What is behind the horizon is folded, so a base holds the steps after it, what waits, and the values. Values of keys
that have not changed since the base before are left out of all but every so manieth: those hold all, and reading may
begin there.
"""

from protocol.agent.core import Core
from protocol.agent.effects import Effects
from protocol.agent.loss import Loss
from protocol.agent.proposer import Proposer
from protocol.agent.rollback import Rollback
from protocol.agent.stepping import Stepping
from protocol.agent.versions import Version
from protocol.ids import StepId
from protocol.records import BaseRecord
from protocol.step import EXTERNAL, Entry, Input

FULL_EVERY = 8
"""So many bases apart are those that hold all: recovery reads at most that many."""


class Bases:
    """Makes bases of one peer, and brings a peer back from them."""

    def __init__(
        self, core: Core, effects: Effects, proposer: Proposer, stepping: Stepping, rollback: Rollback, loss: Loss
    ) -> None:
        self._core = core
        self._effects = effects
        self._proposer = proposer
        self._stepping = stepping
        self._rollback = rollback
        self._loss = loss
        self._count = 0
        self._forgotten = 0
        """Steps that were forgotten when the last base was made."""
        self._entries: dict[tuple[StepId, int], None] = {}
        """Entries that a base holds since the last full one."""
        self._dead = 0
        """Dead letters, likewise."""

    def work(self) -> None:
        """Write a base, if anything was forgotten since the last one."""
        if self._core.cone.forgotten > self._forgotten:
            record = self.make()
            self._core.append((record,), anchor=record.is_full)

    def make(self) -> BaseRecord:
        """Return the base of the peer as it stands."""
        core = self._core
        is_full = self._count % FULL_EVERY == 0
        self._count += 1
        self._forgotten = core.cone.forgotten
        if is_full:
            self._entries, self._dead = {}, 0
        touched = core.versions.take_touched()
        keys = tuple(core.versions.keys()) if is_full else touched
        entries = tuple(entry for entry in self._final_entries() if (entry.writer, entry.index) not in self._entries)
        self._entries.update(dict.fromkeys((entry.writer, entry.index) for entry in entries))
        dead, self._dead = tuple(core.dead[self._dead :]), len(core.dead)
        return BaseRecord(
            is_full=is_full,
            incarnation=core.incarnation,
            seq=core.seq,
            epoch=core.epoch,
            committed=core.committed,
            horizon=core.horizon,
            is_outside=core.is_outside,
            place=core.inbox.last_place(),
            time_us=core.time.last,
            forgotten=core.cone.forgotten,
            undone=core.undone,
            restores=tuple(core.restores),
            steps=tuple(core.cone.records()),
            keys=tuple((key, self._final_versions(key)) for key in keys),
            entries=entries,
            dead=dead,
            channels=core.inbox.settled(),
            line=self._line(),
            numbers=core.outbox.numbers(),
            outbox=core.outbox.held_out(),
            effects=core.intents.states(),
            ended=self._effects.ended(),
            voided=tuple(sorted(self._effects.voided)),
            after=self._effects.after(),
            subscribers=tuple((space, agent) for space, names in core.subscribers.items() for agent in names),
            retraction=core.retraction.listed(),
            retracted_by=tuple(core.retracted_by.items()),
            attempts=tuple(core.attempts.items()),
            beginnings=self._loss.beginnings(),
            votes=self._rollback.vote_records(),
            decisions=tuple(self._rollback.decided.values()),
            proposed=self._proposer.proposed_records(),
            outcomes=tuple(self._proposer.outcomes.values()),
            proposals=self._proposer.count,
            cuts=tuple(core.cuts),
            restored_us=tuple(core.restored_us),
        )

    def _final_versions(self, key: str) -> tuple[tuple[StepId, bytes | None, int], ...]:
        versions = self._core.versions.versions_of(key)
        return tuple((v.step, v.value, v.epoch) for v in versions if v.step not in self._core.cone)

    def _final_entries(self) -> list[Entry]:
        core = self._core
        return [entry for step, entries in core.own_entries.items() if step not in core.cone for entry in entries]

    def _line(self) -> tuple[Input, ...]:
        """Return the inputs that wait here and will not come again: from outside, or given back."""
        return tuple(item for item in self._stepping.waiting() if self._will_not_come_again(item))

    def _will_not_come_again(self, item: Input) -> bool:
        from_outside = item.sender.startswith(EXTERNAL)
        return from_outside or self._core.inbox.is_settled(item.sender, item.incarnation, item.number)

    # -- coming back -----------------------------------------------------------------------------------------------

    def start_of(self, records: tuple[object, ...]) -> tuple[list[BaseRecord], int]:
        """Return the bases to begin with, oldest first (the first is full), and where in the log to go on."""
        found: list[BaseRecord] = []
        at = len(records)
        begin = 0
        while at > 0:
            at -= 1
            record = records[at]
            if isinstance(record, BaseRecord):
                begin = begin or at + 1
                found.append(record)
                if record.is_full:
                    return found[::-1], begin
        return [], 0

    def load(self, bases: list[BaseRecord]) -> None:
        """Take in bases: values from all of them, everything else from the last."""
        core, last = self._core, bases[-1]
        core.incarnation, core.seq, core.epoch = last.incarnation, last.seq, last.epoch
        core.committed, core.horizon, core.is_outside = last.committed, last.horizon, last.is_outside
        core.undone = last.undone
        core.time.see(last.time_us)
        core.restores = list(last.restores)
        core.restored_us = list(last.restored_us)
        core.cuts = list(last.cuts)
        core.retraction.load(last.retraction)
        core.retracted_by = dict(last.retracted_by)
        core.attempts = dict(last.attempts)
        self._loss.load(last.beginnings)
        for space, agent in last.subscribers:
            core.subscribers.setdefault(space, []).append(agent)
        self._load_values(bases)
        for record in last.steps:
            core.note_step(record)
        for entries in core.own_entries.values():
            for entry in entries:
                core.versions.merge(entry)
        core.cone.forgotten = self._forgotten = last.forgotten
        core.intents.load(last.effects, core.now_us)
        self._effects.load(last.ended, last.voided, last.after)
        self._load_queues(last)
        for record in last.decisions:
            self._rollback.decided[record.proposal.id] = record
        for vote in last.votes:
            self._rollback.apply_vote(vote)
        for record in last.proposed:
            self._proposer.apply_proposed(record)
        for outcome in last.outcomes:
            self._proposer.apply_outcome(outcome)
        self._proposer.count = max(self._proposer.count, last.proposals)
        self._count = len(bases)

    def _load_values(self, bases: list[BaseRecord]) -> None:
        core = self._core
        for base in bases:
            for key, versions in base.keys:
                core.versions.put_versions(key, tuple(Version(*version) for version in versions))
            for entry in base.entries:
                core.own_entries[entry.writer] = (*core.own_entries.get(entry.writer, ()), entry)
                self._entries[entry.writer, entry.index] = None
            core.dead.extend(base.dead)
        self._dead = len(core.dead)

    def _load_queues(self, last: BaseRecord) -> None:
        core = self._core
        core.inbox.load(last.place, last.channels)
        for item in last.line:
            if item.sender.startswith(EXTERNAL):
                core.inbox.arrive(item.sender, item.incarnation, item.number, item)
            core.put_in_line(item)
        core.outbox.load(last.numbers, last.outbox)
