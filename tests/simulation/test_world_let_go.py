"""What is over is let go: a program may play any number of worlds, and run any number of clusters."""

import asyncio
import gc
from pathlib import Path
from weakref import ref

from peer.agents.agent import Agent, handles
from peer.agents.context import Context
from peer.cluster.cluster import Cluster
from sims.world import World


class Worker(Agent):
    @handles(int)
    async def work(self, message: int, ctx: Context) -> None:
        self.state["last"] = message


def test_a_world_that_is_closed_takes_no_memory() -> None:
    with World(seed=1, hosts=2) as world:
        world.spawn("worker", Worker)
        world.submit("worker", 1)
        world.settle()
    known = ref(world.engine)
    del world
    gc.collect()
    assert known() is None


def test_a_loop_in_which_a_cluster_has_run_takes_no_memory(tmp_path: Path) -> None:
    async def run() -> "ref[asyncio.AbstractEventLoop]":
        async with Cluster("local", folder=tmp_path):
            return ref(asyncio.get_running_loop())

    known = asyncio.run(run())
    gc.collect()
    assert known() is None
