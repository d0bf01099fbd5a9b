"""What a rollback would undo, found by asking everybody whom its cone has reached; nothing changes."""

import asyncio
from collections.abc import Awaitable, Callable

from peer import errors
from peer.cluster.outcome import Plan, PlannedUndo
from peer.host.questions import Part, PartAnswer
from protocol.ids import AgentId, MessageId, StepId

AskPart = Callable[[AgentId, Part], Awaitable[PartAnswer]]


async def preview(roots: tuple[StepId, ...], ask: AskPart) -> Plan:
    """Return who and what a rollback of these steps would undo.

    Args:
        roots: in order, each once.
        ask: asks an agent for its part.

    Raises: StepUnknown, and what `ask` raises.
    """
    known: dict[AgentId, PartAnswer] = {}
    credits: dict[AgentId, set[MessageId]] = {root.agent: set() for root in roots}
    todo = set(credits)
    while todo:
        asked = sorted(todo)
        todo = set()
        parts = await asyncio.gather(*(ask(agent, Part(roots, tuple(sorted(credits[agent])))) for agent in asked))
        for agent, part in zip(asked, parts, strict=True):
            if part.unknown:
                raise errors.StepUnknown(f"no step {part.unknown[0]} in the log of {agent}. Nothing changed.")
            known[agent] = part
            for step, sends, _ in part.cone:
                for debit in sends:
                    heard = credits.setdefault(debit.receiver, set())
                    if MessageId(step, debit.at) not in heard:
                        heard.add(MessageId(step, debit.at))
                        todo.add(debit.receiver)
    retracted = {step for part in known.values() for step in part.retracted}
    return Plan(
        roots=roots,
        steps=tuple(sorted(s.step for part in known.values() for s in part.cone if s.step not in retracted)),
        agents=tuple(sorted(known)),
        effects=tuple(sorted(effect for part in known.values() for effect in part.effects)),
        calls=tuple(
            PlannedUndo(call.intent, call.step, call.tool, call.state, call.kind, call.undo, call.time_us)
            for _, part in sorted(known.items())
            for call in part.calls
        ),
    )
