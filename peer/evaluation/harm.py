"""What wrong steps have done, and what was done to right ones: by the cones of steps of which somebody says that they
were wrong.

The cone is that of the logged edges. A step in it need not have come out otherwise than it should have: a wrong limit
that lets through what would have passed is wrong all the same.
"""

from collections.abc import Collection
from typing import NamedTuple

from peer.audit.edges import Edges
from peer.audit.trail import Effect, Trail
from peer.evaluation.naming import first_named
from protocol.agent.intents import DONE, UNDONE
from protocol.ids import AgentId, Lineage, StepId

OWN = "ebbtide."
"""Begins the names of tools that are the runtime's own: what they do stays inside."""
IRREVERSIBLE = "irreversible"


class Harm(NamedTuple):
    """What is known where the truth is."""

    detect_s: float | None
    missed: int
    standing: int
    innocent: int
    damage: int
    final: int
    let_go: int


def harm(trail: Trail, wrong: Collection[StepId]) -> Harm:
    """Return what came of wrong steps.

    Args:
        trail: of the run; all of `wrong` are in it.
        wrong: the steps that were wrong.
    """
    named = first_named(trail)
    cone = set(Edges(trail).cone(wrong))
    undone = {step.id for step in trail.steps.values() if step.undone is not None}
    standing = [step for step in wrong if step not in undone]
    left = _left(trail, cone)
    requested = _requested(trail)
    return Harm(
        detect_s=_detected(trail, wrong, named),
        missed=sum(step not in named for step in standing),
        standing=len(standing),
        innocent=len(undone - cone),
        damage=len(left),
        final=sum(effect.kind == IRREVERSIBLE for effect in left),
        let_go=sum((effect.agent, effect.lineage) in requested for effect in left),
    )


def effects_undone(trail: Trail) -> int:
    """Return how many calls of tools were done, and then undone."""
    return sum(
        effect.state == UNDONE and any(state == DONE for state, _, _ in effect.history) and _is_outside(effect)
        for effect in trail.effects.values()
    )


def _detected(trail: Trail, wrong: Collection[StepId], named: dict[StepId, int]) -> float | None:
    known = [named[step] for step in wrong if step in named]
    if not known:
        return None
    first = min(trail.steps[step].record.time_us for step in wrong)
    return max(0, min(known) - first) / 1e6


def _is_outside(effect: Effect) -> bool:
    return not effect.tool.startswith(OWN)


def _left(trail: Trail, cone: Collection[StepId]) -> list[Effect]:
    """Return the effects of a cone that are there to the end with no right step behind them.

    What a run that stands outside the cone has claimed is right. What is in doubt, or was begun and not ended, counts.
    """
    found: list[Effect] = []
    requested = _requested(trail)
    for effect in trail.effects.values():
        behind = {*trail.claims.get(effect.intent, ()), *requested.get((effect.agent, effect.lineage), ())}
        right = any(step not in cone and trail.steps[step].undone is None for step in behind)
        if effect.state != UNDONE and not right and not behind.isdisjoint(cone) and _is_outside(effect):
            found.append(effect)
    return found


def _requested(trail: Trail) -> dict[tuple[AgentId, Lineage], list[StepId]]:
    found: dict[tuple[AgentId, Lineage], list[StepId]] = {}
    for step in trail.steps.values():
        for place, _ in step.record.requests:
            found.setdefault((step.id.agent, step.record.outputs[place].lineage), []).append(step.id)
    return found
