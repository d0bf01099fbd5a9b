"""Branches on a real backend: another decision is tried in a copy, from which nothing leaves, and taken over."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from peer import Agent, Approval, Call, CallerError, Cluster, Context, Overseer, Result, bulky, handles, tool

BANK: dict[str, Any] = {}
LOOKS: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    BANK.clear()
    LOOKS.clear()


def refund(call: Call) -> None:
    BANK.pop(call.intent)


@tool(undo=refund)
def pay(amount: int, *, intent: str) -> int:
    BANK[intent] = amount
    return amount + 1


@tool(kind="irreversible")
def post(text: str, *, intent: str) -> str:
    BANK[intent] = text
    return f"posted {text}"


@tool(kind="pure")
def look(what: str) -> str:
    LOOKS.append(what)
    return what.upper()


class Node(Agent):
    overseers = (Overseer("boss", steps=1_000),)
    keys = {"big": bulky()}  # noqa: RUF012  # as users write it

    def __init__(self, others: int = 3) -> None:
        self.others = others

    @handles(int)
    async def hop(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message
        if message % 4 == 1:
            self.state["paid"] = await ctx.call(pay, message)
        if message > 0:
            ctx.send(f"n{(message * 7) % self.others}", message - 1)

    @handles(str)
    async def say(self, message: str, ctx: Context) -> None:
        self.state["looked"] = await ctx.call(look, message)
        self.state["big"] = message * 1000
        if message == "ask":
            ctx.request(post, message, then=self.posted, approval=Approval("boss"))
        else:
            ctx.request(post, message, then=self.posted)

    async def posted(self, result: Result, ctx: Context) -> None:
        self.state["posted"] = result.value or result.error


async def states(cluster: Any) -> dict[str, Any]:
    return {name: await cluster.state(name) for name in ("n0", "n1", "n2")}


async def begin(cluster: Cluster) -> None:
    for name in ("n0", "n1", "n2"):
        await cluster.spawn(name, Node, others=3)


async def test_a_branch_under_traffic_comes_to_what_the_cluster_comes_to_and_touches_nothing(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run", agents_per_actor=2) as cluster:
        await begin(cluster)
        await cluster.submit("n0", *[40] * 5)
        async with cluster.branch(tools={pay: lambda amount: amount + 1}) as branch:
            await asyncio.gather(branch.quiet(), cluster.quiet())
            before = dict(BANK)
            assert await branch.compare() == []
            assert await states(branch) == await states(cluster)
            assert before == BANK
            assert {call.by for call in branch.calls} <= {"stand-in"}
            folder = branch.folder
        assert not folder.exists()


async def test_another_decision_is_tried_and_taken_over(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await begin(cluster)
        await cluster.submit("n0", 5, 2)
        await cluster.quiet()
        before, paid = await states(cluster), dict(BANK)
        async with cluster.branch("n0/1/1", amend=9, reason="nine?", tools={pay: lambda amount: amount * 10}) as branch:
            await branch.quiet()
            assert branch.began is not None
            assert branch.began.committed
            assert (await states(cluster), BANK) == (before, paid)
            there = {(each.agent, each.key): each.here for each in await branch.compare()}
            assert ("n0", "sum") in there
            assert [(call.args, call.value, call.by) for call in branch.calls if not call.undone] == [
                ((9,), 90, "stand-in"), ((5,), 50, "stand-in"), ((1,), 10, "stand-in"),
            ]  # fmt: skip
            outcome = await branch.adopt()
            assert (outcome.committed, outcome.undone) == (True, branch.began.undone)
            await cluster.quiet()
            assert {each.key for each in await branch.compare()} <= {"paid"}, "the bank answers otherwise"
    assert sorted(BANK.values()) == [1, 1, 5, 9]


async def test_what_was_never_called_is_refused_and_what_people_or_nobody_can_undo_is_there_too(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await begin(cluster)
        await cluster.submit("n1", "ask")
        await cluster.quiet()
        async with cluster.branch(tools={"test_branches:post": lambda text: f"would post {text}"}) as branch:
            await branch.submit("n0", 5)
            await branch.submit("n2", "plain")
            await branch.quiet()
            assert "it was not called like this before" in (await branch.dead_letters("n0"))[0].reason
            (box,) = await branch.inbox()
            await branch.checkpoint()
            await branch.quiet()
            assert (await branch.state("n2"))["posted"] == "would post plain"
            assert box.agent == "n1"
        assert BANK == {}
        assert LOOKS == ["ask", "plain"]
        assert len(await cluster.inbox()) == 1


async def test_a_branch_begins_at_an_older_checkpoint_and_can_go_back_further(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await begin(cluster)
        await cluster.submit("n0", 3)
        await cluster.quiet()
        epoch, then = await cluster.checkpoint(), await states(cluster)
        await cluster.submit("n0", 8)
        await cluster.quiet()
        async with cluster.branch(epoch) as branch:
            await branch.quiet()
            assert await states(branch) == then
            assert (await branch.rollback("n0/1/1", inputs="discard")).committed
            await branch.quiet()
            assert (await branch.state("n0")).get("sum", 0) == 0
            assert await branch.checkpoint() == epoch + 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"at": 99}, "no log in .* has checkpoint 99"),
        ({"amend": 3}, "amend without a step"),
        ({"at": "nonsense"}, "nonsense"),
        ({"agents": ["who"]}, "no agent 'who'|who"),
    ],
)
async def test_what_can_not_be_meant_is_refused_and_the_cluster_goes_on(tmp_path: Path, given: Any, why: str) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await begin(cluster)
        with pytest.raises(CallerError, match=why):
            async with cluster.branch(**given):
                pass
        await cluster.submit("n0", 1)
        await cluster.quiet()
        assert sum(state.get("sum", 0) for state in (await states(cluster)).values()) == 1
