"""What a watcher does through its host: it looks at what a rollback would undo, and holds requests back."""

from typing import Any

from peer.agents.asking import Ask, asking
from peer.agents.tool import COMPENSABLE, IDEMPOTENT, IRREVERSIBLE, PURE, Call, Happened, NotHappened, Tool
from peer.cluster.preview import preview
from peer.host import questions
from peer.host.questions import Part, PartAnswer, Withhold
from peer.watching.case import Foresight
from protocol.ids import StepId


async def _foresee(steps: list[str], ask: Ask) -> list[Any]:
    """Look at what undoing steps would undo; return a `Foresight`'s numbers, and the intents that have an undo."""

    async def part(agent: str, wanted: Part) -> PartAnswer:
        return questions.decode(await ask(agent, "part", questions.encode(wanted)), PartAnswer)

    plan = await preview(tuple(sorted(map(StepId.parse, steps))), part)
    final = sum(call.kind == IRREVERSIBLE for call in plan.calls)
    newest_first = sorted(plan.calls, key=lambda call: call.time_us, reverse=True)
    intents = [call.intent for call in newest_first if call.kind == COMPENSABLE]
    return [len(plan.steps), len(plan.agents), len(intents), final, intents]


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
    steps, agents, effects, final, intents = found
    return Foresight(steps, agents, effects, final), intents
