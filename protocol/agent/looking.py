"""What can be asked of a peer's machine without anything happening in it: for people, exports, and hosts of others.

Nothing here decides anything, and nothing that is returned is changed by the machine later.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from protocol.agent.colours import places
from protocol.agent.core import Core
from protocol.agent.intents import DOUBT
from protocol.agent.proposer import Proposer
from protocol.agent.requesting import Requesting
from protocol.agent.rollback import Rollback
from protocol.agent.stepping import Stepping
from protocol.event import Settled
from protocol.ids import AgentId, Lineage, MessageId, ProposalId, StepId
from protocol.proposal import ConeStep, Proposal, Restore, Vote
from protocol.records import Cut, Letter, OutcomeRecord
from protocol.step import Entry, Input, StepRecord

NAMED = 5
"""Effects, agents or proposals that are named where all are counted."""


class PartSeen(NamedTuple):
    """An agent's part of a cone, with what it sent, and the effects that stand."""

    unknown: tuple[StepId, ...]
    """Roots of this agent that are not in its log."""
    cone: tuple[ConeStep, ...]
    effects: tuple[str, ...]
    retracted: tuple[StepId, ...]


class StatusSeen(NamedTuple):
    """One agent at a glance; counts are since its first life."""

    incarnation: int
    steps: int
    undone: int
    under_way: tuple[str, ...]
    dead_letters: int
    clock_entries: int
    """Entries of the last step's clock."""
    epoch: int
    """The colour: how many cuts it has made."""
    committed: int
    """The newest committed epoch that settles its steps; 0 before any."""
    era: int
    """How many restores it has carried out."""
    steps_kept: int
    """Steps in memory: those behind the horizon are folded."""
    effects_pending: tuple[str, ...]
    """Intents of effects that are to be undone, and are not yet."""
    unplaced: tuple[AgentId, ...]
    """Names that it has sent to, and that no agent is known to have."""
    timers: int = 0
    """How many timers are set: an agent that is idle may have some."""
    next_timer_us: int | None = None
    """When the next of them is due."""
    paused: str = ""
    """By whom it is paused, and why; empty: it is not."""


class HeldSeen(NamedTuple):
    """What has become of the input of a step."""

    where: str
    """`here`: the step stands; `again`: it was undone, and another step holds the input now; `waits`: to be handled
    again; `dead`: it will not be; `unknown`: there is no such step in the log."""
    step: StepId | None = None
    """The one that holds it now."""
    payload: bytes = b""
    """As it is now, corrected perhaps."""
    why: str = ""
    """Why it is dead."""
    lineage: Lineage = ""


class EffectSeen(NamedTuple):
    """A tool's call, and what has become of it."""

    intent: str
    tool: str
    args: bytes
    state: str
    """As in the journal: `open`, `done`, `undoing`, `undone`, `doubt`, `kept`."""
    steps: tuple[StepId, ...]
    """The steps that have handled its input, oldest first."""
    pending: bool
    """It is to be undone, and is not yet."""
    tries: int
    """How often its undo was tried in this life of the agent."""
    why: str
    """What the last try has raised."""
    again_us: int
    """When it is tried again."""


class CallSeen(NamedTuple):
    """An effect that a step stands behind."""

    intent: str
    step: StepId
    time_us: int
    """When that ran; in the order of causes."""
    tool: str
    state: str


class DecisionSeen(NamedTuple):
    """A rollback that is decided, as one elector carried it out."""

    proposal: ProposalId
    decision: str
    decided_us: int
    electors: tuple[AgentId, ...]
    rejects: tuple[tuple[AgentId, str], ...]


class BallotsSeen(NamedTuple):
    """What an agent knows of rollbacks: as elector, and as proposer."""

    votes: tuple[tuple[Proposal, Vote], ...]
    decided: tuple[DecisionSeen, ...]
    outcomes: tuple[OutcomeRecord, ...]


class CutsSeen(NamedTuple):
    """An agent's places in the cuts that the horizon has not passed, and its restores, each with its time."""

    last: tuple[int, int]
    """Incarnation and seq of its last step, now."""
    cuts: tuple[Cut, ...]
    committed: int
    """The newest committed epoch that settles its steps; 0 before any."""
    committed_us: dict[int, int]
    """By epoch, when its commit was heard of here; those of earlier lives are not remembered."""
    restores: tuple[tuple[Restore, int], ...]


class Looking:
    """Read-only queries of one peer."""

    def __init__(
        self, core: Core, stepping: Stepping, rollback: Rollback, proposer: Proposer, requesting: Requesting
    ) -> None:
        self._requesting = requesting
        self._core = core
        self._stepping = stepping
        self._rollback = rollback
        self._proposer = proposer

    def under_way(self) -> tuple[str, ...]:
        """Name what is not finished; an idle peer has nothing to name."""
        return tuple(f"{name}: {count}" for name, count in self._unfinished().items())

    def _unfinished(self) -> dict[str, int]:
        core = self._core
        counts = {
            "inputs": self._stepping.backlog(),
            "messages": core.outbox.unsent() + len(core.unplaced.heard()),
            "records": 0 if core.is_flushed() else 1,
            "undecided": len(self._rollback.undecided()),
            "proposals": len(self._proposer.open()),
            "undos": len(core.intents.doomed()),
            "effects waiting": len(core.intents.waiting()),
            "requests": self._requesting.under_way(),
        }
        return {name: count for name, count in counts.items() if count}

    def waits(self) -> tuple[str, ...]:
        """Name what is not finished, as `under_way`, and for whom or what it waits."""
        core = self._core
        owing = sorted(core.outbox.owing().items(), key=lambda pair: (-pair[1], pair[0]))
        undecided = self._rollback.waits_for()
        named = {
            "messages": [f"{count} to {agent}" for agent, count in owing],
            "undecided": [
                f"{pid} waits for {', '.join(agents[:NAMED])}" if agents else pid for pid, agents in undecided
            ],
            "proposals": [pid for pid, _ in self._proposer.open()],
            "undos": [f"{each.intent}{each.why and f', {each.why}'}" for each in core.intents.doomed()],
            "effects waiting": [each.intent for each in core.intents.waiting()],
        }
        found: list[str] = []
        for name, count in self._unfinished().items():
            names = named.get(name, [])
            more = f"; {len(names) - NAMED} more" if len(names) > NAMED else ""
            found.append(f"{name}: {count}" + (f" ({'; '.join(names[:NAMED])}{more})" if names else ""))
        return tuple(found)

    def status(self, colour: int = 0, settled: Settled | None = None) -> StatusSeen:
        """Return the agent at a glance; see `cuts` for what is given of one that sleeps."""
        core = self._core
        return StatusSeen(
            incarnation=core.lives.incarnation,
            steps=len(core.cone) + core.cone.forgotten,
            undone=core.undone,
            under_way=self.waits(),
            dead_letters=len(core.dead_letters.letters) + len(self.undeliverable()),
            clock_entries=len(core.cone.last_clock()),
            epoch=max(colour, core.colours.epoch),
            committed=max(core.colours.committed, 0 if settled is None else settled.epoch),
            era=core.colours.era,
            steps_kept=len(core.cone),
            effects_pending=tuple(each.intent for each in core.intents.doomed()),
            unplaced=tuple(name for name in core.unplaced.receivers() if core.unplaced.letters(name)),
            timers=core.timers.count(),
            next_timer_us=core.timers.due_us(),
            paused=core.paused,
        )

    # -- steps -----------------------------------------------------------------------------------------------------

    def part(self, roots: tuple[StepId, ...], credits: tuple[MessageId, ...]) -> PartSeen:
        """Return which of the agent's steps hang on these roots and messages; roots of others are passed over."""
        core = self._core
        own = tuple(root for root in roots if root.agent == core.agent)
        part = core.cone.part(own, credits, core.counts_as_gone)
        stands = [step for step in part if step not in core.retraction]
        return PartSeen(
            unknown=tuple(root for root in own if root not in core.cone),
            cone=tuple(core.sends(step) for step in part),
            effects=tuple(intent for step in stands for intent in core.cone.record(step).calls),
            retracted=tuple(step for step in part if step in core.retraction),
        )

    def calls_of(self, intents: Sequence[str]) -> list[CallSeen]:
        """Return effects that steps stand behind, in the order in which their calls came to their end (EF-7)."""
        core = self._core
        found = [effect for intent in intents if (effect := core.intents.get(intent)) is not None]
        return [
            CallSeen(each.intent, each.claimed_by, core.cone.record(each.claimed_by).time_us, each.tool, each.state)
            for each in sorted(found, key=lambda effect: effect.ended)
            if each.claimed_by is not None and each.claimed_by in core.cone
        ]

    def suffix(self, after: StepId) -> tuple[StepId, ...] | None:
        """Return the surviving steps after one; None if that is not in the log, or folded: see `horizon`."""
        core = self._core
        if after not in core.cone:
            return None
        steps = (record.step for record in core.cone.records() if record.step not in core.retraction)
        return tuple(step for step in steps if step[1:] > after[1:])

    def steps_after(self, step: StepId | None) -> Iterator[tuple[StepRecord, str]]:
        """Give the steps in memory after one, or all, each with who has undone it; to be taken before anything else."""
        core = self._core
        return ((record, core.retracted_by.get(record.step, "")) for record in core.cone.following(step))

    def effects_in(self, records: Sequence[StepRecord]) -> dict[str, tuple[str, str]]:
        """Return the effects that steps claim, by intent: tool and state."""
        core = self._core
        effects: dict[str, tuple[str, str]] = {}
        for intent in (intent for record in records for intent in record.calls):
            effect = core.intents.get(intent)
            if effect is not None:
                effects[intent] = (effect.tool, effect.state)
        return effects

    def held(self, step: StepId) -> HeldSeen:
        """Return what has become of the input of a step of this agent."""
        core = self._core
        if step not in core.cone:
            return HeldSeen("unknown")
        item = core.cone.record(step).input
        if step not in core.retraction:
            return HeldSeen("here", step, item.payload, lineage=item.lineage)
        found = self.input(item.lineage)
        where = {"here": "again", "unknown": "dead"}.get(found.where, found.where)
        return found._replace(where=where, lineage=item.lineage)

    def input(self, lineage: Lineage) -> HeldSeen:
        """Return what has become of an input, by its name: `unknown` if it was never here, or is compacted."""
        core = self._core
        step = core.live_run(lineage)
        if step is not None:
            return HeldSeen("here", step, core.cone.record(step).input.payload)
        for waiting in (*self._stepping.waiting(), *core.timers.waiting()):
            if waiting.lineage == lineage:
                return HeldSeen("waits", None, waiting.payload)
        letter = core.dead_letters.find(lineage)
        return HeldSeen("unknown") if letter is None else HeldSeen("dead", None, b"", letter.why)

    def undone_since(self, epoch: int) -> tuple[StepId, ...]:
        """Return the steps inside a cut that rollbacks have undone after it: no restore to it brings them back."""
        core = self._core
        found = (
            step
            for record in self._rollback.decided.values()
            if record.decision == "commit" and record.epoch >= epoch
            for step in record.retracted
            if step in core.cone and core.cone.record(step).epoch < epoch
        )
        return tuple(dict.fromkeys(found))

    def effects(self, settled: bool = False) -> tuple[EffectSeen, ...]:
        """Return the effects that are to be undone or in doubt; with `settled`, all that are remembered."""
        core = self._core
        found = [each for each in core.intents.all() if settled or each.doomed or each.state == DOUBT]
        return tuple(
            EffectSeen(
                each.intent, each.tool, each.args, each.state, tuple(core.runs_of.get(each.lineage, ())), each.doomed,
                each.tries, each.why, each.again_us,
            )
            for each in found
        )  # fmt: skip

    # -- state -----------------------------------------------------------------------------------------------------

    def horizon(self) -> int:
        """Return the epoch before which the agent's steps are folded."""
        return self._core.colours.horizon

    def can_read_at(self, step: StepId) -> bool:
        """Tell whether the state can be read as it stood after a step of this agent."""
        core = self._core
        return step in core.cone and core.cone.record(step).epoch >= core.colours.horizon

    def oldest(self) -> StepId | None:
        """Return the oldest step that the state can be read at; None without any."""
        return self._core.cone.since(self._core.colours.horizon)

    def state(self, at: StepId | None = None) -> dict[str, bytes]:
        """Return the values of the agent's own keys, encoded, at a step or now."""
        return {key: value for key, value, _ in self._core.versions.read_all(at) if value is not None}

    def entries(self) -> list[Entry]:
        """Return the surviving entries of shared spaces that have come here, key by key in order."""
        versions = self._core.versions
        return [entry for key in versions.shared_keys() for entry in versions.entries(key)]

    def dead_letters(self) -> tuple[Letter, ...]:
        """Return the inputs that were given up, each with why."""
        return tuple(self._core.dead_letters.letters)

    def undeliverable(self) -> tuple[tuple[AgentId, Input], ...]:
        """Return the messages that have waited too long for names that nobody has heard of, each with the name."""
        core = self._core
        late = core.unplaced.late()
        return tuple((name, item) for name in late for item in core.unplaced.letters(name))

    # -- rollbacks and checkpoints ---------------------------------------------------------------------------------

    def ballots(self) -> BallotsSeen:
        """Return what is known of rollbacks."""
        decided = tuple(
            DecisionSeen(pid, record.decision, record.decided_us, record.electors, record.rejects)
            for pid, record in self._rollback.decided.items()
        )
        return BallotsSeen(tuple(self._rollback.votes()), decided, tuple(self._proposer.outcomes.values()))

    def undecided(self) -> tuple[ProposalId, ...]:
        """Return the rollbacks that it has a vote in, and has not heard the end of."""
        return tuple(self._rollback.undecided())

    def is_paused(self) -> bool:
        """Tell whether a restore is being voted on."""
        return self._core.colours.is_paused

    def has_undone(self, proposals: Iterable[ProposalId]) -> bool:
        """Tell whether it has carried one of these rollbacks out."""
        found = (self._rollback.decided.get(pid) for pid in proposals)
        return any(record is not None and record.decision == "commit" for record in found)

    def outcome(self, proposal: ProposalId) -> OutcomeRecord | None:
        """Return what became of a proposal of this agent; None while it is open, or of somebody else."""
        return self._proposer.outcomes.get(proposal)

    def cuts(self, colour: int = 0, settled: Settled | None = None) -> CutsSeen:
        """Return the agent's cuts and restores; of one that sleeps, by its host's colour and what that has settled."""
        lives, colours = self._core.lives, self._core.colours
        restores = tuple(zip(colours.restores, colours.restored_us, strict=True))
        horizon = max(1, colours.horizon, 0 if settled is None else settled.horizon)
        end = Cut(0, colours.era, lives.incarnation, lives.seq, 0)
        own = [cut for cut in colours.cuts if settled is None or cut.epoch >= horizon]
        return CutsSeen(
            last=(lives.incarnation, lives.seq),
            cuts=places(own, horizon, max(colour, colours.epoch), end),
            committed=max(colours.committed, 0 if settled is None else settled.epoch),
            committed_us=dict(colours.committed_us),
            restores=restores,
        )
