"""Inputs that somebody calls off: asked of their agent one by one, and told together what could not be called off."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from peer import errors
from peer.cluster.effects import somebody
from peer.host import questions
from peer.host.questions import CallOff
from peer.values.texts import NAME_CHARS_MAX, REASON_CHARS_MAX, check_text
from protocol.ids import AgentId

Ask = Callable[[AgentId, str, bytes], Awaitable[bytes]]
_NOTHING = "Nothing was called off."
_AT_ONCE = 64
"""Questions under way: more would only wait in line at the agent."""


async def call_off(ask: Ask, agent: AgentId, names: Sequence[Any], why: Any, by: Any) -> None:
    """Call inputs off, each by itself.

    Args:
        ask: asks something of an agent's host.
        agent: whose inputs.
        names: of the inputs.
        why: for people; it stands in the log.
        by: who says so; the user of this process if None.

    Raises: CallerError, for what is no name or text; InputHandled or InputUnknown, of the first that could not be
        called off, once all were asked; AgentUnknown, AskTimeout.
    """
    if not names:
        raise errors.CallerError(f"name an input. {_NOTHING} A receipt of `submit` has the names.")
    wanted = [check_text("input", name, NAME_CHARS_MAX, _NOTHING) for name in names]
    reason = check_text("why", why, REASON_CHARS_MAX, _NOTHING, least=0)
    who = check_text("by", (somebody() or "somebody") if by is None else by, NAME_CHARS_MAX, _NOTHING)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> errors.CallerError | None:
        async with turns:
            try:
                await ask(agent, "call off", questions.encode(CallOff(name, reason, who)))
            except (errors.InputHandled, errors.InputUnknown) as error:
                return error
        return None

    refused = [error for error in await asyncio.gather(*map(one, wanted)) if error is not None]
    if not refused:
        return
    first, more = refused[0], len(refused) - 1
    if len(wanted) == 1:
        raise first
    others = f" Nor can {more} more." if more else ""
    raise type(first)(f"{first}{others} {len(wanted) - len(refused)} of {len(wanted)} inputs are called off.")
