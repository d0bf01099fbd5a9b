"""Tools as people use them: several at once, tried again, in time, made by factories."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import tenacity

from peer import (
    Agent,
    Call,
    Context,
    NotHappened,
    ResultLost,
    ToolFailed,
    tool,
)  # fmt: skip
from tests.integration.user_code import (
    DID,
    STOP,
    WORK,
    done,
    forget,
    pay,
    running,
    tried,
    unpay,
    whys,
)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    forget()


# -- several tools at once --------------------------------------------------------------------------------------------


async def test_tools_that_are_called_together_run_together_and_are_undone_in_the_reverse_of_their_ends() -> None:
    async def together(agent: Agent, ctx: Context) -> None:
        agent.state["r"] = await asyncio.gather(ctx.call(pay, 1, 0.2), ctx.call(pay, 2, 0.1), ctx.call(pay, 3, 0.0))

    WORK.update(go=together)
    async with running() as cluster:
        assert await done(cluster, "go") == {"r": [1, 2, 3]}
        assert DID == [3, 2, 1]
        await cluster.rollback("a/1/1", inputs="discard")
        await cluster.quiet()
        assert DID[3:] == [("undo", 1), ("undo", 2), ("undo", 3)]


async def test_one_of_several_calls_that_fails_leaves_none_half_done() -> None:
    async def together(agent: Agent, ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.call(pay, 1, 0.3))
            group.create_task(ctx.call(pay, "refused"))

    async def alone(agent: Agent, ctx: Context) -> None:
        agent.state["then"] = await ctx.call(pay, 2)

    WORK.update(go=together, then=alone)
    async with running() as cluster:
        assert await done(cluster, "go", "then") == {"then": 2}
        assert sorted(map(str, DID)) == sorted(map(str, [2, 1, ("undo", 1)]))
        assert DID.index(1) < DID.index(("undo", 1))
        (why,) = await whys(cluster)
        assert "card declined" in why


async def test_a_call_that_is_not_waited_for_belongs_to_the_step_and_is_undone_with_it() -> None:
    async def impatient(agent: Agent, ctx: Context) -> None:
        try:
            await asyncio.wait_for(ctx.call(pay, 1, 0.3), 0.05)
        except TimeoutError:
            agent.state["gave up"] = True
        agent.state["next"] = await ctx.call(pay, 2)

    WORK.update(go=impatient)
    async with running() as cluster:
        assert await done(cluster, "go") == {"gave up": True, "next": 2}
        await asyncio.sleep(0.4)
        assert DID == [2, 1]
        await cluster.rollback("a/1/1", inputs="discard")
        await cluster.quiet()
        assert DID[2:] == [("undo", 1), ("undo", 2)]


# -- what tools say, and do not say -----------------------------------------------------------------------------------


@tool(undo=unpay)
def gone(what: Any) -> Any:
    DID.append(what)
    raise ConnectionError("line lost")


@tool(undo=unpay)
def handle(what: Any) -> Any:
    DID.append(what)
    return object()


async def test_a_tool_that_knows_that_nothing_happened_says_so_and_there_is_nothing_to_undo() -> None:
    WORK.update(go=lambda agent, ctx: tried(ctx, ctx.call(pay, "refused")))
    async with running() as cluster:
        await done(cluster, "go")
        assert DID == ["ToolFailed: NotHappened: card declined"]
        await cluster.rollback("a/1/1", inputs="discard")
        await cluster.quiet()
        assert len(DID) == 1


async def test_a_doubt_keeps_what_the_tool_has_said() -> None:
    WORK.update(go=lambda agent, ctx: tried(ctx, ctx.call(gone, 1)))
    async with running() as cluster:
        await done(cluster, "go")
        assert "EffectInDoubt" in DID[1]
        assert "ConnectionError: line lost" in DID[1]


async def test_a_result_that_can_not_be_stored_is_lost_and_what_was_done_is_undone() -> None:
    async def lost(agent: Agent, ctx: Context) -> None:
        with pytest.raises(ResultLost, match="object"):
            await ctx.call(handle, 1)
        raise RuntimeError("and so on")

    WORK.update(go=lost)
    async with running() as cluster:
        await done(cluster, "go")
        assert DID == [1, ("undo", 1)]


FAILS = {"left": 0}


@tool(kind="idempotent", retry=tenacity.Retrying(stop=tenacity.stop_after_attempt(3)))
def flaky() -> int:
    FAILS["left"] -= 1
    DID.append("try")
    if FAILS["left"] >= 0:
        raise OSError("busy")
    return 7


@tool(undo=unpay, retry=tenacity.Retrying(stop=tenacity.stop_after_attempt(3)))
def flaky_pay(what: str) -> int:
    DID.append("try")
    if what == "known" and DID.count("try") < 3:
        raise NotHappened("busy")
    if what == "unknown":
        raise OSError("busy")
    return 7


@pytest.mark.parametrize(("fails", "tries", "says"), [(2, 3, 7), (5, 3, "ToolFailed: OSError: busy")])
async def test_a_tool_is_tried_again_as_its_policy_says(fails: int, tries: int, says: Any) -> None:
    async def go(agent: Agent, ctx: Context) -> None:
        try:
            agent.state["r"] = await ctx.call(flaky)
        except ToolFailed as error:
            agent.state["r"] = f"ToolFailed: {error}"

    FAILS["left"] = fails
    WORK.update(go=go)
    async with running() as cluster:
        assert await done(cluster, "go") == {"r": says}
        assert len(DID) == tries


@pytest.mark.parametrize(("what", "tries"), [("known", 3), ("unknown", 1)])
async def test_only_what_is_known_not_to_have_happened_is_tried_again(what: str, tries: int) -> None:
    WORK.update(go=lambda agent, ctx: tried(ctx, ctx.call(flaky_pay, what)))
    async with running() as cluster:
        await done(cluster, "go")
        assert DID.count("try") == tries


@tool(kind="idempotent", timeout=0.1)
async def endless() -> None:
    await asyncio.sleep(60)


@tool(undo=unpay, check=lambda call: NotHappened(), timeout=0.1)
def endless_thread(what: int) -> None:
    STOP.wait(30)


async def test_a_tool_that_takes_too_long_has_failed() -> None:
    WORK.update(go=lambda agent, ctx: tried(ctx, ctx.call(endless)))
    async with running() as cluster:
        await done(cluster, "go")
        assert "has not returned within 0.1 s" in DID[0]


async def test_of_a_thread_that_goes_on_a_check_that_says_no_is_not_believed() -> None:
    STOP.clear()
    WORK.update(go=lambda agent, ctx: tried(ctx, ctx.call(endless_thread, 1)))
    async with running() as cluster:
        await done(cluster, "go")
        STOP.set()
        assert "EffectInDoubt" in DID[0]


BUSY = {"now": 0, "most": 0}


@tool(kind="idempotent", concurrency=2)
async def narrow(number: int) -> None:
    BUSY["now"] += 1
    BUSY["most"] = max(BUSY.values())
    await asyncio.sleep(0.02)
    BUSY["now"] -= 1


async def test_no_more_calls_of_a_tool_are_under_way_than_it_allows() -> None:
    async def go(agent: Agent, ctx: Context) -> None:
        await asyncio.gather(*(ctx.call(narrow, number) for number in range(6)))

    BUSY.update(now=0, most=0)
    WORK.update(go=go)
    async with running() as cluster:
        await done(cluster, "go")
        assert BUSY["most"] == 2


async def test_an_undo_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.agents.invoking.HANGS_S", 0.1)
    never = asyncio.Event()

    async def hang(call: Call) -> None:
        await never.wait()

    @tool(undo=hang)
    async def sends(what: int) -> None:
        DID.append(what)

    async def go(agent: Agent, ctx: Context) -> None:
        await ctx.call(sends, 1)

    WORK.update(go=go)
    async with running() as cluster:
        await done(cluster, "go")
        await cluster.rollback("a/1/1", inputs="discard")
        for _ in range(100):
            notices = [notice for notice in await cluster.notices("a") if notice.notice == "undo-hangs"]
            if notices:
                break
            await asyncio.sleep(0.02)
        assert "sends" in notices[0].detail
        never.set()
        await cluster.quiet()


# -- which tool, which message ----------------------------------------------------------------------------------------


def made_for(account: str) -> Any:
    @tool(undo=lambda call: DID.append(("refund", account)))
    def transfer(amount: int) -> str:
        DID.append(("pay", account))
        return account

    return transfer


TRANSFERS = {account: made_for(account) for account in ("alice", "bob")}


async def test_each_tool_of_a_factory_reaches_its_own_function_and_its_own_undo() -> None:
    async def go(agent: Agent, ctx: Context) -> None:
        agent.state["r"] = [await ctx.call(TRANSFERS[account], 5) for account in ("alice", "bob")]

    WORK.update(go=go)
    async with running() as cluster:
        assert await done(cluster, "go") == {"r": ["alice", "bob"]}
        await cluster.rollback("a/1/1", inputs="discard")
        await cluster.quiet()
        assert DID == [("pay", "alice"), ("pay", "bob"), ("refund", "bob"), ("refund", "alice")]


async def test_after_a_restart_the_undo_of_a_factory_tool_is_found_before_any_call(tmp_path: Path) -> None:
    async def go(agent: Agent, ctx: Context) -> None:
        await ctx.call(TRANSFERS["bob"], 5)

    WORK.update(go=go)
    async with running(folder=tmp_path) as cluster:
        await done(cluster, "go")
    async with running(folder=tmp_path) as cluster:
        await cluster.rollback("a/1/1", inputs="discard")
        await cluster.quiet()
        assert DID == [("pay", "bob"), ("refund", "bob")]


async def test_two_tools_that_nothing_tells_apart_are_refused() -> None:
    def made_with(client: object) -> Any:
        @tool(kind="idempotent")
        def ask() -> str:
            return str(client)

        return ask

    one, two = made_with(object()), made_with(object())

    async def go(agent: Agent, ctx: Context) -> None:
        await ctx.call(one)
        await ctx.call(two)

    WORK.update(go=go)
    async with running() as cluster:
        await done(cluster, "go")
        (why,) = await whys(cluster)
        assert "@tool(name=...)" in why
