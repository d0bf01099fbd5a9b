"""Effects that are countered though their steps stand: compensation forward in time (EF-8).

One agent is handed the plan as an input: which effects, newest first. It requests a tool of the runtime's own, which
has each countered by the agent whose it is, one after the other. So the plan outlives whoever has asked for it, and a
crash of anybody; and who asked for it, and why, stands in the logs.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from peer import errors
from peer.agents.envelope import COMPENSATE, REQUEST, sealed
from peer.agents.tool import IDEMPOTENT, Tool, encode_args
from protocol.limits import NEVER_US
from protocol.step import OutputDraft, Request

Counter = Callable[[str, str, str], Awaitable[str]]
"""Has an effect countered, for a reason, by somebody; returns its state, as `protocol.event.EffectAsked` has it."""

UNDER_WAY = ("open", "undoing")
"""States of which another follows by itself."""
PAUSE_S, PAUSE_S_MAX = 0.02, 2.0
ORDER_S = 30.0
"""For how long an effect is waited for before the one that was done before it is countered, too."""


@asynccontextmanager
async def countering() -> AsyncIterator[Counter]:
    """Stand for what a host lends: a way to have effects countered at whichever agent."""
    raise errors.ResourceFailed("no host lends this")
    yield


async def _counter(intents: list[str], why: str, by: str, counter: Counter) -> dict[str, str]:
    """Have effects countered in order; return their states."""
    states = {intent: await _tried(intent, why, by, counter, ORDER_S) for intent in intents}
    while late := [intent for intent, state in states.items() if state in ("", *UNDER_WAY)]:
        # Whoever could not be asked is asked until it can; an undo that fails goes on by itself, and is told of.
        states |= {intent: await _tried(intent, why, by, counter, 0) for intent in late}
        if not any(states[intent] in ("", "open") for intent in late):
            break
        await asyncio.sleep(PAUSE_S_MAX)
    return states


async def _tried(intent: str, why: str, by: str, counter: Counter, wait_s: float) -> str:
    clock = asyncio.get_running_loop().time
    until, pause_s, state = clock() + wait_s, PAUSE_S, ""
    while True:
        with suppress(errors.AskTimeout, errors.AgentUnknown):  # its agent is down, or moves: it is asked again
            state = await counter(intent, why, by)
        if state not in ("", *UNDER_WAY) or clock() >= until:
            return state
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_S_MAX)


COUNTER_TOOL: Tool[..., Any] = Tool(
    _counter, IDEMPOTENT, None, None, "ebbtide.compensate", resources={"counter": countering}
)
"""What logs call the work of countering effects."""
HANDLER = "_compensated"
"""The method of every agent that is told what has come of it."""


def compensating(intents: Sequence[str], why: str, by: str) -> bytes:
    """Return the message that has an agent see to it that effects are countered, in this order."""
    return sealed(COMPENSATE, [list(intents), why, by])


def requested(agent: str, intents: list[str], why: str, by: str) -> OutputDraft:
    """Return what a step requests that handles such a message."""
    given = encode_args((intents, why, by), {})
    wanted = Request(COUNTER_TOOL.name, COUNTER_TOOL.kind, given, checks=False)
    said = sealed(REQUEST, [HANDLER, COUNTER_TOOL.name, given])
    return OutputDraft(agent, said, None, NEVER_US, wanted)
