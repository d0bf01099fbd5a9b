"""A handler's own terms, on a real backend: how often it is tried, and how long it may take."""

import asyncio
import threading
from pathlib import Path

import pytest

from peer import Agent, Call, Cluster, Context, HandlerTimeout, Retry, ToolFailed, handles, tool

DOWN = {"times": 0}


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Handlers that fail are part of the plan."""
    caplog.set_level(100, "ebbtide")
    DOWN["times"] = 0


@tool(kind="idempotent")
async def fetch(item: str) -> str:
    if DOWN["times"]:
        DOWN["times"] -= 1
        raise ConnectionError("down")
    return item.upper()


class Porter(Agent):
    @handles(str, retry=Retry(2, wait=0.01, on={ToolFailed: 6}, never=(KeyError,)))
    async def carry(self, item: str, ctx: Context) -> None:
        if item == "key":
            raise KeyError(item)
        self.state[item] = await ctx.call(fetch, item)

    @handles(int)
    def plain(self, item: int, ctx: Context) -> None:
        raise ValueError(item)


async def test_each_handler_is_tried_as_often_as_its_policy_says_of_the_error() -> None:
    DOWN["times"] = 5
    async with Cluster("local") as cluster:
        await cluster.spawn("porter", Porter)
        await cluster.submit("porter", "tea", "key", 1)
        await cluster.quiet()
        assert await cluster.state("porter") == {"tea": "TEA"}
        failed = [notice.subject for notice in await cluster.notices("porter") if notice.notice == "step-failed"]
        assert sorted(failed.count(subject) for subject in set(failed)) == [1, Porter.tries, 5]
        assert {letter.message for letter in await cluster.dead_letters("porter")} == {"key", 1}


GO = threading.Event()
WROTE: list[str] = []
PAID: list[str] = []


def unpay(call: Call) -> None:
    PAID.remove(call.intent)


@tool(undo=unpay)
async def pay(cents: int, *, intent: str) -> None:
    PAID.append(intent)
    while not GO.is_set():
        await asyncio.sleep(0.01)


class Slow(Agent):
    @handles(str, timeout=0.1, retry=Retry(5, never=(HandlerTimeout,)))
    def plain(self, message: str, ctx: Context) -> None:
        GO.wait(30.0)
        try:
            self.state[message] = True
        except Exception as error:
            WROTE.append(type(error).__name__)
            raise

    @handles(int, timeout=0.1, retry=Retry(2, wait=0.01))
    async def pays(self, cents: int, ctx: Context) -> None:
        await ctx.call(pay, cents)


async def until(holds: object) -> None:
    assert callable(holds)
    while not holds():
        await asyncio.sleep(0.01)


async def test_the_thread_of_a_plain_handler_goes_on_and_what_it_does_goes_nowhere(tmp_path: Path) -> None:
    GO.clear()
    WROTE.clear()
    async with asyncio.timeout(60), Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("slow", Slow)
        await cluster.submit("slow", "tea")
        await cluster.quiet()
        (letter,) = await cluster.dead_letters("slow")
        assert letter.reason.startswith("HandlerTimeout: Slow.plain has not returned within 0.1 s; its thread can't be")
        GO.set()
        await until(lambda: WROTE)
        assert (WROTE, await cluster.state("slow")) == (["CallerError"], {})


async def test_a_call_that_goes_on_when_its_handler_is_cut_off_is_undone_with_the_dead_letter() -> None:
    GO.clear()
    PAID.clear()
    async with asyncio.timeout(60), Cluster("local") as cluster:
        await cluster.spawn("slow", Slow)
        await cluster.submit("slow", 5)
        while not await cluster.dead_letters("slow"):
            await asyncio.sleep(0.01)
        # The second try awaited the call of the first.
        assert len(PAID) == 1
        GO.set()
        await cluster.quiet()
        assert PAID == []
