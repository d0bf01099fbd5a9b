"""People in the fault matrix: they sign what they say, and their tools die, repeat themselves or are late."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from peer.cluster.requests import PendingRequest
from peer.errors import AskTimeout, CallerError
from peer.keys import HostKeys
from peer.people.person import MAY, Person
from peer.trust.grant import grant
from sims.studies.matrix.agents import BOSS
from sims.world import World

ONCE, TWICE, DIES = "once", "twice", "dies"
"""How a person's tool says a word: `dies`: its process ends as soon as the word is sent; another says it again."""
LOOK_S = 0.05
SENT_S = 0.0001
TRIES_MAX = 20


def boss(world: World) -> Person:
    """Return a person whom the world's cluster vouches for."""
    keys = HostKeys.from_seed(f"{world.seed}/{BOSS}".encode())
    return Person(keys, (grant(world.engine.operator.authority, "eve", keys.public_key, MAY, roles=(BOSS,)),))


class Desktop:
    """A person at a tool.

    Args:
        how: the tool says each word.
    """

    def __init__(self, world: World, how: str = ONCE) -> None:
        self._world = world
        self._how = how
        self.person = boss(world)
        self._overseeing: asyncio.Task[None] | None = None

    def say(self, agent: str, order: int | str, verb: str, value: Any = None) -> None:
        """Say a word of what waits of an order (or question), until it is confirmed or refused."""
        self.confirm(self.find(agent, order), verb, value)

    def confirm(self, request: PendingRequest, verb: str, value: Any = None) -> None:
        """Say a word of a request, by a tool that may die or repeat itself."""
        wait = self._world.engine.wait
        if self._how == DIES:
            wait(self._cut_short(self._word(request, verb, value)))
        if self._how == TWICE:
            wait(self._both(request, verb, value))
        else:
            wait(self._insist(request, verb, value))

    def find(self, agent: str, order: int | str) -> PendingRequest:
        """Return what waits of an order."""
        return self._world.engine.wait(self._find(agent, order))

    def wait_for_inbox(self) -> None:
        """Let time pass until something waits for this person."""
        self._world.engine.wait(self._wait_for_inbox())

    async def _wait_for_inbox(self) -> None:
        while not await self._world.engine.operator.inbox(self.person):
            await asyncio.sleep(LOOK_S)

    async def _find(self, agent: str, order: int | str) -> PendingRequest:
        for _ in range(TRIES_MAX):
            try:
                found = await self._world.engine.operator.requests(agent)
            except AskTimeout:
                continue
            for request in found:
                if request.args[0] == order:
                    return request
            await asyncio.sleep(LOOK_S)
        raise CallerError(f"nothing of {order} waits at {agent}. Nothing was said.")

    def _word(self, request: PendingRequest, verb: str, value: Any) -> Coroutine[Any, Any, None]:
        if verb == "answer":
            return request.answer(value, "as ever", as_=self.person)
        if verb == "approve":
            return request.approve("as ever", as_=self.person)
        if verb == "release":
            return request.release("as ever", as_=self.person)
        return request.reject("as ever", as_=self.person)

    async def _insist(self, request: PendingRequest, verb: str, value: Any) -> None:
        for _ in range(TRIES_MAX):
            try:
                await self._word(request, verb, value)
            except AskTimeout:
                continue
            except CallerError:
                return  # it is not taken any more, and that is told
            return

    async def _both(self, request: PendingRequest, verb: str, value: Any) -> None:
        await asyncio.gather(self._insist(request, verb, value), self._insist(request, verb, value))

    async def _cut_short(self, word: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(word)
        await asyncio.sleep(SENT_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    # -- overseeing ------------------------------------------------------------------------------------------------

    def oversee(self, verb: str, after_s: float = 0.0) -> None:
        """Say this of every rollback that waits for this person, from now on."""
        self.rest()
        self._overseeing = self._world.engine.loop.create_task(self._oversee(verb, after_s))

    def rest(self) -> None:
        """Look at the inbox no more."""
        if self._overseeing is not None:
            self._overseeing.cancel()
            self._overseeing = None

    async def _oversee(self, verb: str, after_s: float) -> None:
        while True:
            try:
                waiting = await self._world.engine.operator.inbox(self.person)
            except AskTimeout:
                continue
            for request in waiting:
                await asyncio.sleep(after_s)
                if self._how == DIES:
                    await self._cut_short(self._word(request, verb, None))
                if self._how == TWICE:
                    await self._both(request, verb, None)
                else:
                    await self._insist(request, verb, None)
            await asyncio.sleep(LOOK_S)
