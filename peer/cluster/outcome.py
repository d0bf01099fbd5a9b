"""What rollbacks and restores would do, and what became of them."""

from dataclasses import dataclass
from typing import NamedTuple

from protocol.ids import AgentId, ProposalId, StepId


class PlannedUndo(NamedTuple):
    """An effect, and what undoing it means."""

    intent: str
    step: StepId
    """Whose effect it is: its agent undoes it."""
    tool: str
    state: str
    """As `Effect.state`."""
    kind: str
    """Of the tool: only what is `compensable` has an undo."""
    undo: str
    """`undone by refund, at a cost of 2 %`; `can't be undone`; `nothing to undo`."""
    time_us: int
    """When the step ran, in the order of causes; microseconds since 1970."""


@dataclass(frozen=True)
class Plan:
    """What a rollback would undo, as far as things stand now."""

    roots: tuple[StepId, ...]
    steps: tuple[StepId, ...]
    """The cone: the roots and every step that depends on them, without those that are undone already."""
    agents: tuple[AgentId, ...]
    """The participants, who would vote: the roots' owners, and everybody whom the cone has reached."""
    effects: tuple[str, ...]
    """Intents of the tool calls that would have to be undone or claimed anew."""
    calls: tuple[PlannedUndo, ...] = ()
    """Of each of these what undoing it means, and by whom; of an agent in the order in which they came to their end."""

    def by_agent(self) -> dict[AgentId, list[StepId]]:
        """Return the cone by agent."""
        parts: dict[AgentId, list[StepId]] = {agent: [] for agent in self.agents}
        for step in self.steps:
            parts[step.agent].append(step)
        return parts


@dataclass(frozen=True)
class Attempt:
    """One try of a rollback, and what came of it."""

    by: str
    """The strategy of `if_rejected` that has made it; empty for the first."""
    proposal: ProposalId = ""
    """Empty if the strategy had nothing to propose."""
    steps: tuple[StepId, ...] = ()
    """The roots."""
    inputs: str = ""
    committed: bool = False
    rejects: tuple[tuple[AgentId, str], ...] = ()


@dataclass(frozen=True)
class Compensation:
    """What has come of it; each effect is in one of the four."""

    step: StepId | None
    """The step that was told to see to it; None: there was nothing to counter."""
    steps: tuple[StepId, ...]
    """Those whose effects were meant. They stand."""
    countered: tuple[str, ...]
    """Intents of effects that are undone, newest first."""
    pending: tuple[str, ...] = ()
    """Whose undo has failed so far: it is tried until it succeeds, or somebody settles it (`Cluster.settle`)."""
    doubtful: tuple[str, ...] = ()
    """Of which nobody can tell whether they happened: look, and settle them."""
    stand: tuple[str, ...] = ()
    """Which nobody can undo, or which need not be; or that are settled for good."""


@dataclass(frozen=True)
class Outcome:
    """What became of a rollback."""

    proposal: ProposalId
    committed: bool
    undone: tuple[StepId, ...]
    agents: tuple[AgentId, ...]
    """The participants, who have voted."""
    rejects: tuple[tuple[AgentId, str], ...]
    """Who did not agree, and why."""
    notes: tuple[str, ...]
    seconds: float
    """From the proposal to the last participant's decision."""
    effects_pending: tuple[str, ...] = ()
    """Intents of effects of undone steps that are not undone yet: their undo is tried until it succeeds, or somebody
    settles it (`Cluster.settle`)."""
    attempts: tuple[Attempt, ...] = ()
    """What was tried, in order, if `Cluster.rollback` was asked: this is the outcome of the last that was proposed."""
    compensation: Compensation | None = None
    """What was countered instead, though the steps stand, by the strategy `forward`."""


@dataclass(frozen=True)
class Restored:
    """All agents are back at a checkpoint."""

    number: int
    """How many restores the cluster has carried out, this one included: its era."""
    epoch: int
    seconds: float
    """Until every agent had carried it out."""
    still_undone: tuple[StepId, ...] = ()
    """Steps inside the checkpoint that rollbacks have undone since: a restore does not bring them back."""
