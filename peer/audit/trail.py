"""The trail of a run: every step of every agent, what it came from, and what became of it, from the logs alone.

What was undone stays in the trail. Values are not shown, only their sizes and hashes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from peer import payload
from peer.audit.logs import OwnLog, hosts_in, own_logs
from peer.checkpoints import LOG as HOST_LOG
from peer.context import as_step
from peer.errors import EbbtideError, LogCorrupt, StepUnknown
from peer.store.reading import Logs
from protocol.checkpoint import CommitRecord
from protocol.errors import WireInvalid
from protocol.fact import Began
from protocol.ids import AgentId, Lineage, ProposalId, StepId
from protocol.proposal import Proposal, Restore, Vote
from protocol.records import (
    BaseRecord,
    BirthRecord,
    Cut,
    CutRecord,
    DecisionRecord,
    EffectRecord,
    EffectState,
    ForcedRecord,
    IntentRecord,
    OutcomeRecord,
    ProposedRecord,
    Record,
    RestoredRecord,
    VoteRecord,
)  # fmt: skip
from protocol.step import StepRecord
from protocol.wire import decode_host_record, decode_record

PROGRESS_EVERY = 500
"""Records from one word of progress to the next."""

Progress = Callable[[int, int], None]
"""Told how many records are read, of how many."""


class Undone(NamedTuple):
    """What undid a step."""

    by: str
    """A proposal, `restore/NUMBER`, or `loss/AGENT/INCARNATION`."""
    kind: str
    """`rollback`, `restore` or `loss`."""
    time_us: int
    """When its agent carried it out; of a loss, that of the last dated record before."""
    reason: str
    number: int
    """The record in the agent's log; 0 if only a base tells of it."""


@dataclass
class Step:
    """One step, and what became of it."""

    record: StepRecord
    number: int
    """Its record in the agent's log; 0 if only a base tells of it."""
    undone: Undone | None = None

    @property
    def id(self) -> StepId:
        """The step's name."""
        return self.record.step

    @property
    def producer(self) -> StepId | None:
        """The step that sent its input; None for an input from outside."""
        return self.record.input.producer


@dataclass
class Effect:
    """A tool call, and all that became of it."""

    intent: str
    agent: AgentId
    tool: str = "unknown"
    kind: str = "unknown"
    lineage: Lineage = ""
    args: bytes = b""
    history: list[tuple[str, int, int]] = field(default_factory=list)
    """State, the record that says so, and when, as far as the log is dated."""

    @property
    def state(self) -> str:
        """How it stands, in the journal's words."""
        return self.history[-1][0] if self.history else "open"


@dataclass
class Rollback:
    """A proposed rollback, put together from the logs of all who had a part in it."""

    proposal: Proposal
    votes: dict[AgentId, Vote] = field(default_factory=dict)
    """Each elector's last vote."""
    voted_us: dict[AgentId, int] = field(default_factory=dict)
    """When each voted last, as far as its log is dated: not before that."""
    decisions: dict[AgentId, DecisionRecord] = field(default_factory=dict)
    """By elector, what it saw the books say."""
    outcome: OutcomeRecord | None = None
    """What its proposer has been told in the end."""

    @property
    def decision(self) -> str:
        """`commit`, `abort` or `undecided`."""
        return next((record.decision for record in self.decisions.values()), "undecided")

    @property
    def decided_us(self) -> int | None:
        """When the last elector decided."""
        return max((record.decided_us for record in self.decisions.values()), default=None)


class Log(NamedTuple):
    """An agent's log, as it was read."""

    agent: AgentId
    folder: Path
    records: int


class Restored(NamedTuple):
    """A restore, and when each agent carried it out."""

    restore: Restore
    times: dict[AgentId, int]


@dataclass
class Trail:
    """All that the logs of some hosts tell."""

    folder: Path
    steps: dict[StepId, Step] = field(default_factory=dict)
    """In the order of time, then name."""
    rollbacks: dict[ProposalId, Rollback] = field(default_factory=dict)
    restores: dict[int, Restored] = field(default_factory=dict)
    losses: dict[str, Began] = field(default_factory=dict)
    """By `loss/AGENT/INCARNATION`."""
    effects: dict[str, Effect] = field(default_factory=dict)
    """By intent."""
    cuts: dict[AgentId, list[Cut]] = field(default_factory=dict)
    committed: int = 0
    """The newest committed epoch that any host knows."""
    logs: list[Log] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What whoever reads this should know: logs that are damaged, or that differ."""

    def step(self, name: StepId | str) -> Step:
        """Return a step by its name.

        Raises: CallerError, if it is not of the form agent/incarnation/seq; StepUnknown.
        """
        wanted = as_step(name)
        if wanted in self.steps:
            return self.steps[wanted]
        known = [step for step in self.steps if step.agent == wanted.agent]
        if known:
            text = f"its log tells of {len(known)}, {min(known)} to {max(known)}. See 'ebbtide log show {self.folder}"
            raise StepUnknown(f"no step {wanted} in {self.folder}: {text} {wanted.agent}'. Nothing was written.")
        agents = ", ".join(log.agent for log in self.logs[:12]) + (" ..." if len(self.logs) > 12 else "")
        raise StepUnknown(f"no step {wanted} in {self.folder}: no agent {wanted.agent!r}, only {agents}.")

    def of(self, agent: AgentId) -> list[Step]:
        """Return an agent's steps in the order of time.

        Raises: StepUnknown, naming the agents that there are, if it has no log here.
        """
        if all(log.agent != agent for log in self.logs):
            agents = ", ".join(log.agent for log in self.logs[:12]) + (" ..." if len(self.logs) > 12 else "")
            raise StepUnknown(f"no log of {agent!r} in {self.folder}, only of {agents}.")
        return [step for step in self.steps.values() if step.id.agent == agent]

    def effects_of(self, record: StepRecord) -> dict[str, tuple[str, str, str]]:
        """Return tool, kind and state of the calls that a step stands behind, by intent."""
        calls = [self.effects[intent] for intent in record.calls if intent in self.effects]
        return {effect.intent: (effect.tool, effect.kind, effect.state) for effect in calls}


def digest(data: bytes) -> str:
    """Return a value's hash: equal for equal bytes, 16 bytes of BLAKE2b in hex."""
    return blake2b(data, digest_size=16).hexdigest()


def type_of(data: bytes) -> str:
    """Return the name of a message's class; empty for a builtin value, or bytes that are no message."""
    try:
        decoded: Any = payload.decode(data)
        return decoded[0] if isinstance(decoded, list) and len(decoded) == 2 and isinstance(decoded[0], str) else ""
    except EbbtideError:
        return ""


def read_trail(folder: Path, progress: Progress | None = None) -> Trail:
    """Read the logs of a host's folder, or of all hosts' folders in a folder.

    A log that is damaged is told up to the damage; the trail's `notes` say so.

    Raises: ConfigInvalid, if there is no log.
    """
    return trail_of(folder, hosts_in(folder), progress)


def trail_of(folder: Path, hosts: Sequence[Logs], progress: Progress | None = None) -> Trail:
    """Read what the logs of some hosts tell; `folder` is what people call them by."""
    trail = Trail(folder)
    chosen = own_logs(hosts)
    total, done = sum(own.logs.length(own.agent) for own in chosen), 0
    for own in chosen:
        done = _read_own(own, trail, done, total, progress)
    for logs in hosts:
        _read_host(logs, trail)
    trail.steps = dict(sorted(trail.steps.items(), key=lambda item: (item[1].record.time_us, item[0])))
    return trail


def _read_own(own: OwnLog, trail: Trail, done: int, total: int, progress: Progress | None) -> int:
    teller, count = _Teller(own.agent, trail), 0
    try:
        for stored in own.logs.read(own.agent):
            teller.take(stored.number, decode_record(stored.body))
            count += 1
            if progress is not None and (done + count) % PROGRESS_EVERY == 0:
                progress(done + count, total)
    except (LogCorrupt, WireInvalid) as error:
        trail.notes.append(f"{error} What is told of {own.agent} ends before that record.")
    if own.note:
        trail.notes.append(own.note)
    trail.logs.append(Log(own.agent, own.logs.folder, count))
    if progress is not None:
        progress(done + count, total)
    return done + count


def _read_host(logs: Logs, trail: Trail) -> None:
    """Find out which epochs are committed: hosts know that, not agents."""
    if HOST_LOG not in logs.agents():
        return
    try:
        for stored in logs.read(HOST_LOG):
            record = decode_host_record(stored.body)
            if isinstance(record, CommitRecord):
                trail.committed = max(trail.committed, record.commit.epoch)
    except (LogCorrupt, WireInvalid) as error:
        trail.notes.append(str(error))


class _Teller:
    """Takes one agent's records in, in order."""

    def __init__(self, agent: AgentId, trail: Trail) -> None:
        self._agent = agent
        self._trail = trail
        self._life = 1
        self._seq = 0
        self._era = 0
        self._now_us = 0
        """When the last dated record was written."""

    def take(self, number: int, record: Record) -> None:
        """Take in a record; those that only move messages tell nothing here."""
        trail, agent = self._trail, self._agent
        match record:
            case StepRecord():
                self._step(record, number)
            case BirthRecord():
                self._life = record.incarnation
                self._seq = 0 if record.lost else self._seq
                if record.lost:
                    trail.losses[f"loss/{agent}/{record.incarnation}"] = Began(agent, record.incarnation, record.lost)
            case IntentRecord():
                effect = self._effect(record.intent)
                effect.tool, effect.kind = record.tool, record.kind or "unknown"
                effect.lineage, effect.args = record.lineage, record.args
                effect.history.append(("open", number, self._now_us))
            case EffectRecord():
                self._effect(record.intent).history.append((record.state, number, self._now_us))
            case VoteRecord():
                self._voted(record)
            case DecisionRecord():
                self._decided(record, number)
            case ProposedRecord():
                self._rollback(record.proposal)
            case OutcomeRecord():
                if record.proposal in trail.rollbacks:
                    trail.rollbacks[record.proposal].outcome = record
            case CutRecord():
                self._now_us = max(self._now_us, record.time_us)
                self._cut(Cut(record.epoch, self._era, self._life, self._seq, record.time_us))
            case RestoredRecord():
                self._restored(record, number)
            case ForcedRecord():
                self._forced(record, number)
            case BaseRecord():
                self._base(record)
            case _:
                pass

    def _step(self, record: StepRecord, number: int) -> None:
        self._now_us = max(self._now_us, record.time_us)
        if record.step.incarnation == self._life:
            self._seq = max(self._seq, record.step.seq)
        self._trail.steps.setdefault(record.step, Step(record, number))

    def _undo(self, step: StepId, undone: Undone) -> None:
        found = self._trail.steps.get(step)
        # A step that was dropped with what is behind the horizon has nothing left to mark.
        if found is not None and found.undone is None:
            found.undone = undone

    def _voted(self, record: VoteRecord) -> None:
        rollback = self._rollback(record.proposal)
        rollback.votes[self._agent] = record.vote
        rollback.voted_us[self._agent] = max(record.proposal.began_us, self._now_us)

    def _decided(self, record: DecisionRecord, number: int) -> None:
        proposal = record.proposal
        self._rollback(proposal).decisions[self._agent] = record
        self._now_us = max(self._now_us, record.decided_us)
        for step in record.retracted:
            self._undo(step, Undone(proposal.id, "rollback", record.decided_us, proposal.reason, number))

    def _restored(self, record: RestoredRecord, number: int) -> None:
        restore = record.restore
        self._era = max(self._era, restore.number)
        self._now_us = max(self._now_us, record.time_us)
        self._carried_out(restore, record.time_us)
        for step in record.retracted:
            undone = Undone(f"restore/{restore.number}", "restore", record.time_us, restore.reason, number)
            self._undo(step, undone)

    def _carried_out(self, restore: Restore, time_us: int) -> None:
        self._trail.restores.setdefault(restore.number, Restored(restore, {})).times.setdefault(self._agent, time_us)

    def _forced(self, record: ForcedRecord, number: int) -> None:
        began = record.began
        name = f"loss/{began.agent}/{began.incarnation}"
        self._trail.losses.setdefault(name, began)
        for step in record.retracted:
            self._undo(step, Undone(name, "loss", self._now_us, lost_text(began), number))

    def _cut(self, cut: Cut) -> None:
        cuts = self._trail.cuts.setdefault(self._agent, [])
        if all(cut.epoch != known.epoch or cut.era != known.era for known in cuts):
            cuts.append(cut)

    def _base(self, record: BaseRecord) -> None:
        """Take in what a base tells and records before it do not: those may have been dropped."""
        trail, agent = self._trail, self._agent
        self._life, self._seq, self._era = record.incarnation, record.seq, len(record.restores)
        self._now_us = max(self._now_us, record.time_us)
        for cut in record.cuts:
            self._cut(cut)
        for restore, time_us in zip(record.restores, record.restored_us, strict=False):
            self._carried_out(restore, time_us)
        for began in record.beginnings:
            trail.losses.setdefault(f"loss/{began.agent}/{began.incarnation}", began)
        for step in record.steps:
            trail.steps.setdefault(step.step, Step(step, 0))
        for state in record.effects:
            if state.intent not in trail.effects:
                self._known_effect(state)
        for vote in record.votes:
            if agent not in self._rollback(vote.proposal).votes:
                self._voted(vote)
        for decision in record.decisions:
            self._rollback(decision.proposal).decisions.setdefault(agent, decision)
        for proposed in record.proposed:
            self._rollback(proposed.proposal)
        for step, by in record.retracted_by:
            self._undo(step, self._undone_by(by))

    def _undone_by(self, by: str) -> Undone:
        trail = self._trail
        if by.startswith("restore/"):
            number = int(by.removeprefix("restore/"))
            restored = trail.restores.get(number)
            reason = "" if restored is None else restored.restore.reason
            return Undone(by, "restore", 0 if restored is None else restored.times.get(self._agent, 0), reason, 0)
        if by in trail.losses:
            return Undone(by, "loss", self._now_us, lost_text(trail.losses[by]), 0)
        rollback = trail.rollbacks.get(by)
        decision = None if rollback is None else rollback.decisions.get(self._agent)
        at_us = self._now_us if decision is None else decision.decided_us
        return Undone(by, "rollback", at_us, "" if rollback is None else rollback.proposal.reason, 0)

    def _known_effect(self, state: EffectState) -> None:
        effect = self._effect(state.intent)
        effect.tool, effect.lineage, effect.args = state.tool, state.lineage, state.args
        effect.history.append((state.state, 0, self._now_us))

    def _effect(self, intent: str) -> Effect:
        return self._trail.effects.setdefault(intent, Effect(intent, self._agent))

    def _rollback(self, proposal: Proposal) -> Rollback:
        return self._trail.rollbacks.setdefault(proposal.id, Rollback(proposal))


def lost_text(began: Began) -> str:
    """Say what a beginning after a loss means."""
    lives = " and ".join(f"all after {StepId(began.agent, life, last)}" for life, last in began.lost)
    return f"{began.agent} lost {lives}"
