"""How a rollback has ended that an agent has proposed, told to the agent itself (RB-14)."""

from dataclasses import dataclass
from typing import Any

from peer.agents.envelope import ROLLED_BACK, sealed
from peer.values import payload
from protocol.ids import AgentId, ProposalId, StepId
from protocol.records import OutcomeRecord


@dataclass(frozen=True)
class RolledBack:
    """A rollback that this agent has proposed is over."""

    proposal: ProposalId
    committed: bool
    """Whether the steps were undone; if not, nobody has undone anything."""
    roots: tuple[StepId, ...]
    undone: int
    """How many steps were undone."""
    agents: int
    """How many had a vote."""
    rejects: tuple[tuple[AgentId, str], ...]
    """Who did not agree, and why."""
    seconds: float
    """From the proposal to the last participant's decision."""
    evidence: Any
    """What the proposal has given along."""


REJECTS_MAX = 20
"""Of them that are told."""


def told_of(outcome: OutcomeRecord) -> bytes:
    """Return the input that tells an agent how a rollback has ended."""
    said = [
        outcome.then, outcome.proposal, outcome.decision, [str(root) for root in outcome.roots], len(outcome.undone),
        len(outcome.electors), [list(each) for each in outcome.rejects[:REJECTS_MAX]],
        (outcome.decided_us - outcome.began_us) / 1e6, outcome.evidence,
    ]  # fmt: skip
    return sealed(ROLLED_BACK, said)


def ended(
    proposal: str, decision: str, roots: list[str], undone: int, agents: int, rejects: list[list[str]],
    seconds: float, evidence: bytes,
) -> RolledBack:  # fmt: skip
    """Return what such an input says; args as `told_of` has put them, less the method."""
    pairs = tuple((agent, why) for agent, why in rejects)
    shown = payload.decode(evidence) if evidence else None
    steps = tuple(map(StepId.parse, roots))
    return RolledBack(proposal, decision == "commit", steps, undone, agents, pairs, seconds, shown)
