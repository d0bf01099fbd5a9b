"""On a real Ray: an agent goes to the process of another host, and is the same there."""

import asyncio
from pathlib import Path

import pytest
from ray_moving import Till

from peer import AgentSpec, Cluster

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
