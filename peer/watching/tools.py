"""What a watcher does through its host: it looks at what a rollback would undo, and holds requests back."""

import asyncio
from typing import Any

from peer.agents.asking import Ask, asking
from peer.agents.tool import COMPENSABLE, IDEMPOTENT, IRREVERSIBLE, PURE, Call, Happened, NotHappened, Tool
from peer.cluster.outcome import Plan
from peer.cluster.preview import preview
from peer.host import questions
from peer.host.questions import CutsAnswer, Part, PartAnswer, Withhold
from peer.watching.case import Foresight
from protocol.ids import AgentId, StepId


async def _foresee(steps: list[str], ask: Ask) -> list[Any]:
    """Look at what undoing steps would undo; return a `Foresight`'s numbers, and the intents that have an undo."""

    async def part(agent: str, wanted: Part) -> PartAnswer:
        return questions.decode(await ask(agent, "part", questions.encode(wanted)), PartAnswer)

    plan = await preview(tuple(sorted(map(StepId.parse, steps))), part)
    final = sum(call.kind == IRREVERSIBLE for call in plan.calls)
    newest_first = sorted(plan.calls, key=lambda call: call.time_us, reverse=True)
    intents = [call.intent for call in newest_first if call.kind == COMPENSABLE]
    cuts = await asyncio.gather(*(ask(agent, "cuts", b"") for agent in plan.agents))
    known = [questions.decode(each, CutsAnswer) for each in cuts]
    epoch, restored = _restored(plan, dict(zip(plan.agents, known, strict=True)))
    return [len(plan.steps), len(plan.agents), len(intents), final, epoch, restored, intents]


def _restored(plan: Plan, cuts: dict[AgentId, CutsAnswer]) -> tuple[int, int]:
    """Return the newest checkpoint before all roots, and how many steps going back to it would undo at these agents.

    0 and 0 if none of those that are kept was made before.
    """
    places = {agent: {cut.epoch: (cut.incarnation, cut.seq) for cut in each.cuts} for agent, each in cuts.items()}
    committed = min(each.committed for each in cuts.values())
    for epoch in range(committed, 0, -1):
        if any(epoch not in place for place in places.values()):
            break
        if all(places[root.agent][epoch] < (root.incarnation, root.seq) for root in plan.roots):
            pairs = ((cuts[agent].last, place[epoch]) for agent, place in places.items())
            # Of an agent that has begun anew since then, those of its present life alone are counted.
            return epoch, sum(last - seq if life == then else last for (life, last), (then, seq) in pairs)
    return 0, 0


async def _hold(agent: str, by: str, why: str, ask: Ask) -> None:
    await ask(agent, "hold", questions.encode(Withhold(by, True, why)))


async def _let_go(agent: str, by: str, why: str, ask: Ask) -> None:
    await ask(agent, "hold", questions.encode(Withhold(by, False, why)))


async def _unhold(call: Call, ask: Ask) -> None:
    agent, by, _ = call.args
    await _let_go(agent, by, "what has held it back is undone", ask)


async def _is_held(call: Call, ask: Ask) -> Happened | NotHappened:
    agent, by, _ = call.args
    found = await ask(agent, "hold", questions.encode(Withhold(by, None, "")))
    return Happened() if found else NotHappened()


LENT = {"ask": asking}
FORESEE: Tool[..., Any] = Tool(_foresee, PURE, None, None, "ebbtide.foresee", resources=LENT)
HOLD: Tool[..., Any] = Tool(_hold, COMPENSABLE, _unhold, _is_held, "ebbtide.hold", resources=LENT)
"""Keeps what an agent requests from being let go; undone with the step that has held it, should that be undone."""
LET_GO: Tool[..., Any] = Tool(_let_go, IDEMPOTENT, None, None, "ebbtide.let_go", resources=LENT)


def foresight(found: list[Any]) -> tuple[Foresight, list[str]]:
    """Return what `FORESEE` has found, and the intents of calls that can be undone, newest first."""
    steps, agents, effects, final, epoch, restored, intents = found
    return Foresight(steps, agents, effects, final, epoch, restored), intents
