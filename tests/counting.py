"""Agents that count, on three hosts or six with their logs on disk: to be damaged, killed and counted again."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peer import Agent, Cluster, Context, handles
from peer.host.host import Host

NAMES = ("a1", "a2", "b1", "b2", "c1", "c2")


class Counter(Agent):
    @handles(int)
    async def count(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message


def started(folder: Path, **options: Any) -> Cluster:
    given = {"durability": "replicated(1)", "successor_s": 30.0, "agents_per_actor": 2, **options}
    return Cluster("local", folder=folder, **given)


async def filled(cluster: Cluster, checkpoints: int = 3) -> None:
    for name in NAMES:
        await cluster.spawn(name, Counter)
    for _ in range(2):
        await cluster.checkpoint()
    for _ in range(checkpoints):
        for name in NAMES:
            await cluster.submit(name, *range(10))
        await cluster.quiet(pause_s=0.01)
        await cluster.checkpoint()
    for name in NAMES:
        await cluster.submit(name, 100)
    await cluster.quiet(pause_s=0.01)


def places(cluster: Cluster) -> list[Any]:
    return cluster._backend._places  # type: ignore[attr-defined]


def host_of(cluster: Cluster, agent: str) -> Host:
    return next(place.host for place in places(cluster) if any(spec.name == agent for spec in place.specs))


async def restarted(cluster: Cluster, agent: str, meanwhile: Callable[[Path], Any]) -> Host:
    """Stop an agent's host, do something to its folder, and bring it up again."""
    place = next(place for place in places(cluster) if any(spec.name == agent for spec in place.specs))
    place.host.crash()
    await place.host.close()
    await asyncio.to_thread(meanwhile, place.folder)
    await cluster._backend._bring_up(place)  # type: ignore[attr-defined]
    return place.host


def told(host: Host) -> set[str]:
    return {notice.notice for notice in host.notices}


async def sums(cluster: Cluster) -> dict[str, int]:
    return {name: (await cluster.state(name)).get("sum", 0) for name in NAMES}
