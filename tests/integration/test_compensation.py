"""Compensation forward in time: effects are countered in reverse causal order, and steps and states stay."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from ebbtide import Agent, AskTimeout, Call, CallerError, Cluster, Context, Result, handles, tool
from tests.integration.test_people import until

DONE: list[str] = []
UNDONE: list[str] = []
SHUT: set[str] = set()


@dataclass
class Work:
    name: str
    left: int


def undo(call: Call) -> None:
    if call.args[0] in SHUT:
        raise ConnectionError("shut")
    if call.args[0] in DONE:
        DONE.remove(call.args[0])
        UNDONE.append(call.args[0])


@tool(undo=undo, undo_cost="a coin")
def do(name: str) -> None:
    DONE.append(name)


@tool(kind="idempotent")
def note(name: str) -> None:
    pass


@tool(kind="irreversible")
def tell(name: str) -> str:
    return name


class Worker(Agent):
    @handles(Work)
    async def work(self, message: Work, ctx: Context) -> None:
        await ctx.call(do, f"{message.name}{message.left}a")
        await ctx.call(do, f"{message.name}{message.left}b")
        await ctx.call(note, message.name)
        self.state[message.name, message.left] = "done"
        if message.left:
            ctx.send("b" if self.name == "a" else "a", Work(message.name, message.left - 1))

    @handles(str)
    async def tell(self, message: str, ctx: Context) -> None:
        await ctx.call(do, message)
        ctx.request(tell, message, then=self.told)

    @handles(int)
    async def leave(self, message: int, ctx: Context) -> None:
        ctx.retire()

    async def told(self, result: Result, ctx: Context) -> None:
        self.state["told"] = result.value


@pytest.fixture(autouse=True)
def world() -> None:
    for each in (DONE, UNDONE, SHUT):
        each.clear()


async def up(cluster: Cluster) -> None:
    await cluster.spawn("a", Worker)
    await cluster.spawn("b", Worker)


async def holds(value: bool) -> bool:
    return value


async def test_effects_are_countered_newest_first_over_agents_and_the_rest_stays() -> None:
    async with Cluster("local") as cluster:
        await up(cluster)
        await cluster.submit("a", Work("x", 2))
        await cluster.quiet()
        await cluster.submit("a", Work("y", 0))
        await cluster.quiet()
        before = await cluster.state("a"), await cluster.state("b")
        plan = await cluster.preview("a/1/1")
        assert {call.undo for call in plan.calls} == {"undone by undo, at a cost of a coin", "nothing to undo"}
        came = await cluster.compensate("a/1/1", reason="called off", by="ann")
        assert UNDONE == ["x0b", "x0a", "x1b", "x1a", "x2b", "x2a"]
        assert DONE == ["y0a", "y0b"]
        assert (len(came.countered), len(came.stand), came.pending, came.doubtful) == (6, 3, (), ())
        assert (await cluster.state("a"), await cluster.state("b")) == before
        again = await cluster.compensate("a/1/1", reason="called off", by="ann")
        assert (again.step, again.countered) == (None, ())
        assert (await cluster.rollback("a/1/1", inputs="discard")).committed
        await cluster.quiet()
        assert len(UNDONE) == 6
        notices = [notice for notice in await cluster.notices("a") if notice.notice == "effect-countered"]
        assert [notice.detail for notice in notices] == ["by ann: called off"] * 4


async def test_it_goes_on_when_whoever_has_asked_is_gone_and_all_hosts_are_killed(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await up(cluster)
        await cluster.submit("a", Work("x", 2))
        await cluster.quiet()
        SHUT.update({"x0a"})
        with pytest.raises(AskTimeout, match="It goes on"):
            await cluster.compensate("a/1/1", reason="called off", timeout_s=0.0)
        await until(lambda: holds(UNDONE == ["x0b"]))
        await cluster.kill("a")
        await cluster.kill("b")
    SHUT.clear()
    async with Cluster("local", folder=tmp_path) as cluster:
        await up(cluster)
        await until(lambda: holds(len(UNDONE) == 6))
        await cluster.quiet()
        assert UNDONE == ["x0b", "x0a", "x1b", "x1a", "x2b", "x2a"]
        assert (await cluster.state("a"))["x", 2] == "done"


async def test_an_undo_that_fails_is_pending_and_does_not_hold_up_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.agents.countering.ORDER_S", 0.1)
    async with Cluster("local") as cluster:
        await up(cluster)
        await cluster.submit("a", Work("x", 1))
        await cluster.quiet()
        SHUT.add("x0b")
        came = await cluster.compensate("a/1/1", reason="called off")
        assert UNDONE == ["x0a", "x1b", "x1a"]
        (pending,) = came.pending
        assert (await cluster.effects("b"))[0].why == "ConnectionError: shut"
        assert await cluster.settle(pending, happened=True, note="it stays") == "kept"
        await cluster.quiet()


async def test_what_nobody_can_undo_stands_and_is_no_hindrance() -> None:
    async with Cluster("local") as cluster:
        await up(cluster)
        await cluster.submit("a", "sold")
        await cluster.quiet()
        epoch = await cluster.checkpoint()
        await until(lambda: _committed(cluster, epoch))
        await cluster.quiet()
        assert (await cluster.state("a"))["told"] == "sold"
        assert not (await cluster.rollback("a/1/1", inputs="discard")).committed
        came = await cluster.compensate("a/1/1", reason="called off")
        assert (len(came.countered), len(came.stand)) == (1, 1)
        assert UNDONE == ["sold"]


async def _committed(cluster: Cluster, epoch: int) -> bool:
    return (await cluster.status("a")).committed >= epoch and not await cluster.requests()


async def test_what_a_retired_agent_has_done_is_countered_too() -> None:
    async with Cluster("local") as cluster:
        await up(cluster)
        await cluster.submit("b", Work("x", 0), -1)
        await cluster.quiet()
        assert "retired" in (await cluster.status("b")).absence
        came = await cluster.compensate("b/1/1", reason="called off")
        assert len(came.countered) == 2
        await cluster.quiet()
        assert await cluster.dead_letters() == []


async def test_a_reason_is_wanted() -> None:
    async with Cluster("local") as cluster:
        await up(cluster)
        await cluster.submit("a", Work("x", 0))
        with pytest.raises(CallerError, match=r"reason.*Nothing was countered"):
            await cluster.compensate("a/1/1", reason="")
