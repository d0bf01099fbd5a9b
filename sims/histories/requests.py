"""Requests of a history: what scripts want called, or answered by a person, once that is over (RQ-1 to RQ-3)."""

from random import Random

from protocol.agent.intents import IRREVERSIBLE, PERSON
from protocol.ids import AgentId
from protocol.limits import NEVER_US
from protocol.step import Hold, Input, OutputDraft, Request
from sims.histories.plan import MS, Plan

TOOLS = {"letter": (IRREVERSIBLE, -7), "card": ("compensable", -8), "person": (PERSON, -9)}
"""What is requested, what undoing it means, and the payload of its answer; nobody has a tool for the last."""


def answered(depth: int) -> str:
    """Return which tool's answer an input is, by its payload; empty for what is none."""
    return {payload: tool for tool, (_, payload) in TOOLS.items()}.get(depth, "")


def drawn(plan: Plan, agent: AgentId, item: Input, mood: int, others: list[OutputDraft]) -> list[OutputDraft]:
    """Return what a script requests besides its `others`: often the same in a re-run, or with other arguments."""
    rng = Random(f"{plan.seed}/{item.lineage}/{mood}/requests")
    outputs: list[OutputDraft] = []
    while rng.random() < plan.requests and len(outputs) < 2:
        tool, (kind, payload) = rng.choice(list(TOOLS.items()))
        hold = _hold(rng, kind) if kind == PERSON or rng.random() < 0.7 else None
        after_us = rng.choice((NEVER_US, NEVER_US, NEVER_US, 30 * MS, 200 * MS))
        key = rng.choice((None, "r0", "t0"))
        if key is None or all(out.key != key for out in (*others, *outputs)):
            request = Request(tool, kind, b"%d" % rng.randrange(2), rng.random() < 0.8, None, hold)
            outputs.append(OutputDraft(agent, b"%d" % payload, key, after_us, request))
    return outputs


def _hold(rng: Random, kind: str) -> Hold:
    stages = rng.choice(((), (("ann", 0),), (("ann", 0), ("bob", 40 * MS))))
    if rng.random() < 0.6:
        return Hold("may it?", stages)
    default = rng.choice(("reject", "answer" if kind == PERSON else "approve"))
    return Hold("may it?", stages, default, rng.choice((20, 100, 400)) * MS, b"late")
