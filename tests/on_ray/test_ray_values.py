"""On a real Ray: what is kept outside the logs is the same for all processes, and outlives a SIGKILL."""

from pathlib import Path

import pytest
from ray_values import Desk, Post, Sign

from peer import Cluster, Erased, Personal

pytestmark = pytest.mark.ray


async def test_blobs_secrets_and_personal_data_outlive_a_kill_and_are_shared_by_processes(tmp_path: Path) -> None:
    async with Cluster("ray", folder=tmp_path / "logs", vault=tmp_path / "vault") as cluster:
        await cluster.spawn("desk", Desk)
        await cluster.spawn("post", Post)
        await cluster.submit("desk", Sign(Personal("Ada", "c-1")))
        await cluster.quiet()
        assert (await cluster.state("post"))["dear"].value == "dear Ada"
        await cluster.kill("desk")
        await cluster.submit("desk", "look")
        await cluster.quiet()
        assert (await cluster.state("desk"))["seen"] == ["Ada", "hunter2"]
        await cluster.erase("c-1")
        await cluster.submit("desk", "look")
        await cluster.quiet()
        assert (await cluster.state("desk"))["seen"] == ["(er", "hunter2"]
        assert (await cluster.state("post"))["dear"].value == Erased("c-1")
