"""Logs followed while they grow."""

import asyncio
from pathlib import Path

import pytest
from shop import Buyer, Cashier, Order, Scene

from peer import Cluster
from peer.audit.events import happenings
from peer.audit.follow import Follower
from peer.audit.logs import hosts_in
from peer.errors import ConfigInvalid


def test_from_the_start_it_tells_what_an_export_does(scene: Scene) -> None:
    found = Follower(scene.folder, from_start=True).look()
    assert found == happenings(hosts_in(scene.folder)).happenings


def test_from_now_on_it_tells_nothing_of_before(scene: Scene) -> None:
    assert Follower(scene.folder, from_start=False).look() == []


async def test_it_tells_what_hosts_write_meanwhile_each_thing_once(tmp_path: Path) -> None:
    follower = Follower(tmp_path, from_start=False)
    told = []
    async with Cluster("local", folder=tmp_path) as cluster:
        told += follower.look()
        await cluster.spawn("buyer", Buyer)
        told += follower.look()
        await cluster.spawn("cashier", Cashier)
        await cluster.submit("buyer", Order("tea", 4))
        await cluster.quiet()
        told += follower.look()
        await cluster.rollback("buyer/1/1", inputs="retry", reason="wrong")
        await cluster.quiet()
        told += follower.look()
        assert follower.look() == []
    told += follower.look()
    every = {(one.agent, one.id): one for one in happenings(hosts_in(tmp_path)).happenings}
    assert {(one.agent, one.id): one for one in told} == every
    assert len(told) == len(every)
    assert {one.kind for one in told} >= {"step", "step.undone", "rollback.decided", "effect"}


async def test_it_goes_on_with_the_successor_of_a_host_that_is_dead_for_good(tmp_path: Path) -> None:
    follower = Follower(tmp_path, from_start=True)
    told = []
    async with Cluster("local", folder=tmp_path, replicas=1, successor_s=0.3) as cluster:
        for name, kind in (("buyer", Buyer), ("spare", Buyer), ("cashier", Cashier)):
            await cluster.spawn(name, kind)
        await cluster.submit("buyer", Order("tea", 4))
        await cluster.quiet()
        await cluster.checkpoint()
        told += follower.look()
        home = (await cluster.status("cashier")).host
        await cluster.kill("cashier", for_good=True)
        await cluster.submit("buyer", Order("cup", 5))
        assert (await cluster.status("cashier", timeout_s=60)).host != home
        for _ in range(100):
            if (await cluster.state("cashier")).get("last") == "cup":
                break
            await asyncio.sleep(0.05)
        await cluster.quiet()
        told += follower.look()
    told += follower.look()
    names = [(one.agent, one.id) for one in told]
    assert len(names) == len(set(names))
    every = happenings(hosts_in(tmp_path)).happenings
    assert set(names) >= {(one.agent, one.id) for one in every}
    began = [one.data["incarnation"] for one in every if one.agent == "cashier" and one.kind == "agent.began"]
    assert began == [1, 2]
    assert "cashier/2/1" in {one.subject for one in told}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="there is no folder"):
        Follower(tmp_path / "none", from_start=True)
