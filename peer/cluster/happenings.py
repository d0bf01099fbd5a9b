"""Watches a cluster: what happens at its hosts, as it happens, from each by one question that stays open.

Hosts keep a little for whoever is slow, and count what they can't keep; that, and what a host's restart may have
swallowed, is told as `Missed`.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from peer import errors
from peer.host import questions
from peer.host.happenings import (
    KINDS,
    ROOTS_MAX,
    CheckpointMade,
    Happening,
    HostChanged,
    Missed,
    RestoreMade,
    WatchAnswer,
    WatchAsk,
    host_life,
)
from peer.host.host import Host
from peer.values.brief import brief
from protocol.fact import State
from protocol.ids import AgentId, HostId

BEGIN_S = 5.0
"""How long the hosts that are there may take to say that they are watched; later ones are waited for by themselves."""
HELD_MAX = 1_000
"""Happenings held here until they are taken: no more are asked for meanwhile."""
CHANGES_MAX = 1_000
"""Comings and goings of hosts among them; beyond that they are counted."""


class _Held:
    """What has come and is not taken yet."""

    def __init__(self) -> None:
        self._all: deque[Happening] = deque()
        self._changes: deque[Happening] = deque()
        self._missed = 0
        self._come = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._error: errors.EbbtideError | None = None
        self.is_over = False

    def add(self, happening: Happening) -> None:
        """Something has happened."""
        self._all.append(happening)
        self._come.set()
        if len(self._all) >= HELD_MAX:
            self._room.clear()

    async def room(self) -> None:
        """Return once more can be held."""
        await self._room.wait()

    def change(self, happening: Happening) -> None:
        """A host has come or gone: nobody can ask for that later."""
        if len(self._changes) == CHANGES_MAX:
            self._missed += 1
            return
        self._changes.append(happening)
        self._come.set()

    def end(self, error: errors.EbbtideError | None = None) -> None:
        """There is nothing more to come, for want of a cluster, or since a host refuses."""
        self.is_over, self._error = True, self._error or error
        self._come.set()

    async def take(self) -> Happening | None:
        """Return what has come first; None, once there is nothing more to come.

        Raises: what a host has refused with.
        """
        while True:
            if self._changes:
                return self._changes.popleft()
            if self._missed:
                missed, self._missed = self._missed, 0
                return Missed(datetime.now(UTC), "", missed, "hosts have come and gone quicker than they were told of")
            if self._all:
                happening = self._all.popleft()
                if len(self._all) < HELD_MAX // 2:
                    self._room.set()
                return happening
            if self.is_over:
                if self._error is not None:
                    raise self._error
                return None
            self._come.clear()
            await self._come.wait()


class _Lines:
    """The open questions to all hosts."""

    def __init__(self, host: Host, held: _Held, kinds: tuple[str, ...], agents: tuple[AgentId, ...]) -> None:
        self.loop = asyncio.get_running_loop()
        self._host = host
        self._held = held
        self._kinds = kinds
        self._agents = agents
        self._asks = any(kind != "hosts" for kind in kinds)
        self._name = f"{host.host_id}/{secrets.token_hex(8)}"
        self._asking: dict[HostId, asyncio.Task[None]] = {}
        self._seen: dict[HostId, tuple[AgentId, ...]] = {}
        """The hosts that have agents, and which."""
        self._has_begun = False
        """Whoever is asked from here on has done things that nobody was told."""
        self._epoch = self._restores = 0

    async def begin(self) -> None:
        """Ask all hosts that are known; return once they watch, or the time is over."""
        begun: list[asyncio.Event] = []
        self._host.neighbours.onlookers[self.turned] = None
        # It may be that nobody is asked when this peer ends.
        self._host.asking.at_end[self._held.end] = None
        for host, agents in self._hosts():
            standing = self._host.neighbours.machine.standing(host)
            if standing == State.LEFT:
                continue
            self._seen[host] = agents
            begun += self._follow(host) if standing != State.FAILED else self._follow(host)[:0]
        self._has_begun = True
        waits = [asyncio.ensure_future(event.wait()) for event in begun]
        if waits:
            _, late = await asyncio.wait(waits, timeout=BEGIN_S)
            for wait in late:
                wait.cancel()

    def end(self) -> None:
        """Ask nobody any more."""
        self._host.neighbours.onlookers.pop(self.turned, None)
        self._host.asking.at_end.pop(self._held.end, None)
        for host, task in self._asking.items():
            task.cancel()
            self._host.asking.tell_host(host, "unwatch", questions.encode(self._name))
        self._asking.clear()

    def _hosts(self) -> Iterable[tuple[HostId, tuple[AgentId, ...]]]:
        host = self._host
        return [(fact.host, fact.agents) for fact in host.known_hosts() if fact.agents]

    def _agents_of(self, host: HostId) -> tuple[AgentId, ...]:
        return next((agents for name, agents in self._hosts() if name == host), ())

    def turned(self, host: HostId, how: str) -> None:
        """A host has come or gone, or says something new of itself."""
        agents = self._agents_of(host)
        if how == "joined":
            is_new = host not in self._seen and bool(agents)
            if agents:
                self._seen[host] = agents
            if is_new:
                self._change(host, "joined")
        elif host in self._seen:
            self._change(host, "back" if how == "recovered" else how)
        if how == "left":
            self._seen.pop(host, None)
            if host in self._asking:
                self._asking.pop(host).cancel()
        elif host in self._seen:
            self._follow(host)

    def _change(self, host: HostId, how: str) -> None:
        if "hosts" in self._kinds:
            agents = self._seen.get(host, ())
            if not self._agents or any(agent in agents for agent in self._agents):
                self._held.change(HostChanged(datetime.now(UTC), host, how, agents[:ROOTS_MAX]))

    def _follow(self, host: HostId) -> list[asyncio.Event]:
        """Ask a host from now on, if it is not asked already, and has to do with what is wanted."""
        if host in self._asking or not self._asks:
            return []
        # What a host lists may be heard before the claim that makes it the home of who has moved there, or after it.
        listed, homes = self._agents_of(host), self._host.homes
        if self._agents and not any(agent in listed or homes.get(agent) == host for agent in self._agents):
            return []
        begun = asyncio.Event()
        self._asking[host] = asyncio.ensure_future(self._line(host, begun, is_late=self._has_begun))
        return [begun]

    async def _line(self, host: HostId, begun: asyncio.Event, is_late: bool) -> None:
        """Ask a host for one batch after the other, as long as anybody wants to know."""
        life, after = "", 0
        try:
            while True:
                body = questions.encode(WatchAsk(self._name, self._kinds, self._agents, life, after))
                answer: WatchAnswer = questions.decode(
                    await self._host.asking.ask_host(host, "watch", body), WatchAnswer
                )
                begun.set()
                if not life and is_late:
                    self._held.add(
                        Missed(datetime.now(UTC), host, None, "it has come, or come back, and is watched now")
                    )
                if life and answer.life != life:
                    if host_life(answer.life) != host_life(life):
                        self._change(host, "restarted")
                    why = "it was started again, or was not asked for too long: out of reach, or nobody took what came"
                    self._held.add(Missed(datetime.now(UTC), host, None, why))
                life, after = answer.life, answer.number
                if answer.missed:
                    why = "more has happened there than is kept for whoever is slow"
                    self._held.add(Missed(datetime.now(UTC), host, answer.missed, why))
                for happening in answer.happenings:
                    if self._is_news(happening):
                        self._held.add(happening)
                await self._held.room()
        except errors.EbbtideError as error:
            # Either this peer has ended, which is the end of watching, or the host refuses.
            self._held.end(None if self._host.asking.is_closed else error)
        finally:
            begun.set()

    def _is_news(self, happening: Happening) -> bool:
        """Tell whether no other host has told of it before: all of them tell of checkpoints."""
        match happening:
            case CheckpointMade():
                is_news, self._epoch = happening.epoch > self._epoch, max(happening.epoch, self._epoch)
                return is_news
            case RestoreMade():
                is_news, self._restores = happening.number > self._restores, max(happening.number, self._restores)
                return is_news
            case _:
                return True


class Happenings:
    """What happens in a cluster, to be gone through by `async for`: it goes on until it is left, or the cluster ends.

    It watches from the moment when it is gone through, or, as a block (`async with`), from the block's beginning.

    Args:
        host: returns the host that asks. Raises: CallerError, if there is none.
        kinds: what is watched.
        agents: of whom; empty: of all.
    """

    def __init__(self, host: Callable[[], Host], kinds: Iterable[str], agents: Iterable[AgentId]) -> None:
        self._host = host
        self._kinds = tuple(kinds)
        self._agents = tuple(agents)
        self._held: _Held | None = None
        self._lines: _Lines | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Happening:
        held = self._held if self._held is not None else await self._begin()
        happening = await held.take()
        if happening is None:
            self._end()
            raise StopAsyncIteration
        return happening

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    async def _begin(self) -> _Held:
        if self._held is not None:
            raise errors.CallerError("this is watched already. Nothing was begun. Ask for another: cluster.watch().")
        held = _Held()
        self._lines = _Lines(self._host(), held, self._kinds, self._agents)
        self._held = held
        await self._lines.begin()
        return held

    def _end(self) -> None:
        if self._lines is not None:
            self._lines.end()
            self._lines = None
        if self._held is not None:
            self._held.end()

    def __del__(self) -> None:
        # A loop that was left by `break` tells nobody else; what asks does not hold this object.
        lines = self._lines
        if lines is not None:
            loop = lines.loop
            if not loop.is_closed():
                loop.call_soon_threadsafe(lines.end)


def checked_kinds(kinds: Iterable[str] | None) -> tuple[str, ...]:
    """Return what is to be watched: everything, if nothing is said.

    Raises: CallerError, naming what can't be.
    """
    if kinds is None:
        return KINDS
    found = tuple(kinds) if isinstance(kinds, Iterable) and not isinstance(kinds, str) else (kinds,)
    for kind in found:
        if not isinstance(kind, str) or kind not in KINDS:
            raise errors.CallerError(f"kinds names {brief(kind)}: there are {', '.join(KINDS)}. Nothing is watched.")
    if not found:
        raise errors.CallerError(f"kinds is empty: name some of {', '.join(KINDS)}, or leave it out.")
    return found
