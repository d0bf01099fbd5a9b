"""Takes a host out of service: it takes no inputs any more, its agents move to the others, and it leaves."""

import asyncio
from abc import ABC
from collections import Counter
from collections.abc import Iterable

from peer import errors
from peer.backends import Came
from peer.cluster.effects import somebody
from peer.cluster.moving import AT_ONCE, MOVE_S, Moved
from peer.cluster.operating import Operating
from peer.host import questions
from peer.host.health import DRAIN, Health
from peer.values.texts import NAME_CHARS_MAX, check_text
from protocol.fact import State
from protocol.ids import AgentId, HostId

LEAVE_S = 60.0
"""How long a backup may take to go on with the last agents of a host that has left."""
LOOK_S = 0.05


class Draining(Operating, ABC):
    """What empties a host."""

    async def drain(
        self, host: str, *, by: str | None = None, timeout_s: float = MOVE_S, came: Came = lambda _: None
    ) -> list[Moved]:
        """Have a host leave for good, at work: nothing is lost, undone or run again.

        From the first moment it takes no inputs from outside: who hands some in waits until the agent has moved, or is
        told so (`HostDraining`). Its agents move to the other hosts, each at rest, so that all have about as many; the
        last one goes with the host's own log: the host leaves, and a backup goes on with both. If an agent does not
        move, the host takes inputs again, and stays; who has moved stays where it is.

        Args:
            host: its id; or the name of an agent: where that one lives.
            by: who says so; the user of this process if left out.
            timeout_s: seconds for each move.
            came: is told how many are to move, as a negative number, and then how many more have: for a progress bar.

        Returns: who has moved.

        Raises: CallerError, if there is no such host, it is the only one, nobody could go on with its logs, or an
            agent stays; AskTimeout, if it has left and nobody goes on with its last agent in time.
        """
        self.check_running()
        source = self._named(host)
        who = check_text("by", (somebody() or "somebody") if by is None else by, NAME_CHARS_MAX, "Nothing changed.")
        others = await self._takers(source)
        await self._say(source, who)
        try:
            moved = await self._empty(source, others, timeout_s, came)
            left = self.host.agents_of(source)
            if left:
                await self.host.ask(left[0], "leave", timeout_s=timeout_s)
        except BaseException:
            await self._say(source, "")
            raise
        moved += [Moved(agent, source, await self._gone(agent, source)) for agent in left]
        came(len(left))
        await self._left(source)
        return moved

    async def undrain(self, host: str) -> HostId:
        """Have a host take inputs again, if who has drained it is gone; return its id.

        Args:
            host: its id; or the name of an agent: where that one lives.

        Raises: CallerError, AskTimeout.
        """
        self.check_running()
        source = self._named(host)
        await self._say(source, "")
        return source

    async def _left(self, host: HostId) -> None:
        """A host has left: end its process, where that is known here."""

    def _named(self, name: str) -> HostId:
        host = self.host.homes.get(name, name)
        if host not in self.hosts():
            there = ", ".join(self.hosts()) or "none"
            raise errors.CallerError(f"there is no host {name!r} with agents. Nothing changed. There are: {there}.")
        return host

    async def _takers(self, source: HostId) -> list[HostId]:
        """Return the hosts that take the agents of one that is to leave. Raises: CallerError, if it can't leave."""
        found = await self.health()
        health = found[source]
        if isinstance(health, errors.EbbtideError):
            raise health
        others = [
            each for each, one in found.items() if each != source and isinstance(one, Health) and not one.draining
        ]
        if not others:
            raise errors.CallerError(
                f"host {source} can't be drained: no other host with agents takes any. Nothing changed. Launch another."
            )
        if health.stays:
            raise errors.CallerError(
                f"host {source} can't be drained: {health.stays}. So nobody would go on with its logs. Nothing changed."
                " Have three hosts or more, and copies: durability='replicated(1)'; then make a checkpoint."
            )
        return others

    async def _say(self, host: HostId, who: str) -> None:
        """Tell a host whether it is drained. Raises: AskTimeout."""
        if self.host.neighbours.machine.standing(host) not in (State.FAILED, State.LEFT):
            await self.host.asking.ask_host(host, DRAIN, questions.encode(who), timeout_s=MOVE_S)

    async def _empty(self, source: HostId, others: Iterable[HostId], timeout_s: float, came: Came) -> list[Moved]:
        """Move all agents of a host but the last one. Raises: CallerError, if one stays; the others have moved."""
        loads = Counter(dict.fromkeys(others, 0))
        for home in self.host.homes.values():
            if home in loads:
                loads[home] += 1
        agents = self.host.agents_of(source)
        came(-len(agents))
        gate, stays, moved = asyncio.Semaphore(AT_ONCE), list[tuple[AgentId, errors.EbbtideError]](), list[Moved]()

        async def move(agent: AgentId) -> None:
            async with gate:
                to = min(loads, key=lambda host: (loads[host], host))
                loads[to] += 1
                try:
                    await self.move(agent, to, timeout_s=timeout_s)
                except errors.EbbtideError as error:
                    loads[to] -= 1
                    stays.append((agent, error))
                    return
                moved.append(Moved(agent, source, to))
                came(1)

        await asyncio.gather(*map(move, agents[:-1]))
        if stays:
            raise errors.CallerError(
                f"host {source} stays, and takes inputs again: {len(stays)} of {len(agents)} agents did not move."
                f" {stays[0][1]}"
            ) from stays[0][1]
        return moved

    async def _gone(self, agent: AgentId, source: HostId) -> HostId:
        """Wait until an agent lives elsewhere; return where. Raises: AskTimeout."""
        clock = asyncio.get_running_loop().time
        until = clock() + LEAVE_S
        while (home := self.host.homes.get(agent)) in (None, source):
            if clock() > until:
                raise errors.AskTimeout(
                    f"host {source} has left, and nobody has gone on with {agent!r} within {LEAVE_S:g} s. A backup of"
                    " its logs still will."
                )
            await asyncio.sleep(LOOK_S)
        return home
