"""Requests keep to what people say: what is held goes by a word, what is irreversible when it may (RQ-2, RQ-3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protocol.agent.intents import IRREVERSIBLE, UNDONE
from protocol.agent.machine import PeerMachine
from protocol.ids import AgentId, Lineage, StepId
from protocol.records import (
    ApprovedRecord,
    DecisionRecord,
    EffectRecord,
    ForcedRecord,
    IntentRecord,
    Record,
)
from protocol.step import Request, StepRecord
from sims.checkers.view import Said, View, Word, need

INVARIANT = "requests keep to what people say"
STANDS = "the step of an irreversible call that was let go stands"


@dataclass
class _Asked:
    """What a step has requested, and what people have said of it."""

    step: StepId
    epoch: int
    request: Request
    words: list[str] = field(default_factory=list[str])


@dataclass
class _Log:
    """One agent's log, as far as it was read."""

    read: int = 0
    asked: dict[Lineage, _Asked] = field(default_factory=dict[Lineage, _Asked])
    """By lineage, what the last run of a step has requested."""
    gone: dict[str, _Asked] = field(default_factory=dict[str, _Asked])
    """By intent, the irreversible calls that were let go and may have happened."""


class Watch:
    """Reads logs as they are written."""

    def __init__(self) -> None:
        self._logs: dict[AgentId, _Log] = {}

    def saw(self, agent: AgentId, machine: PeerMachine, log: Sequence[Record], begins: bool) -> None:
        """Look at what an agent has logged since.

        Raises: Broken.
        """
        seen = self._logs.setdefault(agent, _Log())
        if len(log) > seen.read:
            _Reader(agent, seen, machine.core.colours.committed).read(log)
        elif len(log) < seen.read:
            # Its disk has lost the end, and what stood there counts no more.
            seen = self._logs[agent] = _Log()
            _Reader(agent, seen, None).read(log)


class _Reader:
    def __init__(self, agent: AgentId, log: _Log, committed: int | None) -> None:
        self._agent = agent
        self._log = log
        self._committed = committed
        """The last committed epoch that the agent knows; None: it is no matter, all this was judged before."""

    def read(self, log: Sequence[Record]) -> None:
        """Take in what is new. Raises: Broken."""
        new = log[self._log.read :]
        self._log.read = len(log)
        for record, following in zip(new, (*new[1:], None), strict=True):
            match record:
                case StepRecord():
                    # What it handles was answered; what it has requested waits from now on.
                    self._log.asked.pop(record.input.lineage, None)
                    for at, request in record.requests:
                        asked = _Asked(record.step, record.epoch, request)
                        self._log.asked[record.outputs[at].lineage] = asked
                case ApprovedRecord():
                    self._said(record.lineage, f"approved by {record.by}")
                case IntentRecord():
                    self._opened(record, following)
                case EffectRecord(state=state) if state == UNDONE:
                    self._log.gone.pop(record.intent, None)
                case DecisionRecord() | ForcedRecord():
                    self._undone(record)
                case _:
                    pass

    def _opened(self, record: IntentRecord, following: Record | None) -> None:
        """A call was let go, or a request has its answer without one: that stands right after."""
        asked = self._log.asked.get(record.lineage)
        if asked is None or asked.request.tool != record.tool:
            return
        ended = isinstance(following, EffectRecord) and following.intent == record.intent
        if ended and isinstance(following, EffectRecord) and (following.by or following.note):
            if following.by:
                self._said(record.lineage, f"{following.state} by {following.by}")
            return
        if record.by:
            self._said(record.lineage, f"released by {record.by}")
        text = f"{record.tool} of {asked.step}"
        may = bool(record.by) or any(word.startswith("approved") for word in asked.words)
        self._need(asked.request.hold is None or may, f"{text} waits for people, and was let go without a word")
        if record.kind == IRREVERSIBLE:
            settled = self._committed is None or asked.request.group is not None or asked.epoch < self._committed
            self._need(settled or bool(record.by), f"{text} was let go, neither settled nor released")
            self._log.gone[record.intent] = asked

    def _said(self, lineage: Lineage, word: str) -> None:
        asked = self._log.asked.get(lineage)
        if asked is not None:
            self._need(not asked.words, f"{asked.step}: {asked.request.tool} is {word}, and {asked.words} before")
            asked.words.append(word)

    def _undone(self, record: DecisionRecord | ForcedRecord) -> None:
        steps = {*record.retracted}
        if isinstance(record, DecisionRecord):
            for intent, asked in self._log.gone.items():
                self._need(asked.step not in steps, f"{record.proposal.id} undoes {asked.step}, which let {intent} go")
        for lineage in [lineage for lineage, asked in self._log.asked.items() if asked.step in steps]:
            del self._log.asked[lineage]

    def _need(self, holds: bool, what: str) -> None:
        if self._committed is not None:
            need(holds, INVARIANT, f"{self._agent}: {what}")


def gone(log: Sequence[Record]) -> Mapping[str, StepId]:
    """Return the irreversible calls of a log that were let go and may have happened, each with who has requested it."""
    seen = _Log()
    _Reader("", seen, None).read(log)
    return {intent: asked.step for intent, asked in seen.gone.items()}


def steps_with(log: Sequence[Record], word: Word) -> list[StepId]:
    """Return the steps on whose request a log has that very word, by that person."""
    found: list[StepId] = []
    of: StepId | None = None
    for record in log:
        match record:
            case StepRecord():
                if any(record.outputs[at].lineage == word.request for at, _ in record.requests):
                    of = record.step
            case ApprovedRecord() | IntentRecord() if record.lineage == word.request and record.by == word.by:
                if of is not None and isinstance(record, ApprovedRecord) == (word.verb == "approve"):
                    found.append(of)
            case _:
                pass
    return found


def check_logs(
    logs: Mapping[AgentId, Sequence[Record]], machines: Mapping[AgentId, PeerMachine], said: Said, has_lost: bool
) -> None:
    """Judge what stands in the end: every word that was confirmed, and the step of what was let go.

    Args:
        logs: what is durable, by agent.
        machines: of the same.
        said: what people have said.
        has_lost: what was released before it was settled may be lost, and that is told.

    Raises: Broken.
    """
    words = set(said.words)
    for word in said.words:
        # Said once more of an undone step, it is the same word if that person has said it of the re-run, too.
        steps = steps_with(logs[word.agent], word)
        kept = word.step in steps or any(word._replace(step=step) in words for step in steps)
        need(kept, INVARIANT, f"{word} was said to count, and no record of that is kept")
    for agent, machine in machines.items() if not has_lost else ():
        for intent, step in gone(logs[agent]).items():
            need(step not in machine.core.retraction, STANDS, f"{step} is undone, and has let {intent} go")


def check(view: View) -> None:
    """Raises: Broken."""
    check_logs(view.logs, view.machines, view.said, view.has_lost)
