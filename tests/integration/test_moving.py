"""Agents of real clusters that move between hosts: under traffic, there and back, over restarts (MB-9)."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ebbtide import Agent, AgentSpec, AgentUnknown, Call, CallerError, Cluster, Context, handles, tool
from peer.cluster.moving import Moved, evened
from tests.endtoend.commands import EBBTIDE

POSTED: list[int] = []
GATE: dict[str, asyncio.Event] = {}


def unpost(call: Call) -> None:
    POSTED.remove(13)


@tool(undo=unpost)
async def post(amount: int) -> int:
    POSTED.append(amount)
    return amount


class Till(Agent):
    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message
        if message == 13:
            await ctx.call(post, message)
        if message > 1 and self.name != "bank":
            ctx.send("bank", message)


class Slow(Agent):
    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        GATE["in"].set()
        await GATE["out"].wait()
        self.state["sum"] = self.state.get("sum", 0) + message


SPECS = [AgentSpec(name, Till) for name in ("till-1", "till-2", "till-3", "bank")]


def told(verb: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([EBBTIDE, "log", verb, *arguments], capture_output=True, text=True, check=False)


def beside(cluster: Cluster, one: str, other: str) -> bool:
    return cluster.host.homes[one] == cluster.host.homes[other]


async def test_an_agent_moves_under_traffic_and_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    POSTED.clear()
    async with Cluster("local", agents_per_actor=2, folder=tmp_path, replicas=1) as cluster:
        await cluster.spawn_all(SPECS)

        async def hand_in() -> None:
            for _ in range(40):
                await cluster.submit("till-1", 2)
                await cluster.submit("till-2", 2)

        async def wander() -> None:
            for to in ("till-1", "till-3") * 5:
                await cluster.move("bank", to)
                assert beside(cluster, "bank", to)

        await asyncio.gather(hand_in(), wander())
        await cluster.quiet()
        assert await cluster.state("bank") == {"sum": 160}
        await cluster.submit("till-3", 13)
        await cluster.quiet()
        await cluster.move("till-3", "till-1")
        outcome = await cluster.rollback("till-3/1/1", inputs="discard")
        assert sorted(outcome.agents) == ["bank", "till-3"]
        await cluster.quiet()
        assert (POSTED, await cluster.state("bank")) == ([], {"sum": 160})
        await cluster.checkpoint()
    verified = await asyncio.to_thread(told, "verify", tmp_path)
    assert verified.returncode == 0, verified.stdout
    shown = await asyncio.to_thread(told, "show", tmp_path, "bank", "--json")
    assert len(shown.stdout.splitlines()) == 81, "each step once, though the log is in parts"


async def test_where_an_agent_has_moved_to_it_is_after_a_restart(tmp_path: Path) -> None:
    for _ in range(3):
        async with Cluster("local", agents_per_actor=2, folder=tmp_path) as cluster:
            await cluster.spawn_all(SPECS)
            await cluster.move("till-2", "bank")
            assert beside(cluster, "till-2", "bank")
            await cluster.submit("till-2", 1)
            await cluster.quiet()
            await cluster.kill("till-2")
            await cluster.submit("till-2", 1)
            await cluster.quiet()
    async with Cluster("local", agents_per_actor=2, folder=tmp_path) as cluster:
        await cluster.spawn_all(SPECS)
        assert beside(cluster, "till-2", "bank")
        assert await cluster.state("till-2") == {"sum": 6}


async def test_a_step_is_ended_before_its_agent_goes(tmp_path: Path) -> None:
    GATE.update({"in": asyncio.Event(), "out": asyncio.Event()})
    async with Cluster("local", agents_per_actor=2, folder=tmp_path) as cluster:
        await cluster.spawn_all([AgentSpec("slow", Slow), *SPECS])
        await cluster.submit("slow", 5)
        await GATE["in"].wait()
        going = asyncio.ensure_future(cluster.move("slow", "till-3"))
        await asyncio.sleep(0.05)
        assert not going.done()
        GATE["out"].set()
        await going
        assert beside(cluster, "slow", "till-3")
        assert await cluster.state("slow") == {"sum": 5}


async def test_one_whose_step_takes_too_long_stays_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.host.departures.REST_S", 0.2)
    GATE.update({"in": asyncio.Event(), "out": asyncio.Event()})
    async with Cluster("local", agents_per_actor=2, folder=tmp_path) as cluster:
        await cluster.spawn_all([AgentSpec("slow", Slow), *SPECS])
        await cluster.submit("slow", 5)
        await GATE["in"].wait()
        with pytest.raises(CallerError, match="did not move: its step or call has not ended"):
            await cluster.move("slow", "till-3")
        GATE["out"].set()
        await cluster.submit("slow", 1)
        await cluster.quiet()
        assert await cluster.state("slow") == {"sum": 6}
        assert not beside(cluster, "slow", "till-3")


async def test_a_move_that_can_not_be_says_why(tmp_path: Path) -> None:
    async with Cluster("local", agents_per_actor=3, folder=tmp_path) as cluster:
        await cluster.spawn_all(SPECS)
        with pytest.raises(CallerError, match="'bank' is the last one on its host"):
            await cluster.move("bank", "till-1")
        with pytest.raises(CallerError, match="can't move to host 'mars': no such host with agents answers"):
            await cluster.move("till-1", "mars")
        with pytest.raises(AgentUnknown):
            await cluster.move("nobody", "till-1")
        assert await cluster.move("till-1", "till-2") == cluster.host.homes["till-2"]


async def test_timers_and_what_is_scheduled_go_along(tmp_path: Path) -> None:
    class Later(Agent):
        @handles(int)
        async def take(self, message: int, ctx: Context) -> None:
            if message:
                ctx.after(0.3, 0)
            else:
                self.state["rang"] = self.state.get("rang", 0) + 1

    async with Cluster("local", agents_per_actor=2, folder=tmp_path) as cluster:
        await cluster.spawn_all([AgentSpec("later", Later), *SPECS])
        await cluster.submit("later", 1)
        await cluster.move("later", "till-3")
        while await cluster.state("later") != {"rang": 1}:
            await asyncio.sleep(0.02)
        await cluster.quiet()
        assert await cluster.state("later") == {"rang": 1}


async def test_hosts_are_evened_out_while_they_work(tmp_path: Path) -> None:
    async with Cluster("local", agents_per_actor=8, folder=tmp_path) as cluster:
        await cluster.spawn_all([AgentSpec(f"till-{number}", Till) for number in range(8)])
        await cluster.spawn_all([AgentSpec(name, Till) for name in ("bank", "other")])
        more: list[int] = []
        moved = await cluster.even_out(came=more.append)
        assert len(moved) == 3
        assert more == [-3, 1, 1, 1]
        homes = list(cluster.host.homes.values())
        assert {homes.count(host) for host in homes} == {5}
        assert await cluster.even_out() == []
        with pytest.raises(CallerError, match="by='luck' is none of agents, steps"):
            await cluster.even_out(by="luck")
        await cluster.submit("till-0", *[2] * 20)
        await cluster.quiet()
        assert await cluster.state("bank") == {"sum": 40}
        await cluster.even_out(by="steps")
        assert not beside(cluster, "bank", "till-0")


def test_the_heaviest_that_does_not_turn_it_round_goes_first() -> None:
    homes = {"a": "h1", "b": "h1", "c": "h1", "d": "h2"}
    assert evened(homes, {"a": 10, "b": 3, "c": 2, "d": 1}) == [Moved("b", "h1", "h2"), Moved("c", "h1", "h2")]
    assert evened(homes, dict.fromkeys(homes, 1)) == [Moved("c", "h1", "h2")]
    assert evened({"a": "h1", "b": "h2"}, {"a": 100, "b": 1}) == []
    assert evened({}, {}) == []


async def test_a_move_of_an_agent_that_is_made_anew_meanwhile_is_answered(tmp_path: Path) -> None:
    GATE.update({"in": asyncio.Event(), "out": asyncio.Event()})
    async with Cluster("local", agents_per_actor=2, folder=tmp_path, replicas=1) as cluster:
        await cluster.spawn_all([AgentSpec(name, Slow) for name in ("a", "b", "c", "d")])
        await cluster.submit("a", 1)
        await GATE["in"].wait()
        moving = asyncio.ensure_future(cluster.move("a", "c"))
        backend: Any = cluster._backend
        host = next(place.host for place in backend._places if "a" in place.host.drivers)
        while not host.departures._leaving:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # now it waits for the handler
        host.births._bring_up_again(AgentSpec("a", Slow))
        GATE["out"].set()
        with pytest.raises(CallerError, match="was made anew meanwhile"):
            await asyncio.wait_for(moving, 10)
        await cluster.move("a", "c")
        await cluster.quiet()
        assert await cluster.state("a") == {"sum": 1}
