"""On a real Ray: a host that is killed in its very first start, before it has said anything, begins anew."""

import json
import shutil
from pathlib import Path

import pytest
from ray_dying import Dying, Newborn

from peer import AgentSpec, Cluster, LogCorrupt

pytestmark = pytest.mark.ray
PLACES = ["before anything", "folder made", "key not written", "key written", "opened"]


@pytest.mark.parametrize("place", PLACES)
async def test_a_host_that_dies_in_its_first_start_begins_anew_and_is_not_taken_for_lost(
    place: str, tmp_path: Path
) -> None:
    marker = tmp_path / "died"
    async with Cluster("ray", folder=tmp_path / "run") as cluster:
        await cluster.spawn("a", Newborn, dying=Dying(marker, place))
        assert marker.exists()
        await cluster.submit("a", 1, 2)
        await cluster.quiet()
        await cluster.kill("a")
        await cluster.submit("a", 4)
        await cluster.quiet()
        assert await cluster.state("a") == {"sum": 7}
        assert (await cluster.status("a")).incarnation == 1
        assert [notice.notice for notice in await cluster.notices("a") if notice.notice == "log-gone"] == []


@pytest.mark.parametrize("place", PLACES)
async def test_an_agent_that_joins_a_host_which_dies_then_comes_up_with_it(place: str, tmp_path: Path) -> None:
    marker = tmp_path / "died"
    async with Cluster("ray", folder=tmp_path / "run", agents_per_actor=3) as cluster:
        await cluster.spawn_all([AgentSpec("a", Newborn), AgentSpec("b", Newborn, {"dying": Dying(marker, place)})])
        assert marker.exists()
        for name in ("a", "b"):
            await cluster.submit(name, 5)
        await cluster.quiet()
        assert [await cluster.state(name) for name in ("a", "b")] == [{"sum": 5}] * 2


async def test_a_host_whose_program_was_killed_with_it_begins_anew_in_the_next_program(tmp_path: Path) -> None:
    # As its first start leaves it: on the list, its folder made, its key not written yet.
    (tmp_path / "hosts.json").write_text(json.dumps({"host-1": {"agents": ["a"], "ran": False}}))
    (tmp_path / "host-1" / "log").mkdir(parents=True)
    async with Cluster("ray", folder=tmp_path) as cluster:
        await cluster.spawn("a", Newborn)
        await cluster.submit("a", 1)
        await cluster.quiet()
        await cluster.kill("a")
        assert await cluster.state("a") == {"sum": 1}


async def test_a_host_that_has_run_and_whose_folder_is_gone_is_still_taken_for_lost(tmp_path: Path) -> None:
    async with Cluster("ray", folder=tmp_path / "run") as cluster:
        await cluster.spawn("a", Newborn)
        await cluster.submit("a", 1)
        await cluster.quiet()
    shutil.rmtree(tmp_path / "run" / "host-1")
    async with Cluster("ray", folder=tmp_path / "run") as cluster:
        with pytest.raises(LogCorrupt, match="its log is gone"):
            await cluster.spawn("a", Newborn)
