"""Drills: tools' undos are tried on what their authors declare for it, since one that nobody has tried is a hope."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from peer.agents.failures import is_ours, told
from peer.agents.functions import called
from peer.agents.resources import Resources
from peer.agents.tool import COMPENSABLE, IDEMPOTENT, IRREVERSIBLE, Call, Canary, Happened, NotHappened, Tool
from peer.threads import Threads
from peer.values import payload
from peer.values.brief import shown

HOLDS, FAILS, NOT_TRIED, NO_UNDO = "holds", "fails", "not tried", "cannot be undone"
_POOL = Threads("drills")


@dataclass(frozen=True)
class Drilled:
    """What came of one drill."""

    tool: str
    kind: str
    outcome: str
    """`holds`, `fails`, `not tried` or `cannot be undone`."""
    why: str
    seconds: float
    at_us: int
    """When, in microseconds since 1970."""


class _Failed(Exception):  # it ends one drill
    pass


async def drill(tools: Iterable[Tool[..., Any]], resources: Resources | None = None) -> list[Drilled]:
    """Try the undo of each tool on its canary, one after the other; never raises what a tool raises.

    A compensable tool is called, undone, and undone once more, as after a crash; an idempotent one is called twice.
    Each time its check and its canary's `look` have to say what they should.

    Args:
        tools: which; those that are pure have nothing to undo.
        resources: what tools need open; closed by whoever gives it.
    """
    lent = Resources() if resources is None else resources
    found: list[Drilled] = []
    try:
        for tool in tools:
            if tool.kind in (COMPENSABLE, IDEMPOTENT, IRREVERSIBLE):
                found.append(await _drilled(tool, lent))
    finally:
        if resources is None:
            lent.end(is_orderly=True)
            await lent.close()
    return found


async def _drilled(tool: Tool[..., Any], resources: Resources) -> Drilled:
    began, at_us = time.monotonic(), time.time_ns() // 1000
    if tool.kind == IRREVERSIBLE:
        return Drilled(tool.name, tool.kind, NO_UNDO, "it is let go when its step is settled, or by people", 0.0, at_us)
    if tool.canary is None:
        why = "its author has declared no canary: @tool(..., canary=Canary(args, look=...))"
        return Drilled(tool.name, tool.kind, NOT_TRIED, why, 0.0, at_us)
    trial = _Trial(tool, tool.canary, resources)
    try:
        await (trial.undone() if tool.kind == COMPENSABLE else trial.repeated())
        outcome, why = HOLDS, ""
    except _Failed as failed:
        outcome, why = FAILS, str(failed)
    except BaseException as error:
        if is_ours(error):
            raise
        outcome, why = FAILS, told(error)
    return Drilled(tool.name, tool.kind, outcome, why, round(time.monotonic() - began, 3), at_us)


class _Trial:
    def __init__(self, tool: Tool[..., Any], canary: Canary, resources: Resources) -> None:
        self._tool = tool
        self._canary = canary
        self._resources = resources
        self._intent = f"drill/{uuid4().hex}/0"
        self._result: Any = None

    async def undone(self) -> None:
        """Call, undo, undo again."""
        before = await self._look()
        await self._call()
        await self._expect(True, "after the call")
        if self._canary.look is not None and _same(await self._look(), before):
            raise _Failed("the call has changed nothing that the canary looks at, so nobody can see its undo")
        for when in ("after the undo", "after the undo was called once more, as after a crash"):
            await self._invoke(self._tool.undo, self._as_call())
            await self._expect(False, when)
            if not _same(after := await self._look(), before):
                raise _Failed(f"{when} the canary shows {shown(after)}, and it was {shown(before)}")

    async def repeated(self) -> None:
        """Call twice."""
        await self._call()
        once = await self._look()
        await self._call()
        if not _same(twice := await self._look(), once):
            raise _Failed(
                f"called twice the canary shows {shown(twice)}, and called once {shown(once)}: it is not idempotent"
            )

    async def _call(self) -> None:
        extra = {"intent": self._intent} if self._tool.takes_intent else {}
        self._result = await self._invoke(self._tool.function, *self._canary.args, **self._canary.kwargs, **extra)

    async def _expect(self, happened: bool, when: str) -> None:
        if self._tool.check is None:
            return
        try:
            found = await self._invoke(self._tool.check, self._as_call())
        except NotHappened as error:
            found = error
        stands = isinstance(found, Happened) or found is Happened
        is_gone = isinstance(found, NotHappened) or found is NotHappened
        if not (stands if happened else is_gone):
            raise _Failed(f"{when} its check says {shown(found)}")

    async def _look(self) -> Any:
        if self._canary.look is None:
            return None
        return await called(_POOL, self._canary.look)

    def _as_call(self) -> Call:
        return Call(self._intent, self._canary.args, dict(self._canary.kwargs), self._result)

    async def _invoke(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        lent = await self._resources.lent(self._tool.resources, function)
        return await called(_POOL, function, *args, **kwargs, **lent)


def _same(one: Any, other: Any) -> bool:
    return payload.encode(one) == payload.encode(other)
