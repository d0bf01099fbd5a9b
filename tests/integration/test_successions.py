"""Hosts that are lost with their disks, and successors that crash or die while they take over: nothing is lost."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from peer import errors
from peer.host.host import Host
from peer.replication.successor import Successor
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.messages import CheckpointAction
from tests.counting import NAMES, Counter, filled, places, restarted, started, sums, told


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.replication.inquiry.WAIT_S", 1.5)
    monkeypatch.setattr("peer.replication.inquiry.AGAIN_S", 0.05)


async def test_a_successor_that_crashes_in_the_middle_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_over, crashed = CheckpointMachine.taken_over, list[Host]()

    def crash_first(self: CheckpointMachine, *args: Any) -> list[CheckpointAction]:
        host = next(place.host for place in places(cluster) if place.host.checkpoints.machine is self)
        if not crashed:
            crashed.append(host)
            host.crash()
        elif host is not crashed[0]:
            return taken_over(self, *args)
        return []

    monkeypatch.setattr(CheckpointMachine, "taken_over", crash_first)
    async with started(tmp_path, successor_s=0.3) as cluster:
        await filled(cluster)
        before = await sums(cluster)
        await cluster.kill("b1", with_disk=True)
        for _ in range(1000):
            if crashed:
                break
            await asyncio.sleep(0.02)
        successor = next(spec.name for place in places(cluster) if place.host is crashed[0] for spec in place.specs)
        await restarted(cluster, successor, lambda _: None)
        for name in NAMES:
            await cluster.submit(name, 1000)
        assert await sums(cluster) == {name: value + 1000 for name, value in before.items()}
        assert all([(await cluster.status(name)).undone == 0 for name in NAMES])


async def test_that_there_are_fewer_hosts_than_copies_were_asked_for_is_told_whenever_that_changes(
    tmp_path: Path,
) -> None:
    async with started(tmp_path, durability="replicated(7)") as cluster:
        await filled(cluster)
        for place in places(cluster):
            few = [notice.detail for notice in place.host.notices if notice.notice == "replicas-few"]
            assert few[-1] == "7 other hosts are to keep copies, and there are 2: fewer may be lost"
            assert len(few) == len(set(few))


async def test_a_cluster_with_backups_comes_back_agent_by_agent(tmp_path: Path) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)
        before = await sums(cluster)
    async with started(tmp_path) as cluster, asyncio.timeout(50):
        for name in NAMES:
            await cluster.spawn(name, Counter)
        assert await sums(cluster) == before
        for name in NAMES:
            await cluster.submit(name, 1)
        await cluster.checkpoint()
        assert await sums(cluster) == {name: value + 1 for name, value in before.items()}


async def test_a_disk_and_then_its_successors_are_lost_under_two_copies_and_everything_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over, successors = Successor.take_over, list[Host]()

    def die(self: Successor, dead: str) -> None:
        if not successors:
            successors.append(self._site)
        if self._site in successors:
            self._site.crash()
        else:
            take_over(self, dead)

    monkeypatch.setattr(Successor, "take_over", die)
    async with started(tmp_path, durability="replicated(2)", successor_s=0.3, agents_per_actor=1) as cluster:
        await filled(cluster)
        before = await sums(cluster)
        await cluster.kill("b1", for_good=True, with_disk=True)
        async with asyncio.timeout(60):
            while not successors:
                await asyncio.sleep(0.02)
        place = next(place for place in places(cluster) if place.host is successors[0])
        await successors[0].close()
        shutil.rmtree(place.folder)
        for name in NAMES:
            await cluster.submit(name, 1000)
        assert await sums(cluster) == {name: value + 1000 for name, value in before.items()}
        assert all([(await cluster.status(name)).undone == 0 for name in NAMES])
        await cluster.checkpoint()
        # Whoever has it now comes back with it.
        home = next(place for place in places(cluster) if place.host._open and "b1" in place.host.drivers)
        await restarted(cluster, home.specs[0].name, lambda _: None)
        async with asyncio.timeout(60):
            while (await sums(cluster))["b1"] != before["b1"] + 1000:
                await asyncio.sleep(0.05)
        await cluster.submit("b1", 1)
        assert (await sums(cluster))["b1"] == before["b1"] + 1001


@pytest.mark.parametrize("what", ["segments", "log", "key"])
async def test_a_host_whose_log_is_gone_is_succeeded_with_everything(tmp_path: Path, what: str) -> None:
    async with started(tmp_path, successor_s=0.3) as cluster:
        await filled(cluster)
        before = await sums(cluster)

        def lose(folder: Path) -> None:
            if what == "key":
                (folder / "host.key").unlink()
                return
            for file in (folder / "log").glob("*.seg" if what == "segments" else "*"):
                file.unlink()
            if what == "log":
                (folder / "log").rmdir()

        if what == "key":
            with pytest.raises(errors.ConfigInvalid, match=r"host\.key.*missing"):
                await restarted(cluster, "b1", lose)
            return
        host = await restarted(cluster, "b1", lose)
        assert "log-gone" in told(host)
        for name in NAMES:
            await cluster.submit(name, 1000)
        assert await sums(cluster) == {name: value + 1000 for name, value in before.items()}
        assert all([(await cluster.status(name)).undone == 0 for name in NAMES])
