"""On a real Ray: a host's folder is deleted while it runs, and its process dies; logs are encrypted and archived."""

from pathlib import Path

import pytest
from ray_agents import Back, Front, Pay, effects

from peer import AgentSpec, Cluster, Storage
from peer.store.outside.keyring import Keyring, make_secret, read_secret
from peer.store.reading import verify

pytestmark = pytest.mark.ray


async def test_under_replicated_a_host_that_loses_its_disk_loses_nothing(tmp_path: Path) -> None:
    world = tmp_path / "world.db"
    make_secret(tmp_path / "key")
    storage = Storage(key_file=str(tmp_path / "key"))
    async with Cluster(
        "ray", folder=tmp_path / "run", durability="replicated(1)", successor_s=1.0, storage=storage
    ) as cluster:
        specs = [AgentSpec("front", Front), AgentSpec("back", Back, {"world": str(world), "dies_as_elector": ""})]
        await cluster.spawn_all([*specs, AgentSpec("third", Front)])
        await cluster.submit("front", Pay(1), Pay(2))
        await cluster.quiet()
        await cluster.kill("back", with_disk=True)
        await cluster.status("back", timeout_s=60)
        await cluster.submit("front", Pay(3))
        await cluster.quiet()
        assert await cluster.state("back") == {"paid": 6}
        assert effects(str(world)) == [1, 2, 3]
        assert (await cluster.status("back")).host in {(await cluster.status(name)).host for name in ("front", "third")}
        outcome = await cluster.rollback("front/1/1", inputs="discard", reason="wrong")
        assert outcome.committed
        await cluster.quiet()
        assert effects(str(world)) == [2, 3]
    secret = read_secret(tmp_path / "key")
    for place in (tmp_path / "run").glob("host-*"):
        assert verify(place, Keyring.open(place, secret)).findings == ()
