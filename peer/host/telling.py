"""Tells what has happened at a host's agents, from what their machines write into their logs, once that is durable."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from peer.agents.envelope import handled_by_name
from peer.agents.failures import clean
from peer.host.driver import Driver
from peer.host.happenings import (
    ROOTS_MAX,
    CheckpointMade,
    DeadLettered,
    EffectChanged,
    RestoreMade,
    RollbackDecided,
    RollbackProposed,
    StepMade,
    Told,
    moment,
)
from protocol.action import Action, Append
from protocol.event import Appended, Event, Recovered, Settled, ToolUsed
from protocol.ids import AgentId, ProposalId, StepId
from protocol.records import (
    DeadRecord,
    DecisionRecord,
    EffectRecord,
    OutcomeRecord,
    ProposedRecord,
    Record,
    RestoredRecord,
)
from protocol.step import StepRecord

TEXT_CHARS_MAX = 500
"""Of a reason, or whatever else people have said."""

_LETTERS = (DeadRecord, DecisionRecord, RestoredRecord)
"""What can make dead letters."""


class Telling:
    """What happens at the agents of one host, for as long as anybody wants to know."""

    def __init__(self, drivers: Mapping[AgentId, Driver], now_us: Callable[[], int]) -> None:
        self._drivers = drivers
        self._now_us = now_us
        self._written: dict[AgentId, dict[int, list[Told]]] = {}
        """By ticket, what is to be told once it is durable."""
        self._letters: dict[AgentId, int] = {}
        """How many dead letters each agent had."""
        self._roots: dict[ProposalId, tuple[StepId, ...]] = {}
        self._epoch = self._restores = 0

    def begin(self) -> None:
        """Begin to look: what was before is no news."""
        self._written.clear()
        self._roots.clear()
        for agent in self._drivers:
            self._meet(agent)

    def _meet(self, agent: AgentId) -> None:
        driver = self._drivers[agent]
        self._written.pop(agent, None)
        self._letters[agent] = driver.machine.core.dead_letters.added
        self._roots.update(driver.machine.proposer.open())
        colours = driver.machine.core.colours
        self._epoch, self._restores = max(self._epoch, colours.committed), max(self._restores, colours.era)

    def take(self, agent: AgentId, event: Event, actions: Sequence[Action]) -> Iterator[Told]:
        """Take in what an agent's machine has handled, and give what is to be told now."""
        match event:
            case Appended():
                yield from self._written.get(agent, {}).pop(event.ticket, ())
            case Recovered():
                if agent in self._drivers:
                    self._meet(agent)
            case Settled():
                yield from self.settled(event)
            case ToolUsed(verb="undo", answer="failed"):
                why = event.result.decode(errors="replace")
                yield self._effect(agent, event.intent, "undoing", why or "no reason given")
        for action in actions:
            if isinstance(action, Append):
                told = [each for record in action.records for each in self._of(agent, record)]
                if told:
                    self._written.setdefault(agent, {})[action.ticket] = told

    def settled(self, event: Settled) -> Iterator[Told]:
        """An epoch is committed: tell of it once, also where all agents sleep (CP-13)."""
        if event.epoch > self._epoch:
            self._epoch = event.epoch
            yield CheckpointMade(moment(self._now_us()), event.epoch, event.horizon)

    def _of(self, agent: AgentId, record: Record) -> Iterator[Told]:
        match record:
            case StepRecord():
                yield StepMade(
                    moment(record.time_us), record.step, handled_by_name(record.input.payload), record.input.sender,
                    record.model, record.confidence, len(record.outputs), len(record.calls),
                )  # fmt: skip
            case EffectRecord():
                why = record.note and f"{record.note} ({record.by or 'somebody'})"
                yield self._effect(agent, record.intent, "undoing" if record.state == "failed" else record.state, why)
            case ProposedRecord():
                asked = record.proposal
                self._roots[asked.id] = asked.roots
                yield RollbackProposed(
                    moment(asked.began_us), asked.id, agent, asked.roots[:ROOTS_MAX], len(asked.roots), asked.inputs,
                    clean(asked.reason, TEXT_CHARS_MAX),
                )  # fmt: skip
            case OutcomeRecord():
                roots = self._roots.pop(record.proposal, ())
                rejects = tuple((who, clean(why, TEXT_CHARS_MAX)) for who, why in record.rejects[:ROOTS_MAX])
                yield RollbackDecided(
                    moment(record.decided_us), record.proposal, agent, record.decision == "commit", roots[:ROOTS_MAX],
                    len(roots), len(record.undone), len(record.electors), rejects,
                    (record.decided_us - record.began_us) / 1e6,
                )  # fmt: skip
            case RestoredRecord() if record.restore.number > self._restores:
                restore = record.restore
                self._restores = restore.number
                reason = clean(restore.reason, TEXT_CHARS_MAX)
                yield RestoreMade(moment(self._now_us()), restore.number, restore.epoch, reason)
            case _:
                pass
        if isinstance(record, _LETTERS):
            yield from self._dead(agent)

    def _dead(self, agent: AgentId) -> Iterator[Told]:
        """Give the dead letters that are new."""
        if agent not in self._drivers:
            return  # it has moved on in this moment
        letters = self._drivers[agent].machine.core.dead_letters
        new = letters.added - self._letters.get(agent, letters.added)
        self._letters[agent] = letters.added
        for letter in letters.last(new):
            item = letter.input
            yield DeadLettered(
                moment(letter.time_us or self._now_us()), agent, item.lineage, handled_by_name(item.payload),
                clean(letter.why, TEXT_CHARS_MAX),
            )  # fmt: skip

    def _effect(self, agent: AgentId, intent: str, state: str, why: str = "") -> EffectChanged:
        driver = self._drivers.get(agent)
        known = None if driver is None else driver.machine.core.intents.get(intent)
        tool = "unknown" if known is None else known.tool
        return EffectChanged(moment(self._now_us()), agent, intent, tool, state, clean(why, TEXT_CHARS_MAX))
