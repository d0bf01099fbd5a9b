"""State as a dict within a handler, and work that outlives its step."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from peer import (
    Agent,
    Context,
    handles,
)  # fmt: skip
from tests.integration.user_code import (
    DID,
    TASKS,
    WORK,
    Plain,
    done,
    forget,
    running,
    slow,
    touch,
    whys,
)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    forget()


# -- state as a dict --------------------------------------------------------------------------------------------------


def _fill(agent: Agent, ctx: Context) -> None:
    agent.state["list"] = [1]
    agent.state["deep"] = {"a": {"b": [1]}}
    agent.state["array"] = np.zeros(2)
    agent.state["pair"] = ([1], {2})
    ctx.space("board").map("m")["k"] = [1]


def _every(agent: Agent) -> None:
    agent.state["list"].append(2)
    agent.state["deep"]["a"]["b"].append(2)
    agent.state["array"] += 1
    agent.state["pair"][1].add(3)
    agent.state.setdefault("new", []).append("x")
    agent.state["late"] = late = {}
    late["y"] = 1


async def test_what_a_handler_changes_in_place_is_kept_and_undone_with_its_step() -> None:
    WORK.update(fill=_fill, change=lambda agent, ctx: _every(agent))
    async with running() as cluster:
        await done(cluster, "fill")
        before = await cluster.state("a")
        after = await done(cluster, "change")
        assert after["list"] == [1, 2]
        assert after["deep"] == {"a": {"b": [1, 2]}}
        assert after["array"].tolist() == [1, 1]
        assert after["pair"] == ([1], {2, 3})
        assert (after["new"], after["late"]) == (["x"], {"y": 1})
        await cluster.rollback("a/1/2", inputs="discard")
        await cluster.quiet()
        assert repr(await cluster.state("a")) == repr(before)


async def test_a_key_gives_a_handler_the_same_object_each_time() -> None:
    def twice(agent: Agent, ctx: Context) -> None:
        agent.state["list"].append(2)
        agent.state["list"].append(3)
        for _, value in agent.state.items():
            if isinstance(value, list):
                value.append(4)

    WORK.update(fill=lambda agent, ctx: agent.state.update(list=[1]), twice=twice)
    async with running() as cluster:
        assert await done(cluster, "fill", "twice") == {"list": [1, 2, 3, 4]}


async def test_what_was_only_looked_at_writes_nothing() -> None:
    WORK.update(fill=_fill, look=lambda agent, ctx: repr(dict(agent.state)) and None)
    async with running() as cluster:
        await done(cluster, "fill", "look")
        (page,) = await cluster.steps("a")
        assert page.records[1].writes == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda agent, ctx: agent.state.observe("list").append(2),
        lambda agent, ctx: agent.state.at("a/1/1")["list"].append(2),
        lambda agent, ctx: agent.state["index"].append(2),
        lambda agent, ctx: ctx.space("board").map("m").get("k").append(2),
        lambda agent, ctx: dict(ctx.space("board").map("m").items())["k"].append(2),
    ],
)
async def test_what_is_changed_in_place_where_it_can_not_be_kept_is_told(change: Callable[..., Any]) -> None:
    WORK.update(fill=_fill, change=change)
    async with running() as cluster:
        await done(cluster, "fill", "change")
        (why,) = await whys(cluster)
        assert "was changed in place" in why
        assert "copy" in why


def _copy_over(agent: Agent, ctx: Context) -> None:
    board = ctx.space("board").map("m")
    shared, seen, past = board.get("k"), agent.state.observe("list"), agent.state.at("a/1/1")["list"]
    for value in (shared, seen, past):
        value.append(2)
    board["k"] = shared
    agent.state["seen"], agent.state["past"] = seen, past


async def test_what_was_only_shown_can_be_changed_and_assigned() -> None:
    WORK.update(fill=_fill, change=_copy_over)
    async with running() as cluster:
        state = await done(cluster, "fill", "change")
        assert (state["list"], state["seen"], state["past"]) == ([1], [1, 2], [1, 2])
        assert (await cluster.shared("a")).value("board", "m", "k") == [1, 2]
        assert await whys(cluster) == []


async def test_a_value_that_can_not_be_stored_any_more_is_told_with_its_key() -> None:
    WORK.update(fill=_fill, change=lambda agent, ctx: agent.state["list"].append(object()))
    async with running() as cluster:
        state = await done(cluster, "fill", "change")
        assert state["list"] == [1]
        (why,) = await whys(cluster)
        assert "key 'list'" in why


class Reader(Agent):
    @handles(str, read_only=True)
    async def read(self, message: str, ctx: Context) -> None:
        self.state["list"].append(2)

    @handles(int)
    async def write(self, message: int, ctx: Context) -> None:
        self.state["list"] = [message]


async def test_a_handler_that_only_reads_changes_nothing_in_place_either() -> None:
    async with running(kind=Reader) as cluster:
        await cluster.submit("a", 1, "x")
        await cluster.quiet()
        assert await cluster.state("a") == {"list": [1]}
        assert "ReadOnly" in (await whys(cluster))[0]


# -- work that outlives its step --------------------------------------------------------------------------------------


async def test_what_outlives_its_step_can_do_nothing_any_more_and_the_next_step_is_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def late(agent: Agent, ctx: Context) -> None:
        await asyncio.sleep(0.1)
        for work in (
            lambda: agent.state.update(late=1),
            lambda: agent.state.get("x"),
            lambda: ctx.send("b", "x"),
            lambda: ctx.report(confidence=1),
            lambda: ctx.rollback("a/1/1"),
            lambda: ctx.space("board").counter("n").add(1),
            lambda: ctx.space("board").counter("n").value,
        ):
            with pytest.raises(Exception, match="is over"):
                work()
        with pytest.raises(Exception, match="is over"):
            await ctx.call(touch, "late")
        DID.append("refused")

    async def second(agent: Agent, ctx: Context) -> None:
        await asyncio.sleep(0.3)
        agent.state["second"] = await ctx.call(touch, "second")

    WORK.update(one=lambda agent, ctx: TASKS.append(asyncio.ensure_future(late(agent, ctx))), two=second)
    async with running() as cluster:
        assert await done(cluster, "one", "two") == {"second": "second"}
        await TASKS[0]
        assert DID == ["refused", "second"]
        assert await whys(cluster) == []
        assert "step a/1/1" in caplog.text


async def test_a_call_that_is_awaited_when_its_step_ends_is_told_so() -> None:
    async def late(ctx: Context) -> None:
        with pytest.raises(Exception, match="is over"):
            await ctx.call(slow, "late")
        DID.append("told")

    async def first(agent: Agent, ctx: Context) -> None:
        TASKS.append(asyncio.ensure_future(late(ctx)))
        await asyncio.sleep(0.05)

    WORK.update(one=first)
    async with running() as cluster:
        await done(cluster, "one")
        await asyncio.wait_for(TASKS[0], 5)
        await asyncio.sleep(0.3)
        assert DID == ["told", "late"]  # the call itself runs to its end


async def test_a_thread_that_outlives_its_step_can_do_nothing_any_more() -> None:
    def work(agent: Agent, ctx: Context) -> None:
        def late() -> None:
            try:
                time.sleep(0.2)
                agent.state["late"] = 1
            except Exception as error:  # noqa: BLE001  # judged below
                DID.append(str(error))

        thread = threading.Thread(target=late)
        thread.start()
        TASKS.append(thread)

    WORK.update(one=work)
    async with running(kind=Plain) as cluster:
        assert await done(cluster, "one") == {}
        await asyncio.to_thread(TASKS[0].join)
        assert "only there inside a handler" in DID[0]
