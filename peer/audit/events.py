"""Logs as CloudEvents 1.0: one for each thing that happened, with an id that stays the same whoever reads it, and when.

An event tells what its record told when it was written. What came of it later is told by later events.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from peer.audit.extras import needed
from peer.audit.gaps import Gap, records_of
from peer.audit.logs import own_logs
from peer.audit.telling import detailed, finding_line, moment, said
from peer.audit.trail import lost_text
from peer.export.lines import state_word, step_line
from peer.store.reading import Logs
from protocol.group import GroupDecidedRecord, GroupVotedRecord
from protocol.ids import AgentId, StepId
from protocol.records import (
    ApprovedRecord,
    BaseRecord,
    BirthRecord,
    CutRecord,
    DeadRecord,
    DecisionRecord,
    EffectRecord,
    ForcedRecord,
    IntentRecord,
    ProposedRecord,
    Record,
    RedrivenRecord,
    RestoredRecord,
    VoteRecord,
)
from protocol.step import StepRecord
from protocol.wire import decode_record
from protocol.words import HeldRecord, PausedRecord, TierRecord  # fmt: skip

PREFIX = "dev.ebbtide."
"""Of every event's type."""


class Happening(NamedTuple):
    """Something that happened at an agent, before it is put into an event."""

    agent: AgentId
    kind: str
    """The event's type, without the prefix."""
    id: str
    """Unique among all of the agent's, and stable."""
    subject: str
    time_us: int
    """By the agent's clock; of what is not dated, that of the last that is, or of the first; 0: nothing is dated."""
    data: dict[str, Any]


class Telling:
    """Turns one agent's records, in order, into what happened."""

    def __init__(self, agent: AgentId) -> None:
        self._agent = agent
        self._now_us = 0
        self._effects: dict[str, tuple[str, str]] = {}
        """By intent, its tool and kind: records that come later name the intent alone."""
        self._has_begun = False
        self._undated: list[Happening] = []

    def take(self, number: int, record: Record) -> list[Happening]:
        """Return what a record tells; nothing for those that only move messages.

        What comes before anything that is dated is told with the first that is, and has its time.
        """
        found = self._undated + self._take(number, record)
        if not self._now_us:
            self._undated = found
            return []
        self._undated = []
        return [each if each.time_us else each._replace(time_us=self._now_us) for each in found]

    def rest(self) -> list[Happening]:
        """Return what was not told since nothing is dated: its time is 0."""
        found, self._undated = self._undated, []
        return found

    def _take(self, number: int, record: Record) -> list[Happening]:
        begins, self._has_begun = not self._has_begun, True
        match record:
            case StepRecord():
                return [self._step(record)]
            case BirthRecord():
                return self._born(record)
            case IntentRecord():
                self._effects[record.intent] = record.tool, record.kind or "unknown"
                return [self._effect(record.intent, "open", number, said(record.by, record.note, record.proof))]
            case EffectRecord():
                return [self._effect(record.intent, record.state, number, said(record.by, record.note))]
            case ApprovedRecord():
                data = {"lineage": record.lineage} | said(record.by, record.note, record.proof)
                return [self._told("request.approved", f"approved/{number}", record.lineage, data)]
            case GroupVotedRecord():
                data = {"group": record.group.id, "ready": not record.why, "why": record.why}
                return [self._told("group.vote", f"group-vote/{record.group.id}", record.group.id, data)]
            case GroupDecidedRecord():
                data = {"group": record.group.id, "go": record.is_go, "noes": dict(record.noes)}
                return [self._told("group.decided", f"group/{record.group.id}", record.group.id, data)]
            case PausedRecord():
                self._now_us = max(self._now_us, record.time_us)
                data = said(record.by, record.note, record.proof)
                kind = "agent.paused" if record.is_on else "agent.resumed"
                return [self._told(kind, f"paused/{number}", self._agent, data)]
            case HeldRecord():
                self._now_us = max(self._now_us, record.time_us)
                kind = "agent.held" if record.is_on else "agent.let_go"
                return [self._told(kind, f"held/{number}", self._agent, said(record.by, record.note))]
            case TierRecord():
                return [self._tier(record)]
            case ProposedRecord():
                return [self._proposed(record)]
            case VoteRecord():
                return [self._voted(record)]
            case DecisionRecord():
                return self._decided(record)
            case ForcedRecord():
                name = f"loss/{record.began.agent}/{record.began.incarnation}"
                return self._undone(record.retracted, name, "loss", lost_text(record.began))
            case RestoredRecord():
                return self._restored(record)
            case CutRecord():
                self._now_us = max(self._now_us, record.time_us)
                return [self._told("checkpoint.cut", f"cut/{record.epoch}", str(record.epoch), {"epoch": record.epoch})]
            case DeadRecord():
                data = {"input": str(record.input), "why": record.why, "lineage": record.input.lineage}
                return [self._told("input.dead", f"dead/{number}", str(record.input), data)]
            case RedrivenRecord():
                kind = "input.dropped" if record.input is None else "input.redriven"
                again = None if record.input is None else record.input.lineage
                return [
                    self._told(kind, f"redriven/{number}", record.lineage, {"lineage": record.lineage, "again": again})
                ]
            case BaseRecord() if begins:
                # What was before it is dropped: these steps are told by it alone.
                tier = [] if record.tier is None else [self._tier(record.tier)]
                return [*tier, *(self._step(step) for step in record.steps)]
            case _:
                return []

    def _told(self, kind: str, id_: str, subject: str, data: dict[str, Any]) -> Happening:
        return Happening(self._agent, kind, id_, subject, self._now_us, data)

    def _tier(self, record: TierRecord) -> Happening:
        self._now_us = max(self._now_us, record.time_us)
        data = {"tier": record.tier} | said(record.by, record.note, record.proof)
        return self._told("agent.tier", f"tier/{record.time_us}", self._agent, data)

    def _step(self, record: StepRecord) -> Happening:
        self._now_us = max(self._now_us, record.time_us)
        effects = {call: (*self._effects.get(call, ("unknown", "unknown")), "done") for call in record.calls}
        line = detailed(record, step_line(record, None, effects))
        # What later records say is theirs to tell.
        del line["retracted_by"]
        return self._told("step", str(record.step), str(record.step), line)

    def _born(self, record: BirthRecord) -> list[Happening]:
        data = {"incarnation": record.incarnation, "lost": [list(life) for life in record.lost]}
        return [self._told("agent.began", f"began/{record.incarnation}", self._agent, data)]

    def _effect(self, intent: str, state: str, number: int, people: dict[str, Any]) -> Happening:
        tool, kind = self._effects.get(intent, ("unknown", "unknown"))
        data = {"intent": intent, "tool": tool, "effect": kind, "state": state_word(state)} | people
        return self._told("effect", f"{intent}/{number}", intent, data)

    def _proposed(self, record: ProposedRecord) -> Happening:
        proposal = record.proposal
        self._now_us = max(self._now_us, proposal.began_us)
        data = {"proposal": proposal.id, "roots": [str(root) for root in proposal.roots], "mode": proposal.inputs}
        return self._told("rollback.proposed", proposal.id, proposal.id, data | {"reason": proposal.reason})

    def _voted(self, record: VoteRecord) -> Happening:
        vote, pid = record.vote, record.proposal.id
        data = {"proposal": pid, "accepts": vote.accepts, "why": vote.why}
        data |= {"steps": [str(part.step) for part in vote.cone], "credits": len(vote.credits)}
        if record.findings:
            data["findings"] = [finding_line(each) for each in record.findings]
        return self._told("rollback.voted", f"{pid}/vote/{vote.version}", pid, data)

    def _decided(self, record: DecisionRecord) -> list[Happening]:
        proposal = record.proposal
        self._now_us = max(self._now_us, record.decided_us)
        data = {
            "proposal": proposal.id,
            "proposer": proposal.proposer,
            "decision": record.decision,
            "mode": proposal.inputs,
            "reason": proposal.reason,
            "electors": list(record.electors),
            "rejects": [{"voter": voter, "why": why} for voter, why in record.rejects],
            "undone": len(record.retracted),
        }
        decided = self._told("rollback.decided", f"{proposal.id}/decided", proposal.id, data)
        return [decided, *self._undone(record.retracted, proposal.id, "rollback", proposal.reason)]

    def _restored(self, record: RestoredRecord) -> list[Happening]:
        restore, name = record.restore, f"restore/{record.restore.number}"
        self._now_us = max(self._now_us, record.time_us)
        data = {"number": restore.number, "epoch": restore.epoch, "inputs": restore.inputs, "reason": restore.reason}
        told = self._told("restored", name, name, data | {"undone": len(record.retracted)})
        return [told, *self._undone(record.retracted, name, "restore", restore.reason)]

    def _undone(self, steps: Iterable[StepId], by: str, kind: str, reason: str) -> list[Happening]:
        data = {"by": by, "kind": kind, "reason": reason}
        return [self._told("step.undone", f"{step}/undone", str(step), {"step": str(step), **data}) for step in steps]


class Encoder:
    """Puts what happened into events, by the standard's library.

    Raises: ConfigInvalid, where that is not installed.
    """

    def __init__(self) -> None:
        self._event = needed("cloudevents.core.v1.event", "a CloudEvent").CloudEvent
        self._write = needed("cloudevents.core.formats.json", "a CloudEvent").JSONFormat().write

    def encode(self, happening: Happening) -> bytes:
        """Return an event in the standard's JSON format, on one line."""
        attributes = {
            "id": happening.id,
            "source": quote(happening.agent),
            "type": PREFIX + happening.kind,
            "subject": happening.subject,
            "time": moment(happening.time_us),
            "datacontenttype": "application/json",
        }
        event = self._event(attributes, happening.data)
        if not happening.time_us:
            # The library puts the present time where there is none, which would change with every reading.
            del attributes["time"]
        return self._write(event)


class Told(NamedTuple):
    """All that happened."""

    happenings: list[Happening]
    """In the order of time."""
    gaps: list[Gap]
    """What is not told: records that can't be read."""


def happenings(hosts: Sequence[Logs], progress: Callable[[int, int], None] | None = None) -> Told:
    """Return all that happened; of damaged logs what can be read."""
    found: list[Happening] = []
    undated: list[Happening] = []
    gaps: list[Gap] = []
    chosen = own_logs(hosts)
    total, count = sum(own.logs.length(own.agent) for own in chosen), 0
    for own in chosen:
        telling = Telling(own.agent)
        for record in records_of(own.logs, own.agent, decode_record):
            if isinstance(record, Gap):
                gaps.append(record)
                continue
            found += telling.take(*record)
            count += 1
            if progress is not None and count % 500 == 0:
                progress(count, total)
        undated += telling.rest()
    # Of an agent that has done nothing yet: it began no later than anything else is known of.
    first_us = min((each.time_us for each in found), default=0)
    found = [*(each._replace(time_us=first_us) for each in undated), *found]
    # Stable: what has the same time stays in the order of its log.
    return Told(sorted(found, key=lambda happening: happening.time_us), gaps)


def write_events(hosts: Sequence[Logs], file: Path, progress: Callable[[int, int], None] | None = None) -> list[Gap]:
    """Write all that happened to a file, an event a line; return what is missing there."""
    encoder = Encoder()
    every = happenings(hosts, progress)
    with file.open("wb") as out:
        for happening in every.happenings:
            out.write(encoder.encode(happening) + b"\n")
    return every.gaps
