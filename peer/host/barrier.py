"""Before an agent reads or writes outside it hears what the others have written there up to now (SH-5).

It asks all others who touch that scope. Each answers once the step at hand there, if that has written in the scope, is
over and on disk, and no effect of a tool that writes there is still to be undone. So what can be seen outside has its
entry here, or is gone. Source: cross-service causal consistency by such barriers, Ferreira Loff et al. 2023 (Antipode).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from peer.agents.runner import Runner
from peer.host.replicas import Replicas
from peer.ports import Clock
from protocol.action import Tell
from protocol.agent.core import Core
from protocol.ids import AgentId
from protocol.message import Message, Shared, Sync
from protocol.step import OUTSIDE

WAIT_S = 5.0
"""For how long an agent waits for the others; then it goes on, and says whose writings it may have missed."""
AGAIN_S = 0.25
"""After which it asks again whoever has not answered: a message may be lost."""
LOOK_US = 5_000
"""After which an answer that was held back is looked at again."""


class Neighbourhood(Protocol):
    """What a barrier needs of its host."""

    @property
    def clock(self) -> Clock:
        """Tells the time, and wakes."""
        ...

    def subscribers(self, space: str) -> list[AgentId]:
        """Return who is known to take part in a space."""
        ...

    def route(self, sender: AgentId, receiver: AgentId, message: Message) -> None:
        """Send a message."""
        ...


class Barrier:
    """One agent's waiting for others, and theirs for it.

    Args:
        agent: its name.
        host: where it lives.
        replicas: its documents.
        core: what it knows.
        runner: runs its handlers, which wait here.
        tell: takes what people should know.
    """

    def __init__(
        self, agent: AgentId, host: Neighbourhood, replicas: Replicas, core: Core, runner: Runner,
        tell: Callable[[Tell], None],
    ) -> None:  # fmt: skip
        self._agent = agent
        self._host = host
        self._replicas = replicas
        self._core = core
        self._runner = runner
        self._tell = tell
        runner.catch_up = self.caught_up
        self._asked = 0
        self._waiting: dict[int, tuple[set[AgentId], asyncio.Event]] = {}

    async def caught_up(self, space: str) -> None:
        """Wait until all others have told what they have written in a space; no longer than `WAIT_S`."""
        # After a restart the log knows of others whom the host has not heard of yet.
        known = {*self._host.subscribers(space), *self._core.subscribers.get(space, ())}
        others = known - {self._agent}
        if not others:
            return
        self._asked += 1
        number = self._asked
        left, done = self._waiting[number] = (others, asyncio.Event())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    await self._ask(space, number, left, done)
        finally:
            del self._waiting[number]
        if left:
            names = ", ".join(sorted(left))
            scope = space.removeprefix(OUTSIDE)
            self._tell(Tell("outside-unsure", scope, f"{names} did not say in time what they have written there"))

    async def _ask(self, space: str, number: int, left: set[AgentId], done: asyncio.Event) -> None:
        while not done.is_set():
            for name in sorted(left):
                self._host.route(self._agent, name, Sync(space, self._replicas.vector(space).vector, number))
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S):
                    await done.wait()

    def came(self, sender: AgentId, message: Shared) -> None:
        """Somebody has told what it has written. The answer to a question lacks nothing that was written before."""
        for number, (left, done) in self._waiting.items():
            if message.ask >= number:
                left.discard(sender)
            if not left:
                done.set()

    def holds(self, message: Sync, again: Callable[[], None]) -> bool:
        """Tell whether an answer is to wait; if so it is looked at `again`."""
        if not message.ask or not message.space.startswith(OUTSIDE) or not self._is_writing(message.space):
            return False
        self._host.clock.wake(self._host.clock.now_us() + LOOK_US, again)
        return True

    def _is_writing(self, space: str) -> bool:
        core, runner = self._core, self._runner
        # Those that wait belong to an attempt that has failed: the next one claims them, or they are undone.
        loose = dict.fromkeys(effect.tool for effect in (*core.intents.doomed(), *core.intents.waiting()))
        return not core.is_flushed() or runner.is_writing(space) or space in runner.spaces_of(loose)
