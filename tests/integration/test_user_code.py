"""What users write, as they write it: taken, or refused where it is written, and never lost in silence."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peer import (
    Agent,
    Call,
    Context,
    HandlerMissing,
    Happened,
    NotHappened,
    PayloadUnsupported,
    handles,
    tool,
)  # fmt: skip
from tests.integration.user_code import (
    DID,
    STOP,
    WORK,
    Plain,
    Worker,
    done,
    forget,
    running,
    touch,
    tried,
    unpay,
    whys,
)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    forget()


# -- values in records ------------------------------------------------------------------------------------------------


@dataclass
class Count:
    number: int


@pytest.mark.parametrize(
    ("work", "why"),
    [
        (lambda ctx: ctx.report(confidence="high"), "confidence"),
        (lambda ctx: ctx.report(confidence=float("nan")), "confidence"),
        (lambda ctx: ctx.report(margin=None), "score 'margin'"),
        (lambda ctx: ctx.report(margin=True), "score 'margin'"),
        (lambda ctx: ctx.report(margin=10**400), "score 'margin'"),
        (lambda ctx: ctx.report(**{"\udcff": 1.0}), "name of a score"),
        (lambda ctx: ctx.report(model=3), "model"),
        (lambda ctx: ctx.report(model="\ud800"), "model"),
        (lambda ctx: ctx.report(model="x" * 5_000), "model"),
        (lambda ctx: ctx.send("a", 1, key=5), "key"),
        (lambda ctx: ctx.send("a", 1, key="\udcff"), "key"),
        (lambda ctx: ctx.send(None, 1), "receiver"),
        (lambda ctx: ctx.send("", 1), "receiver"),
        (lambda ctx: ctx.send("a", Count("one")), "Count"),  # type: ignore[arg-type]
        (lambda ctx: ctx.call(touch, 1, key=("a", 1)), "key"),
        (lambda ctx: ctx.rollback("a/1/1", reason=5), "reason"),
        (lambda ctx: ctx.rollback("a/1/1", reason="\udcff"), "reason"),
        (lambda ctx: ctx.rollback("a/1/1", inputs=None), "inputs"),
        (lambda ctx: ctx.rollback(None), "step"),
        (lambda ctx: ctx.rollback(f"a/1/{1 << 70}"), "too large"),
        (lambda ctx: ctx.rollback("a/1/1", evidence=object()), "object"),
    ],
)
async def test_what_no_record_can_hold_is_refused_by_name_and_the_agent_goes_on(
    work: Callable[[Context], Any], why: str
) -> None:
    WORK.update(bad=lambda agent, ctx: work(ctx), good=lambda agent, ctx: agent.state.update(good=True))
    async with running() as cluster:
        assert await done(cluster, "bad", "good") == {"good": True}
        assert why in (await whys(cluster))[0]


async def test_numbers_and_texts_of_other_types_are_made_plain_and_come_back_from_the_log(tmp_path: Path) -> None:
    def go(agent: Agent, ctx: Context) -> None:
        ctx.report(np.float32(0.5), model=Path("risk") / "3", margin=Decimal("1.5"), count=np.int64(3))
        ctx.send(np.str_("a"), "next", key=np.str_("k"))  # type: ignore[arg-type]

    WORK.update(go=go, next=lambda agent, ctx: agent.state.update(next=True))
    async with running(folder=tmp_path) as cluster:
        await done(cluster, "go")
    async with running(folder=tmp_path) as cluster:
        (page,) = await cluster.steps("a")
        record = page.records[0]
        assert (record.confidence, record.scores, record.model) == (0.5, {"margin": 1.5, "count": 3.0}, "risk/3")
        assert await cluster.state("a") == {"next": True}


async def test_a_message_that_does_not_fit_its_fields_is_refused_where_it_is_submitted() -> None:
    async with running() as cluster:
        with pytest.raises(PayloadUnsupported, match=r"Expected `int`, got `str` - at `\$.number`"):
            await cluster.submit("a", Count("one"))  # type: ignore[arg-type]
        with pytest.raises(HandlerMissing, match="no handler for 'Count'"):
            await cluster.submit("a", Count(1))
        assert await cluster.dead_letters("a") == []


# -- how user code ends -----------------------------------------------------------------------------------------------


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


async def _cancels_a_task() -> None:
    task = asyncio.ensure_future(asyncio.sleep(5))
    await asyncio.sleep(0)
    task.cancel()
    await task


async def _cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


async def _raises(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (lambda: _raises(SystemExit(3)), "SystemExit: 3"),
        (lambda: sys.exit(3), "SystemExit: 3"),
        (lambda: _raises(StopIteration()), "StopIteration"),
        (lambda: _raises(GeneratorExit()), "GeneratorExit"),
        (lambda: _raises(BaseExceptionGroup("g", [asyncio.CancelledError(), SystemExit(1)])), "SystemExit: 1"),
        (lambda: _raises(Mute()), "its text can't be had"),
        (lambda: _raises(ValueError("\udcff")), "ValueError: \\udcff"),
        (lambda: _raises(ValueError("x" * 5_000_000)), " characters) ..."),
    ],
)
@pytest.mark.parametrize("kind", [Worker, Plain])
async def test_whatever_ends_a_handler_undoes_its_step_alone(
    end: Callable[[], Any], why: str, kind: type[Agent]
) -> None:
    def work(agent: Agent, ctx: Context) -> Any:
        agent.state["half"] = True
        result = end()
        if kind is Plain:
            try:
                result.send(None)
            finally:
                result.close()
        return result

    WORK.update(bad=work, good=lambda agent, ctx: agent.state.update(good=True))
    async with running(kind=kind) as cluster:
        assert await done(cluster, "bad", "good") == {"good": True}
        (said,) = await whys(cluster)
        assert why in said
        assert len(said) < 10_000


@pytest.mark.parametrize(("end", "why"), [(_cancels_a_task, "CancelledError"), (_cancels_itself, "cancelled itself")])
async def test_a_handler_in_which_a_task_is_cancelled_has_failed(end: Callable[[], Any], why: str) -> None:
    WORK.update(bad=lambda agent, ctx: end(), good=lambda agent, ctx: agent.state.update(good=True))
    async with running() as cluster:
        assert await done(cluster, "bad", "good") == {"good": True}
        assert why in (await whys(cluster))[0]


ENDS: dict[str, Callable[[], Any]] = {
    "exit": lambda: sys.exit(3),
    "stop": lambda: next(iter(())),
    "mute": lambda: (_ for _ in ()).throw(Mute()),
    "long": lambda: (_ for _ in ()).throw(ValueError("x" * 5_000_000)),
}


@tool(kind="idempotent")
def ends(how: str) -> None:
    ENDS[how]()


@tool(kind="idempotent")
async def ends_async(how: str) -> None:
    await {"task": _cancels_a_task, "self": _cancels_itself}[how]()


@pytest.mark.parametrize("how", [*ENDS, "task", "self"])
async def test_whatever_ends_a_tool_ends_that_call_alone(how: str) -> None:
    WORK.update(bad=lambda agent, ctx: ctx.call(ends if how in ENDS else ends_async, how))
    WORK.update(good=lambda agent, ctx: agent.state.update(good=True))
    async with running() as cluster:
        assert await done(cluster, "bad", "good") == {"good": True}
        assert len(await whys(cluster)) == 1


# -- threads ----------------------------------------------------------------------------------------------------------


async def test_a_plain_handler_that_blocks_holds_up_nobody_else() -> None:
    WORK.update(block=lambda agent, ctx: STOP.wait(10), quick=lambda agent, ctx: agent.state.update(quick=True))
    STOP.clear()
    async with running("a", "b", kind=Plain, agents_per_actor=2) as cluster:
        await cluster.submit("a", "block")
        began = time.monotonic()
        await cluster.submit("b", "quick")
        while not await cluster.state("b"):
            await asyncio.sleep(0.01)
        assert (await cluster.status("a")).under_way
        assert time.monotonic() - began < 5
        STOP.set()
        await cluster.quiet()


@tool(kind="idempotent")
def hangs(number: int) -> None:
    STOP.wait(30)


class Quick(Agent):
    @handles(str)
    async def go(self, message: str, ctx: Context) -> None:
        self.state["r"] = await ctx.call(quick, 1)


@tool(kind="idempotent")
def quick(number: int) -> int:
    return number


async def test_tools_that_hang_stop_no_others_and_nobody_who_looks() -> None:
    async def many(agent: Agent, ctx: Context) -> None:
        await asyncio.gather(*(ctx.call(hangs, number) for number in range(100)))

    STOP.clear()
    WORK.update(hang=many)
    async with running() as cluster:
        await cluster.spawn("b", Quick)
        await cluster.submit("a", "hang")
        await asyncio.sleep(0.2)
        await cluster.submit("b", "go")
        while await asyncio.wait_for(cluster.state("b"), 5) != {"r": 1}:
            await asyncio.sleep(0.01)
        STOP.set()
        await cluster.quiet()


async def test_a_plain_handler_has_state_spaces_and_tools_from_its_thread() -> None:
    def work(agent: Agent, ctx: Context) -> None:
        agent.state["r"] = asyncio.run(_call(ctx))  # type: ignore[arg-type]
        agent.state.setdefault("l", []).append(threading.current_thread() is threading.main_thread())
        ctx.send("a", "next")

    async def _call(ctx: Context) -> Any:
        return await ctx.call(touch, "x")

    WORK.update(go=work, next=lambda agent, ctx: agent.state.update(next=True))
    async with running(kind=Plain) as cluster:
        assert await done(cluster, "go") == {"r": "x", "l": [False], "next": True}


async def test_an_async_handler_that_holds_the_loop_is_named_with_the_place_where_it_stands() -> None:
    def hold(agent: Agent, ctx: Context) -> None:
        time.sleep(1.6)

    WORK.update(hold=hold)
    async with running() as cluster:
        await done(cluster, "hold")
        (notice,) = [notice for notice in await cluster.notices("a") if notice.notice == "loop-held"]
        assert "Worker.work of a" in notice.detail
        assert "in hold" in notice.detail
        assert "test_user_code.py" in notice.detail


async def test_a_handler_that_returns_something_is_told_that_it_goes_nowhere() -> None:
    class Returns(Agent):
        @handles(str)
        async def go(self, message: str, ctx: Context) -> int:
            return 3

    async with running(kind=Returns) as cluster:
        await done(cluster, "x", "y")
        (notice,) = [notice for notice in await cluster.notices("a") if notice.notice == "result-dropped"]
        assert "Returns.go returned int" in notice.detail


async def test_a_check_is_believed_if_it_raises_that_nothing_happened() -> None:
    def check(call: Call) -> Happened:
        raise NotHappened

    @tool(undo=unpay, check=check)
    async def fails(what: int) -> None:
        raise ConnectionError("lost")

    WORK.update(go=lambda agent, ctx: tried(ctx, ctx.call(fails, 1)))
    async with running() as cluster:
        await done(cluster, "go")
        assert DID == ["ToolFailed: ConnectionError: lost"]
