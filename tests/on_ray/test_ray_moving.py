"""On a real Ray: an agent goes to the process of another host, and is the same there."""

import asyncio
from pathlib import Path

import pytest
from ray_moving import Till

from peer import About, AgentSpec, Cluster

pytestmark = pytest.mark.ray


async def test_an_agent_goes_to_the_process_of_another_host(tmp_path: Path) -> None:
    async with Cluster("ray", agents_per_actor=2, folder=tmp_path, replicas=1) as cluster:
        await cluster.spawn_all([AgentSpec(name, Till) for name in ("till-1", "till-2", "till-3", "bank")])
        await cluster.submit("till-1", 2)
        await asyncio.gather(cluster.move("bank", "till-1"), cluster.submit("till-2", *[2] * 20))
        await cluster.submit("till-3", 2)
        await cluster.quiet()
        assert cluster.host.homes["bank"] == cluster.host.homes["till-1"]
        await cluster.kill("bank")
        await cluster.submit("till-1", 2)
        await cluster.quiet()
        assert await cluster.state("bank") == {"sum": 46}
        outcome = await cluster.rollback("till-3/1/1", inputs="discard")
        assert sorted(outcome.agents) == ["bank", "till-3"]


async def test_a_host_is_drained_and_its_process_ends(tmp_path: Path) -> None:
    async with Cluster("ray", agents_per_actor=2, folder=tmp_path, replicas=1) as cluster:
        names = ("till-1", "till-2", "till-3", "till-4", "till-5", "bank")
        await cluster.spawn_all([AgentSpec(name, Till) for name in names])
        await cluster.submit("till-1", 2)
        await cluster.quiet()
        host = cluster.host.homes["till-1"]
        about = (await cluster.about())[host]
        assert isinstance(about, About)
        assert is_up(about.process)
        moved = await cluster.drain("till-1")
        assert sorted(each.agent for each in moved) == ["till-1", "till-2"]
        assert host not in cluster.hosts()
        while is_up(about.process):  # Ray ends it
            await asyncio.sleep(0.05)
        await cluster.submit("till-1", 2)
        await cluster.quiet()
        assert await cluster.state("till-1") == {"sum": 4}
        assert await cluster.state("bank") == {"sum": 4}


def is_up(process: int) -> bool:
    return Path(f"/proc/{process}").exists()
