"""Tools that name what they touch outside, in clusters: who reads what another has written hangs on that."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ebbtide import Agent, Call, CallerError, Cluster, Context, DeclarationRefused, Result, handles, tool
from peer.agents.keys import outside_space
from protocol.message import Sync

ROWS: dict[str, int] = {}


def put_back(call: Call) -> None:
    ROWS[call.args[0]] -= call.args[1]


@tool(undo=put_back, writes={"rows": lambda row, amount: row})
def add(row: str, amount: int) -> None:
    ROWS[row] = ROWS.get(row, 0) + amount


@tool(kind="pure", reads={"rows": lambda row: row})
def look(row: str) -> int:
    return ROWS.get(row, 0)


@tool(kind="idempotent", reads="rows", writes="rows")
def count_all(why: str) -> int:
    return sum(ROWS.values())


def hidden() -> Any:
    @tool(kind="pure", reads="elsewhere")
    def peek() -> int:
        return 1

    return peek


class Adder(Agent):
    @handles(str)
    async def add(self, message: str, ctx: Context) -> None:
        await ctx.call(add, message, 1)


class Looker(Agent):
    @handles(str)
    def look(self, message: str, ctx: Context) -> None:
        """A plain handler: it runs in a thread, and calls by a loop of its own."""
        self.state[message] = asyncio.run(self.looked(message, ctx))

    async def looked(self, message: str, ctx: Context) -> int:
        return await ctx.call(look, message)

    @handles(int)
    async def count(self, message: int, ctx: Context) -> None:
        ctx.request(count_all, "sum", then=self.counted)

    async def counted(self, result: Result, ctx: Context) -> None:
        self.state["sum"] = result.value

    @handles(float)
    async def peek(self, message: float, ctx: Context) -> None:
        try:
            await ctx.call(hidden())
        except CallerError as error:
            self.state["error"] = str(error)


@pytest.fixture(autouse=True)
def rows() -> None:
    ROWS.clear()


async def up(cluster: Cluster) -> None:
    await cluster.spawn("adder", Adder)
    await cluster.spawn("looker", Looker)


async def test_who_has_read_a_row_hangs_on_who_wrote_it_and_on_nobody_else(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await up(cluster)
        await cluster.submit("adder", "tea", "oil")
        await cluster.quiet()
        await cluster.submit("looker", "tea", "oil")
        await cluster.quiet()
        plan = await cluster.preview("adder/1/1")
        assert [str(step) for step in plan.steps] == ["adder/1/1", "looker/1/1"]
    async with Cluster("local", folder=tmp_path) as cluster:  # over a restart, too
        await up(cluster)
        outcome = await cluster.rollback("adder/1/1", inputs="discard")
        await cluster.quiet()
        assert [str(step) for step in outcome.undone] == ["adder/1/1", "looker/1/1"]
        assert await cluster.state("looker") == {"tea": 0, "oil": 1}


async def test_the_answer_of_a_request_hangs_on_what_its_tool_has_read() -> None:
    async with Cluster("local") as cluster:
        await up(cluster)
        await cluster.submit("looker", 1)
        await cluster.quiet()
        assert (await cluster.state("looker"))["sum"] == 0
        spaces = Looker.spaces
        assert spaces == ("!outside:rows",)
        plan = await cluster.preview("looker/1/1")
        assert [str(step) for step in plan.steps] == ["looker/1/1", "looker/1/2"]


async def test_a_tool_that_the_class_does_not_see_is_refused() -> None:
    async with Cluster("local") as cluster:
        await up(cluster)
        await cluster.submit("looker", 0.5)
        await cluster.quiet()
        assert "nobody knows that it touches 'elsewhere'. Nothing happened." in (await cluster.state("looker"))["error"]


@pytest.mark.parametrize("given", [7, {"a/b": None}, {"": None}, {"rows": 5}, ("rows", 3)])
def test_what_is_no_key_is_refused_where_it_is_declared(given: Any) -> None:
    with pytest.raises(DeclarationRefused, match="reads"):

        @tool(kind="pure", reads=given)
        def look(row: str) -> int:
            return 0


def test_a_function_that_fails_is_named_and_nothing_happens() -> None:
    @tool(kind="idempotent", writes={"rows": lambda row: ROWS[row]})
    def write(row: str) -> None:
        ROWS[row] = 1

    class Writer(Agent):
        @handles(str)
        async def write(self, message: str, ctx: Context) -> None:
            try:
                await ctx.call(write, message)
            except CallerError as error:
                self.state["error"] = str(error)

    async def main() -> None:
        async with Cluster("local") as cluster:
            await cluster.spawn("writer", Writer)
            await cluster.submit("writer", "tea")
            await cluster.quiet()
            assert "touches in 'rows' is not known: KeyError: 'tea'" in (await cluster.state("writer"))["error"]
            assert ROWS == {}

    asyncio.run(main())


async def test_whoever_has_stopped_does_not_look_for_ever_whether_it_may_answer() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Looker)
        backend: Any = cluster._backend
        host = backend._places[0].host
        driver, looks = host.drivers["a"], list[str]()

        def is_writing(space: str) -> bool:
            looks.append(space)
            return True

        driver.barrier._is_writing = is_writing
        driver.received("b", Sync(outside_space("rows"), driver.replicas.vector(outside_space("rows")).vector, 1))
        while len(looks) < 3:
            await asyncio.sleep(0.01)
        host.crash()
        await asyncio.sleep(0.05)
        looks.clear()
        await asyncio.sleep(0.1)
        assert looks == []
