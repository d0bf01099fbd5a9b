"""Runs the functions of one agent's tools: in threads if they are plain, for no longer than they may take."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from peer import errors
from peer.agents.agent import Agent
from peer.agents.failures import Ended, is_ours, traced
from peer.agents.functions import is_async
from peer.agents.resources import Resources
from peer.agents.tool import Call, Tool
from peer.threads import in_thread, pool_of
from protocol.action import Tell

logger = logging.getLogger("ebbtide")

HANGS_S = 30.0
"""A call, an undo or a check that has not returned by then is told of."""


class Late(TimeoutError):
    """A tool has not returned in its time."""

    def __init__(self, what: str, seconds: float, goes_on: bool) -> None:
        super().__init__(f"{what} has not returned within {seconds:g} s")
        self.goes_on = goes_on
        """It is in a thread, which nobody can stop: it may yet happen."""


class Invoker:
    """One agent's way to what its tools do.

    Args:
        agent: whose.
        tell: takes what people should know.
        resources: what tools need open.
    """

    def __init__(self, agent: Agent, tell: Callable[[Tell], None], resources: Resources) -> None:
        self._agent = agent
        self._tell = tell
        self._resources = resources

    async def invoke(
        self, tool: Tool[..., Any], verb: str, function: Callable[..., Any], intent: str, /, *args: Any, **kwargs: Any
    ) -> Any:
        """Call a function of a tool's: a plain one in a thread, and none for longer than the tool allows.

        In a branch something else answers in its place.

        Raises: what it raises, as an Exception; ResourceFailed, if what it needs could not be opened.
        """
        rehearsal = self._resources.rehearsal
        if rehearsal is not None and rehearsal.stands_for(tool):
            return await rehearsal.instead(self._agent.name, tool, verb, intent, args, kwargs)
        goes_on, has_begun = not is_async(function), False

        async def once() -> Any:
            nonlocal has_begun
            lent = await self._resources.lent(tool.resources, function)
            has_begun = True
            if not goes_on:
                return await function(*args, **kwargs, **lent)
            purpose = "tools" if verb == "call" else "undos"
            result = await in_thread(pool_of(type(self._agent), purpose), function, *args, **kwargs, **lent)
            return await result if asyncio.iscoroutine(result) else result

        try:
            async with tool.turn():
                if tool.timeout_s is None:
                    return await once()
                async with asyncio.timeout(tool.timeout_s) as limit:
                    return await once()
        except TimeoutError as error:
            if tool.timeout_s is not None and limit.expired():  # pyright: ignore[reportPossiblyUnboundVariable]
                if not has_begun:
                    text = (
                        f"what {tool.name} needs was not open within {tool.timeout_s:g} s: {', '.join(tool.resources)}"
                    )
                    raise errors.ResourceFailed(text) from error
                raise Late(f"{verb} of {tool.name}", tool.timeout_s, goes_on) from error
            raise
        except BaseException as error:
            if isinstance(error, Exception) or is_ours(error):
                raise
            # Whatever else ends user code ends that alone: sys.exit, a cancelled task inside it, a group of these.
            logger.debug("%s", traced(error))
            raise Ended(error) from None

    def what(self, places: Mapping[str, Any]) -> str:
        """Return whose code runs, from the names in a frame of `invoke`."""
        tool: Tool[..., Any] = places["tool"]
        return f"{places['verb']} of tool {tool.name}, for {self._agent.name},"

    def tell_held(self, text: str) -> None:
        """Let people know that a tool holds the loop."""
        self._tell(Tell("loop-held", self._agent.name, text))

    @asynccontextmanager
    async def told_if_it_hangs(self, tool: Tool[..., Any], call: Call, verb: str) -> AsyncIterator[None]:
        """Let people know of what has not returned for long."""

        def tell() -> None:
            text = f"{verb} of {tool.name} has not returned for {HANGS_S:g} s; it is waited for"
            logger.warning("%s: %s (%s)", self._agent.name, text, call.intent)
            self._tell(Tell(f"{verb}-hangs", call.intent, text))

        timer = asyncio.get_running_loop().call_later(HANGS_S, tell)
        try:
            yield
        finally:
            timer.cancel()
