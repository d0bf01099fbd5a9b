"""Compensation forward in time: what steps have done to the world is countered, and the steps stand."""

from peer.agents.countering import UNDER_WAY
from peer.agents.tool import COMPENSABLE
from peer.cluster.effects import Effect, agent_of
from peer.cluster.outcome import Compensation, Plan
from protocol.ids import AgentId, StepId


def countable(plan: Plan) -> list[str]:
    """Return the effects of a plan that can be countered, those first that hang on others: the newest."""
    newest = sorted(enumerate(plan.calls), key=lambda each: (each[1].time_us, each[0]), reverse=True)
    return [call.intent for _, call in newest if call.kind == COMPENSABLE]


def is_under_way(wanted: list[str], effects: list[Effect]) -> bool:
    """Tell whether one of these is still to be countered, or its undo is tried for the first time."""
    found = {effect.intent: effect for effect in effects}
    return any(
        effect.state in ("done", "open") or (effect.state == "undoing" and not effect.why)
        for intent in wanted
        if (effect := found.get(intent)) is not None
    )


def owner_of(intents: list[str]) -> AgentId:
    """Return who is to see to it that effects are countered: whoever has made the first of them."""
    return agent_of(intents[-1])


def came(step: StepId | None, plan: Plan, wanted: list[str], effects: list[Effect]) -> Compensation:
    """Return what has come of it.

    Args:
        step: the step that was told.
        plan: the steps, and all their effects.
        wanted: those of them that were to be countered, newest first.
        effects: as they stand now.
    """
    states = {effect.intent: effect.state for effect in effects}
    doubtful = tuple(call.intent for call in plan.calls if states.get(call.intent, call.state) == "doubt")
    countered = tuple(intent for intent in wanted if states.get(intent) == "undone")
    pending = tuple(intent for intent in wanted if states.get(intent) in UNDER_WAY)
    named = {*countered, *pending, *doubtful}
    return Compensation(
        step, plan.steps, countered, pending, doubtful,
        tuple(call.intent for call in plan.calls if call.intent not in named),
    )  # fmt: skip
