"""Two agents who throw balls to each other, and the same without the runtime: what a message takes, and what a step is.

Each catch is a step: a handler reads and writes a value of its state and sends one message.
"""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.suite import live
from benchmarks.suite.form import Setting
from ebbtide import Agent, Cluster, Context, handles

NAMES = ("ann", "bob")
WARM_S = 0.3


@dataclass(frozen=True)
class Ball:
    """Something to be thrown back."""

    to: str
    thinks_s: float
    ballast: bytes


class Player(Agent):
    """Catches a ball, counts it, and throws it back."""

    @handles(Ball)
    async def caught(self, message: Ball, ctx: Context) -> None:
        """Take its time, and throw it back."""
        if message.thinks_s:
            await asyncio.sleep(message.thinks_s)
        self.state["caught"] = self.state.get("caught", 0) + 1
        here = NAMES[message.to == NAMES[0]]
        ctx.send(message.to, Ball(here, message.thinks_s, message.ballast))


class Bare:
    """The same without the runtime: a queue, a handler, a state; nothing is kept, tracked or signed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Ball] = asyncio.Queue()
        self.state: dict[str, int] = {}

    async def play(self, others: dict[str, "Bare"]) -> None:
        """Catch and throw for ever."""
        while True:
            message = await self.queue.get()
            if message.thinks_s:
                await asyncio.sleep(message.thinks_s)
            self.state["caught"] = self.state.get("caught", 0) + 1
            here = NAMES[message.to == NAMES[0]]
            others[message.to].queue.put_nowait(Ball(here, message.thinks_s, message.ballast))
            # As every message between agents does: others have their turn.
            await asyncio.sleep(0)


async def thrown_per_s(
    setting: Setting, hosts: int, balls: int, size: int, seconds: float, thinks_s: float = 0.0,
    checkpoint_every_s: float = 0.0,
) -> float:  # fmt: skip
    """Return the messages a second between two agents.

    Args:
        hosts: 1 or 2: both at one, or each at its own, with sockets between them.
        balls: how many are in the air.
        size: bytes that each carries.
        seconds: how long is watched.
        thinks_s: how long a handler takes by itself.
    """
    more = {"listen": True} if setting.backend == "local" and hosts > 1 else {}
    async with live.cluster_of(
        setting, dict.fromkeys(NAMES, Player), hosts, checkpoint_every_s=checkpoint_every_s, **more
    ) as cluster:
        return await _watched(cluster, balls, size, seconds, thinks_s)


async def _watched(cluster: Cluster, balls: int, size: int, seconds: float, thinks_s: float) -> float:
    await cluster.submit(NAMES[0], *[Ball(NAMES[1], thinks_s, bytes(size))] * balls)
    await asyncio.sleep(WARM_S)
    return await live.steps_per_s(cluster, await live.one_of_each_host(cluster), seconds)


async def bare_per_s(balls: int, size: int, seconds: float, thinks_s: float = 0.0) -> float:
    """Return the same of two coroutines with queues, in one process."""
    players = {name: Bare() for name in NAMES}
    tasks = [asyncio.create_task(player.play(players)) for player in players.values()]
    for _ in range(balls):
        players[NAMES[0]].queue.put_nowait(Ball(NAMES[1], thinks_s, bytes(size)))
    await asyncio.sleep(WARM_S)

    def caught() -> int:
        return sum(player.state.get("caught", 0) for player in players.values())

    before, began = caught(), time.monotonic()
    await asyncio.sleep(seconds)
    per_s = (caught() - before) / (time.monotonic() - began)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return per_s
