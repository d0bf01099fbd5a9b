"""On a real Ray whose metrics are installed: its own Prometheus endpoint has the numbers of each host."""

import asyncio
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from prometheus_client.parser import text_string_to_metric_families
from ray_moving import Till

from peer import AgentSpec, Cluster

pytestmark = pytest.mark.ray
pytest.importorskip("aiohttp", reason="Ray exports metrics only with pip install 'ray[default]'")


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    """A Ray of this module's own, which says where its metrics are."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, _metrics_export_port=port,
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},
    )  # fmt: skip
    yield
    ray.shutdown()


def steps_told() -> dict[str, float]:
    """Return how many steps of each host Ray tells of."""
    (node,) = ray.nodes()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{node['MetricsExportPort']}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return {}  # it is not up yet
    return {
        sample.labels["host"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "ray_ebbtide_steps_total"
    }


async def test_rays_own_endpoint_has_the_steps_of_each_host(tmp_path: Path) -> None:
    async with Cluster("ray", folder=tmp_path) as cluster:
        await cluster.spawn_all([AgentSpec(name, Till) for name in ("till-1", "bank")])
        await cluster.submit("till-1", 2, 3)
        await cluster.quiet()
        async with asyncio.timeout(120):
            while await asyncio.to_thread(steps_told) != {"host-1": 2, "host-2": 2}:
                await asyncio.sleep(0.5)
