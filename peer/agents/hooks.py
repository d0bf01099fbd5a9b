"""What an agent is told besides its inputs: that it has come up, and which of its steps are undone."""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from peer.agents.agent import Agent
from peer.agents.attempts import Attempts
from peer.agents.failures import GIVEN_UP_S, is_ours, told, traced
from peer.agents.functions import is_async
from peer.agents.whose import WHOSE, Whose
from peer.threads import in_thread, pool_of
from protocol.action import Tell
from protocol.ids import StepId

logger = logging.getLogger("ebbtide")


class Hooks:
    """One agent's hooks, called one after the other, in the order of what they tell of.

    Args:
        agent: whose.
        attempts: notes what runs, for the next life of the process.
        tell: takes what people should know.
    """

    def __init__(self, agent: Agent, attempts: Attempts, tell: Callable[[Tell], None]) -> None:
        self._agent = agent
        self._attempts = attempts
        self._tell = tell
        self._due: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._up = asyncio.Event()

    def began(self, is_first: bool) -> None:
        """The agent has come up: for the first time ever, or again."""
        self._call("on_start" if is_first else "on_restart")
        if self._task is None:
            self._up.set()

    def undone(self, steps: tuple[StepId, ...]) -> None:
        """Steps of the agent have been undone."""
        self._call("on_undone", steps)

    async def up(self) -> None:
        """Return once the agent knows that it has come up: no handler runs before."""
        await self._up.wait()

    def stop(self) -> None:
        """Call no more."""
        self._is_stopping = True
        self._due.clear()
        if self._task is not None:
            self._task.cancel()

    def _call(self, name: str, *args: Any) -> None:
        if getattr(type(self._agent), name) is getattr(Agent, name):
            return
        self._due.append((name, args))
        if self._task is None:
            self._go_on()

    def _go_on(self) -> None:
        self._task = asyncio.ensure_future(self._work())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and not self._is_stopping:
            # Either a hook has cancelled its own task, or the loop is about to end: then nobody will call.
            task.get_loop().call_later(GIVEN_UP_S, self._given_up)
            return
        self._task = None
        if self._due:
            self._go_on()

    def _given_up(self) -> None:
        """Go on after a hook that has cancelled its own task: handlers wait for the first."""
        if self._is_stopping:
            return
        text = "it has cancelled itself"
        logger.warning("%s: a hook failed: %s", self._agent.name, text)
        self._tell(Tell("hook-failed", self._agent.name, text))
        self._up.set()
        self._go_on()

    async def _work(self) -> None:
        WHOSE.set(Whose(self._agent.name))
        while self._due:
            name, args = self._due.popleft()
            try:
                async with self._attempts.noted(f"{self._agent.name} {name}", self._agent.tries, forgives=True):
                    await self._run(getattr(self._agent, name), args)
            except BaseException as error:
                if is_ours(error):
                    raise
                logger.warning("%s: %s failed: %s\n%s", self._agent.name, name, told(error), traced(error))
                self._tell(Tell("hook-failed", self._agent.name, f"{name}: {told(error)}"))
            self._up.set()

    async def _run(self, hook: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if is_async(hook):
            await hook(*args)
            return
        result = await in_thread(pool_of(type(self._agent), "hooks"), hook, *args)
        if inspect.isawaitable(result):
            await result
