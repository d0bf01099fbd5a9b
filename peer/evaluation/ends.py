"""How long rollbacks took: until they were decided, and from then on until all was as it should be."""

from collections.abc import Iterable
from statistics import median
from typing import NamedTuple

from peer.audit.trail import Rollback, Step, Trail
from protocol.agent.intents import UNDONE
from protocol.ids import AgentId, Lineage

Runs = dict[tuple[AgentId, Lineage], list[Step]]
"""By agent and by what an input stands for, the steps that have handled it, in their order."""


class Times(NamedTuple):
    """Of some rollbacks, in seconds; None, where there were none."""

    median: float | None
    most: float | None


def times_of(seconds: Iterable[float]) -> Times:
    """Return the middle and the longest of some times."""
    known = list(seconds)
    return Times(median(known), max(known)) if known else Times(None, None)


def runs_of(trail: Trail) -> Runs:
    """Return the runs of every input."""
    found: Runs = {}
    for step in sorted(trail.steps.values(), key=lambda each: each.id):
        found.setdefault((step.id.agent, step.record.input.lineage), []).append(step)
    return found


def decide_s(trail: Trail) -> Times:
    """Return how long it took from proposals to their last electors' decisions."""
    return times_of(
        max(0, rollback.decided_us - rollback.proposal.began_us) / 1e6
        for rollback in trail.rollbacks.values()
        if rollback.decided_us is not None
    )


def recover_s(trail: Trail, runs: Runs) -> Times:
    """Return how long it took from the decisions of rollbacks that were committed until the last of what they had
    undone had run again, and the last of their effects was undone.
    """
    undone: dict[str, list[Step]] = {}
    for step in trail.steps.values():
        if step.undone is not None:
            undone.setdefault(step.undone.by, []).append(step)
    return times_of(
        _recovered(trail, rollback, undone.get(pid, []), runs)
        for pid, rollback in trail.rollbacks.items()
        if rollback.decision == "commit"
    )


def _recovered(trail: Trail, rollback: Rollback, undone: list[Step], runs: Runs) -> float:
    decided = rollback.decided_us or 0
    last = decided
    for step in undone:
        again = [other for other in runs[step.id.agent, step.record.input.lineage] if other.id > step.id]
        if again:
            last = max(last, again[0].record.time_us)
        effects = [trail.effects[intent] for intent in step.record.calls if intent in trail.effects]
        last = max([last, *(at for effect in effects for state, _, at in effect.history if state == UNDONE)])
    return (last - decided) / 1e6
