"""Hosts that are packed, killed and started again, agents that propose, and shared spaces: with real logs."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from peer import Agent, AgentSpec, Cluster, Context, LogCorrupt, Proposal, handles
from tests.damage import damage_record, lose_end


@dataclass
class Put:
    key: str
    value: int


@dataclass
class Remove:
    key: str


# -- packing, killing, agents that propose


class Relay(Agent):
    @handles(list)
    async def relay(self, message: list, ctx: Context) -> None:
        self.state["seen"] = self.state.get("seen", 0) + 1
        if len(message) > 1:
            ctx.send(message[1], message[1:])


class Doubter(Agent):
    @handles(Put)
    def put(self, message: Put, ctx: Context) -> None:
        if ctx.evidence is None:
            self.state["value"] = message.value
            ctx.rollback(ctx.step, reason="doubt", evidence={"why": "doubt"})
        else:
            self.state["evidence"] = ctx.evidence["why"]


async def test_an_agent_may_have_its_own_step_undone_with_evidence() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("d", Doubter)
        await cluster.submit("d", Put("k", 1))
        await cluster.quiet()
        assert await cluster.state("d") == {"evidence": "doubt"}


@pytest.mark.parametrize("packed", [1, 3, 50])
async def test_packing_changes_nothing(packed: int) -> None:
    names = [f"r{n}" for n in range(9)]
    async with Cluster("local", agents_per_actor=packed) as cluster:
        await cluster.spawn_all([AgentSpec(name, Relay) for name in names])
        for _ in range(5):
            await cluster.submit("r0", names)
        await cluster.quiet()
        outcome = await cluster.rollback("r0/1/3", inputs="discard")
        assert outcome.agents == tuple(names)
        await cluster.quiet()
        assert [(await cluster.state(name))["seen"] for name in names] == [4] * 9


@pytest.mark.parametrize("victim", ["r0", "r4", "r8"])
async def test_a_host_killed_in_the_middle_of_work_and_of_a_rollback_loses_nothing(victim: str) -> None:
    names = [f"r{n}" for n in range(9)]
    async with Cluster("local", agents_per_actor=2) as cluster:
        await cluster.spawn_all([AgentSpec(name, Relay) for name in names])
        for _ in range(10):
            await cluster.submit("r0", names)
        await cluster.kill(victim)
        for _ in range(10):
            await cluster.submit("r0", names)
        await cluster.quiet()
        assert [(await cluster.state(name))["seen"] for name in names] == [20] * 9
        rollback = asyncio.ensure_future(cluster.rollback("r0/1/11", inputs="discard"))
        await asyncio.sleep(0)
        await cluster.kill(victim)
        assert (await rollback).committed
        await cluster.quiet()
        assert [(await cluster.state(name))["seen"] for name in names] == [19] * 9


async def test_a_cluster_started_again_on_its_folder_goes_on_and_a_loss_takes_its_orphans(tmp_path: Path) -> None:
    names = ["r0", "r1"]
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn_all([AgentSpec(name, Relay) for name in names])
        await cluster.submit("r0", names, names)
        await cluster.quiet()
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn_all([AgentSpec(name, Relay) for name in names])
        await cluster.quiet()
        assert [(await cluster.state(name))["seen"] for name in names] == [2, 2]
    await lose_end(tmp_path / "host-1", "r0", 2)
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn_all([AgentSpec("r1", Relay), AgentSpec("r0", Relay, lost=True)][::-1])
        await cluster.quiet()
        lost = [notice for notice in await cluster.notices("r0") if notice.notice == "loss"]
        assert lost != []
        steps = [record for page in await cluster.steps("r1") for record in page.records]
        by = [name for page in await cluster.steps("r1") for name in page.retracted_by if name]
        survivors = (await cluster.status("r0")).steps
        assert len(steps) - len(by) <= survivors + len(steps) - 2
        assert (await cluster.state("r0"))["seen"] == (await cluster.state("r1"))["seen"]


async def test_a_log_that_cannot_be_read_stops_its_own_agent_and_no_other(tmp_path: Path) -> None:
    names = ["r0", "r1", "r2"]
    async with Cluster("local", folder=tmp_path, agents_per_actor=3) as cluster:
        await cluster.spawn_all([AgentSpec(name, Relay) for name in names])
        await cluster.submit("r0", names)
        await cluster.quiet()
    damage_record(tmp_path / "host-1", "r1", 2)
    async with Cluster("local", folder=tmp_path, agents_per_actor=3) as cluster:
        with pytest.raises(LogCorrupt, match=r"\.seg.*r1") as caught:
            await cluster.spawn_all([AgentSpec(name, Relay) for name in names])
        assert "2" in str(caught.value)
        assert await cluster.state("r0") == {"seen": 1}
        await cluster.submit("r2", ["r2", "r0"])
        while (await cluster.state("r0"))["seen"] != 2:
            await asyncio.sleep(0.01)


class Broken(Relay):
    def still_valid(self, proposal: Proposal) -> bool:
        raise RuntimeError("the hook is broken")


async def test_an_agent_whose_hook_fails_rejects_and_says_why() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("b", Broken)
        await cluster.submit("b", ["b"])
        await cluster.quiet()
        outcome = await cluster.rollback("b/1/1")
        assert outcome.rejects == (("b", "still_valid failed: RuntimeError: the hook is broken"),)


# -- shared spaces


class Member(Agent):
    spaces = ("board",)

    @handles(int)
    def add(self, message: int, ctx: Context) -> None:
        board = ctx.space("board")
        board.counter("sum").add(message)
        board.map("by")[self.name] = message
        board.set("who").add(self.name)
        assert board.map("by").get(self.name) == message

    @handles(str)
    def note(self, message: str, ctx: Context) -> None:
        board = ctx.space("board")
        self.state["sum"] = board.counter("sum").value
        self.state["by"] = dict(board.map("by").items())
        self.state["who"] = sorted(board.set("who").members())

    @handles(Remove)
    def leave(self, message: Remove, ctx: Context) -> None:
        ctx.space("board").set("who").discard(message.key)


async def test_a_rollback_hides_shared_entries_everywhere_and_takes_who_read_them() -> None:
    async with Cluster("local") as cluster:
        for name in ("m1", "m2", "m3"):
            await cluster.spawn(name, Member)
        await cluster.quiet()
        await cluster.submit("m1", 10)
        await cluster.submit("m2", 5)
        await cluster.quiet()
        await cluster.submit("m3", "note")
        await cluster.quiet()
        assert await cluster.state("m3") == {"sum": 15, "by": {"m1": 10, "m2": 5}, "who": ["m1", "m2"]}
        outcome = await cluster.rollback("m1/1/1", inputs="discard")
        assert {str(step) for step in outcome.undone} == {"m1/1/1", "m3/1/1"}
        await cluster.quiet()
        assert await cluster.state("m3") == {"sum": 5, "by": {"m2": 5}, "who": ["m2"]}
        await cluster.spawn("m4", Member)
        await cluster.quiet()
        for name in ("m1", "m2", "m3", "m4"):
            view = await cluster.shared(name)
            assert view.counter("board", "sum") == 5
            assert view.value("board", "by", "m2") == 5
            assert view.members("board", "who") == {"m2"}
        await cluster.submit("m4", Remove("m2"))
        await cluster.quiet()
        assert (await cluster.shared("m1")).members("board", "who") == set()


class Stranger(Agent):
    @handles(int)
    def add(self, message: int, ctx: Context) -> None:
        ctx.space("board").counter("sum").add(message)


async def test_who_does_not_take_part_in_a_space_is_told_how() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("x", Stranger)
        await cluster.submit("x", 1)
        await cluster.quiet()
        ((_, why),) = await cluster.dead_letters("x")
        assert "spaces = ('board',)" in why


async def test_a_host_whose_folder_is_gone_when_the_cluster_starts_again_is_not_taken_for_a_new_one(
    tmp_path: Path,
) -> None:
    names = ["r0", "r1", "r2"]
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn_all([AgentSpec(name, Relay) for name in names])
        await cluster.submit("r0", names)
        await cluster.quiet()
    shutil.rmtree(tmp_path / "host-2")
    async with Cluster("local", folder=tmp_path) as cluster:
        with pytest.raises(LogCorrupt, match="its log is gone"):
            await cluster.spawn_all([AgentSpec(name, Relay) for name in names])
        assert await cluster.state("r0") == {"seen": 1}
