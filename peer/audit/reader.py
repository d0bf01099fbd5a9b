"""Reads logs into a trail: one agent's records after another's, each taken in where it stands."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from peer.audit.gaps import Gap, gaps_beside, opened, records_of
from peer.audit.logs import OwnLog, own_logs
from peer.audit.premises import Premises
from peer.audit.trail import Effect, Log, Restored, Rollback, Step, Trail, Undone, Word, lost_text
from peer.host.checkpoints import LOG as HOST_LOG
from peer.store.reading import Logs
from protocol.checkpoints.messages import CommitRecord
from protocol.fact import Began
from protocol.ids import AgentId, StepId
from protocol.proposal import Proposal, Restore
from protocol.records import (
    BaseRecord,
    BirthRecord,
    Cut,
    CutRecord,
    DeadRecord,
    DecisionRecord,
    EffectRecord,
    EffectState,
    ForcedRecord,
    IntentRecord,
    OutcomeRecord,
    ProposedRecord,
    Record,
    RedrivenRecord,
    RestoredRecord,
    VoteRecord,
)
from protocol.step import StepRecord
from protocol.wire import decode_host_record, decode_record
from protocol.words import HeldRecord, PausedRecord, TierRecord  # fmt: skip

PROGRESS_EVERY = 500
"""Records from one word of progress to the next."""

Progress = Callable[[int, int], None]
"""Told how many records are read, of how many."""


def read_trail(folder: Path, progress: Progress | None = None) -> Trail:
    """Read the logs of a host's folder, or of all hosts' folders in a folder.

    Of a log that is damaged all is told that can be read; the trail's `gaps` say what is not.

    Raises: ConfigInvalid, if there is no log.
    """
    hosts, gaps = opened(folder)
    trail = trail_of(folder, hosts, progress, Premises(folder))
    trail.gaps[:0] = gaps
    return trail


def trail_of(
    folder: Path, hosts: Sequence[Logs], progress: Progress | None = None, premises: Premises | None = None
) -> Trail:
    """Read what the logs of some hosts tell.

    Args:
        folder: what people call them by.
        hosts: whose logs.
        progress: told of records that were read.
        premises: which hosts there should be; None: nobody is missed.
    """
    trail = Trail(folder)
    chosen = own_logs(hosts)
    total, done = sum(own.logs.length(own.agent) for own in chosen), 0
    for own in chosen:
        done = _read_own(own, trail, done, total, progress)
    for logs in hosts:
        _read_host(logs, trail)
    trail.gaps += gaps_beside(hosts, premises)
    trail.steps = _in_order(trail)
    return trail


def trail_of_records(logs: Mapping[AgentId, Sequence[Record]], committed: int = 0, folder: Path = Path()) -> Trail:
    """Return the trail of logs that are at hand as records: those of a world, which has no disk.

    Args:
        logs: by agent, its records from the first on.
        committed: the newest committed epoch that any host knows.
        folder: what people call them by.
    """
    trail = Trail(folder, committed=committed)
    for agent, records in logs.items():
        teller = _Teller(agent, trail)
        for number, record in enumerate(records, 1):
            teller.take(number, record)
        trail.ends[agent] = teller.end()
        trail.logs.append(Log(agent, folder, len(records)))
    trail.steps = _in_order(trail)
    return trail


def _in_order(trail: Trail) -> dict[StepId, Step]:
    return dict(sorted(trail.steps.items(), key=lambda item: (item[1].record.time_us, item[0])))


def _read_own(own: OwnLog, trail: Trail, done: int, total: int, progress: Progress | None) -> int:
    teller, count = _Teller(own.agent, trail), 0
    for found in records_of(own.logs, own.agent, decode_record):
        if isinstance(found, Gap):
            trail.gaps.append(found)
            continue
        teller.take(*found)
        count += 1
        if progress is not None and (done + count) % PROGRESS_EVERY == 0:
            progress(done + count, total)
    trail.ends[own.agent] = teller.end()
    if own.note:
        trail.notes.append(own.note)
    trail.logs.append(Log(own.agent, own.logs.folder, count))
    if progress is not None:
        progress(done + count, total)
    return done + count


def _read_host(logs: Logs, trail: Trail) -> None:
    """Find out which epochs are committed: hosts know that, not agents."""
    for found in records_of(logs, HOST_LOG, decode_host_record) if HOST_LOG in logs.agents() else ():
        if isinstance(found, Gap):
            trail.gaps.append(found)
        elif isinstance(found[1], CommitRecord):
            trail.committed = max(trail.committed, found[1].commit.epoch)


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

    def end(self) -> Cut:
        """Return where the log ends, as a cut of no epoch."""
        return Cut(0, self._era, self._life, self._seq, 0)

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
            case DeadRecord():
                trail.letters[agent, record.input.lineage] = record.why
            case RedrivenRecord():
                trail.letters.pop((agent, record.lineage), None)
            case PausedRecord():
                what = "paused" if record.is_on else "resumed"
                self._said(Word(agent, what, record.by, record.note, record.time_us, record.proof))
            case HeldRecord():
                what = "held" if record.is_on else "let go"
                self._said(Word(agent, what, record.by, record.note, record.time_us, b""))
            case TierRecord():
                self._said(Word(agent, f"tier {record.tier}", record.by, record.note, record.time_us, record.proof))
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

    def _said(self, word: Word) -> None:
        self._now_us = max(self._now_us, word.time_us)
        if word not in self._trail.words:
            self._trail.words.append(word)

    def _step(self, record: StepRecord, number: int) -> None:
        self._now_us = max(self._now_us, record.time_us)
        if record.step.incarnation == self._life:
            self._seq = max(self._seq, record.step.seq)
        self._trail.add(Step(record, number))

    def _undo(self, step: StepId, undone: Undone) -> None:
        found = self._trail.steps.get(step)
        # A step that was dropped with what is behind the horizon has nothing left to mark.
        if found is not None and found.undone is None:
            found.undone = undone

    def _voted(self, record: VoteRecord) -> None:
        rollback = self._rollback(record.proposal)
        rollback.votes[self._agent] = record.vote.after(rollback.votes.get(self._agent))
        rollback.findings[self._agent] = (*rollback.findings.get(self._agent, ()), *record.findings)
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
            trail.add(Step(step, 0))
        if record.tier is not None:
            self.take(0, record.tier)
        for lineage in record.redriven:
            trail.letters.pop((agent, lineage), None)
        for letter in record.dead:
            trail.letters.setdefault((agent, letter.input.lineage), letter.why)
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
