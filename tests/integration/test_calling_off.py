"""Inputs that are called off, on a real backend: while they wait, while they run, and after that."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from peer import Agent, Call, CallerError, Cluster, Context, InputHandled, InputUnknown, handles, tool

DONE: list[str] = []
RUNS: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    DONE.clear()
    RUNS.clear()


def undo(call: Call) -> None:
    DONE.remove(call.args[0])


@tool(undo=undo)
async def act(what: str, *, intent: str) -> None:
    DONE.append(what)


class Worker(Agent):
    @handles(str)
    async def work(self, message: str, ctx: Context) -> None:
        RUNS.append(message)
        await ctx.call(act, message)
        if message == "hang":
            await asyncio.Event().wait()
        if message == "deaf":
            RUNS.append("listens")
            while "let go" not in RUNS:
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    RUNS.append("heard it")
        self.state[message] = True


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


async def reasons(cluster: Cluster) -> dict[str, str]:
    return {letter.message: letter.reason for letter in await cluster.dead_letters("worker")}


async def test_what_runs_and_what_waits_is_called_off_for_good_and_can_be_redriven(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("worker", Worker)
        first = await cluster.submit("worker", "hang", "second")
        third = await cluster.submit("worker", "third")
        await until(lambda: "hang" in DONE)
        await third.cancel("ordered twice", by="ann")
        await cluster.cancel("worker", first.inputs[0], why="it hangs", by="bob")
        await cluster.cancel("worker", first.inputs[0], by="eve")
        await cluster.quiet()
        wanted = {"third": "called off by ann: ordered twice", "hang": "called off by bob: it hangs"}
        assert await reasons(cluster) == wanted
        assert (await cluster.state("worker"), DONE) == ({"second": True}, ["second"])
        await cluster.kill("worker")
        assert await reasons(cluster) == wanted
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("worker", Worker)
        await cluster.quiet()
        assert (await reasons(cluster), RUNS) == (wanted, ["hang", "second"])
        (letter,) = [letter for letter in await cluster.dead_letters("worker") if letter.message == "third"]
        await letter.redrive()
        await cluster.quiet()
        assert await cluster.state("worker") == {"second": True, "third": True}


async def test_what_has_become_a_step_is_refused_and_the_others_of_a_receipt_are_called_off() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("worker", Worker)
        receipt = await cluster.submit("worker", "done", "hang", "waits")
        await until(lambda: "hang" in RUNS)
        with pytest.raises(InputHandled, match=r"has become step worker/1/1.*2 of 3 inputs are called off"):
            await cluster.cancel("worker", receipt)
        await cluster.quiet()
        assert sorted(await reasons(cluster)) == ["hang", "waits"]
        assert (await cluster.state("worker"), DONE) == ({"done": True}, ["done"])
        await cluster.rollback("worker/1/1", inputs="discard")
        with pytest.raises(InputUnknown, match="no input 'ext:web#1'"):
            await cluster.cancel("worker", "ext:web#1")


async def test_a_handler_that_swallows_that_holds_up_its_agent_for_a_second_and_no_longer() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("worker", Worker)
        receipt = await cluster.submit("worker", "deaf", "next")
        await until(lambda: "listens" in RUNS)
        await cluster.cancel("worker", receipt.inputs[0])
        await until(lambda: "next" in DONE)
        await cluster.quiet()
        assert (await cluster.state("worker"), DONE) == ({"next": True}, ["next"])
        assert RUNS.count("heard it") == 1
        # No loop ends before all of its tasks have.
        RUNS.append("let go")
        assert [line.notice for line in await cluster.notices("worker")].count("handler-goes-on") == 1


async def test_what_names_no_input_is_refused() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("worker", Worker)
        await cluster.spawn("other", Worker)
        receipt = await cluster.submit("worker", "one")
        for wrong in ((), (1,), ("",)):
            with pytest.raises(CallerError, match="input"):
                await cluster.cancel("worker", *wrong)
        with pytest.raises(CallerError, match="of 'worker', not 'other'"):
            await cluster.cancel("other", receipt)
        with pytest.raises(CallerError, match="why=3"):
            await cluster.cancel("worker", receipt, why=3)  # pyright: ignore[reportArgumentType]
