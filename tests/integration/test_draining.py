"""A host is taken out of service at work: its agents move, it leaves, and nothing is lost, undone or run again."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from peer import Agent, AgentSpec, CallerError, Cluster, Context, Health, HostDraining, handles
from peer.host.health import DRAIN
from peer.host.questions import encode

GO: dict[str, asyncio.Event] = {}


class Counter(Agent):
    @handles(int)
    async def add(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message

    @handles(str)
    async def wait(self, message: str, ctx: Context) -> None:
        await GO["go"].wait()


async def filled(cluster: Cluster, count: int = 6) -> str:
    """Launch agents, two a host; return the host of the first."""
    await cluster.spawn_all([AgentSpec(f"c-{number}", Counter) for number in range(count)])
    for number in range(count):
        await cluster.submit(f"c-{number}", number)
    await cluster.quiet()
    return cluster.host.homes["c-0"]


def kept_two(folder: Path) -> Cluster:
    return Cluster("local", folder=folder, agents_per_actor=2, durability="replicated(1)")


async def test_a_drained_host_leaves_and_its_agents_go_on_elsewhere(tmp_path: Path) -> None:
    async with kept_two(tmp_path) as cluster:
        host = await filled(cluster)
        came: list[int] = []
        moved = await cluster.drain("c-0", by="ann", came=came.append)
        assert sorted(each.agent for each in moved) == ["c-0", "c-1"]
        assert {each.source for each in moved} == {host}
        assert host not in cluster.hosts()
        assert len(cluster.hosts()) == 2
        assert (came[0], sum(came)) == (-2, 0)
        await cluster.submit("c-0", 10)
        await cluster.submit("c-1", 10)
        await cluster.quiet()
        states = [(await cluster.state(f"c-{number}"))["sum"] for number in range(6)]
        assert states == [10, 11, 2, 3, 4, 5]
        assert [(await cluster.status(f"c-{number}")).undone for number in range(6)] == [0] * 6
        await cluster.rollback("c-1/1/1", inputs="discard")
        assert (await cluster.state("c-1"))["sum"] == 10


async def test_who_was_drained_is_found_where_it_lives_when_all_start_again(tmp_path: Path) -> None:
    for starts in range(3):
        async with kept_two(tmp_path) as cluster:
            await filled(cluster)
            if starts == 0:
                await cluster.drain("c-0")
            await cluster.submit("c-0", 10)
            await cluster.quiet()
            assert (await cluster.state("c-0"))["sum"] == 10 * (starts + 1)
            assert len(cluster.hosts()) == 2


async def test_who_hands_in_inputs_meanwhile_waits_or_is_told(tmp_path: Path) -> None:
    async with kept_two(tmp_path) as cluster:
        host = await filled(cluster)
        await cluster.host.asking.ask_host(host, DRAIN, encode("ann"))
        health = (await cluster.health())[host]
        assert isinstance(health, Health)
        assert health.whys() == ["it is drained by ann"]
        with pytest.raises(HostDraining, match=r"the host of 'c-0' is drained by ann.* 0 are taken on"):
            await cluster.submit("c-0", 1, on_full="refuse")
        waiting = asyncio.create_task(cluster.submit("c-0", 100))
        with pytest.raises(CallerError, match=r"can't move to host .* now: it is drained"):
            await cluster.move("c-2", host)
        moved = await cluster.move("c-0", "c-2")
        receipt = await waiting
        await receipt.done()
        assert cluster.host.homes["c-0"] == moved
        assert (await cluster.state("c-0"))["sum"] == 100
        assert await cluster.undrain(host) == host
        await cluster.submit("c-1", 1, on_full="refuse")


async def test_a_host_without_copies_is_not_drained(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await filled(cluster, 2)
        with pytest.raises(CallerError, match=r"nobody keeps copies of its logs.*Nothing changed"):
            await cluster.drain("c-0")
        await cluster.submit("c-0", 1, on_full="refuse")
        with pytest.raises(CallerError, match="there is no host 'nobody'"):
            await cluster.drain("nobody")


async def test_a_host_of_two_is_not_drained_since_one_alone_can_not_decide(tmp_path: Path) -> None:
    async with kept_two(tmp_path) as cluster:
        await filled(cluster, 4)
        with pytest.raises(CallerError, match="are no majority of its last two checkpoints' hosts"):
            await cluster.drain("c-0")
        await cluster.submit("c-0", 1, on_full="refuse")


async def test_the_only_host_is_not_drained(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path, agents_per_actor=2) as cluster:
        await filled(cluster, 2)
        with pytest.raises(CallerError, match="no other host with agents takes any"):
            await cluster.drain("c-0")


async def test_a_host_with_an_agent_that_does_not_move_stays_and_takes_inputs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peer.host.departures.REST_S", 0.1)
    GO["go"] = asyncio.Event()
    async with kept_two(tmp_path) as cluster:
        host = await filled(cluster)
        await cluster.submit("c-0", "wait")
        while not any("inputs" in each for each in (await cluster.status("c-0")).under_way):
            await asyncio.sleep(0)
        with pytest.raises(CallerError, match=r"stays, and takes inputs again: 1 of 2 agents did not move"):
            await cluster.drain(host)
        assert cluster.host.homes["c-0"] == host
        await cluster.submit("c-1", 1, on_full="refuse")
        GO["go"].set()
        await cluster.quiet()


async def test_a_host_that_leaves_is_ended_and_not_the_one_that_goes_on(tmp_path: Path) -> None:
    async with kept_two(tmp_path) as cluster:
        host = await filled(cluster)
        backend: Any = cluster._backend

        def slowly(end: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
            async def ends(*given: Any) -> None:
                while cluster.host.homes["c-0"] == host:
                    await asyncio.sleep(0.01)
                await end(*given)

            return ends

        backend.kill, backend.retire = slowly(backend.kill), slowly(backend.retire)
        await cluster.leave("c-0")
        assert (await cluster.status("c-0", timeout_s=10)).steps == 1
