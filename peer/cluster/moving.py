"""Moves agents from one host to another, by hand or so that all hosts have as much to do (MB-9)."""

import asyncio
from bisect import bisect_right
from collections.abc import Mapping
from typing import NamedTuple

from peer import errors
from peer.backends import Came
from peer.cluster.people import People
from peer.host import questions
from peer.host.questions import Status
from peer.host.transit import MOVE
from peer.values.fields import text
from protocol.ids import AgentId, HostId

MOVE_S = 60.0
NEWS_S = 5.0
"""How long the news that an agent has moved is waited for: it may have moved on by then."""
SOON_S = 0.01
AT_ONCE = 16
"""How many agents are on their way at one time."""
BY = ("agents", "steps")


class Moved(NamedTuple):
    """An agent has moved."""

    agent: AgentId
    source: HostId
    to: HostId


class Mover(People):
    """What moves agents."""

    async def move(self, agent: AgentId, to: str, *, timeout_s: float = MOVE_S) -> HostId:
        """Have an agent live on another host from now on, with its log; what others say to it meanwhile waits.

        It ends its step and its calls first, 30 s at most. It is the same agent there: nothing of it is lost, undone or
        run again, and checkpoints, rollbacks and its timers go on.

        Args:
            agent: who.
            to: a host's id, or the name of an agent: where that one lives.
            timeout_s: seconds until this gives up waiting; a move that has begun goes on.

        Returns: the host.

        Raises: CallerError, saying why it stays where it is; AgentUnknown; AskTimeout.
        """
        named = text("to", to)
        host = self.host.homes.get(named, named)
        await self.host.ask(agent, MOVE, questions.encode(host), timeout_s=timeout_s)
        clock = asyncio.get_running_loop().time
        until = clock() + NEWS_S
        while self.host.homes.get(agent) != host and clock() < until:
            await asyncio.sleep(SOON_S)  # it comes by gossip
        return self.host.homes.get(agent, host)

    async def even_out(
        self, *, by: str = "agents", timeout_s: float = MOVE_S, came: Came = lambda _: None
    ) -> list[Moved]:
        """Move agents until all hosts that answer have as many, as far as that goes.

        Args:
            by: what is evened out: `agents`, or the `steps` that they have made.
            timeout_s: seconds for each move.
            came: is told how many are to move, as a negative number, and then how many more have: for a progress bar.

        Returns: who has moved.

        Raises: CallerError, for another `by`, or if agents stay: it names one, and the others have moved.
        """
        if by not in BY:
            raise errors.CallerError(f"by={by!r} is none of {', '.join(BY)}. Nothing was moved.")
        living = dict.fromkeys(self.host.living())
        homes = {agent: host for agent, host in self.host.homes.items() if host in living}
        weights = dict.fromkeys(homes, 1) if by == "agents" else await self._steps_of(homes)
        plan = evened(homes, weights)
        came(-len(plan))
        gate, stays = asyncio.Semaphore(AT_ONCE), list[errors.EbbtideError]()

        async def move(each: Moved) -> bool:
            async with gate:
                try:
                    await self.move(each.agent, each.to, timeout_s=timeout_s)
                except errors.EbbtideError as error:
                    stays.append(error)
                    return False
            came(1)
            return True

        done = await asyncio.gather(*map(move, plan))
        if stays:
            raise errors.CallerError(f"{len(stays)} of {len(plan)} agents did not move: {stays[0]}") from stays[0]
        return [each for each, has_moved in zip(plan, done, strict=True) if has_moved]

    async def _steps_of(self, homes: Mapping[AgentId, HostId]) -> dict[AgentId, int]:
        looks = await self.statuses(homes)
        return {agent: look.steps + 1 if isinstance(look, Status) else 1 for agent, look in looks.items()}


def evened(homes: Mapping[AgentId, HostId], weights: Mapping[AgentId, int]) -> list[Moved]:
    """Return who moves where so that hosts weigh as much as each other, as far as that goes; each moves once at most.

    From the heaviest host to the lightest goes the heaviest agent that does not turn that round, again and again; the
    last agent of a host stays.
    """
    here: dict[HostId, list[AgentId]] = {}
    for agent in sorted(homes, key=lambda agent: (weights[agent], agent)):
        here.setdefault(homes[agent], []).append(agent)
    load = {host: sum(weights[agent] for agent in agents) for host, agents in here.items()}
    plan: list[Moved] = []
    while load:
        low = min(load, key=lambda host: (load[host], host))
        high = max(load, key=lambda host: (load[host], host))
        fits = bisect_right(here[high], (load[high] - load[low]) // 2, key=weights.__getitem__)
        if not fits or len(here[high]) == 1:
            break
        agent = here[high].pop(fits - 1)
        load[high] -= weights[agent]
        load[low] += weights[agent]
        plan.append(Moved(agent, high, low))
    return plan
