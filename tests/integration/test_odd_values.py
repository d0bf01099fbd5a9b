"""Values that nobody expects: what is asked with them is answered, or refused by name; a host goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from enum import StrEnum
from typing import Any

import numpy as np
import pytest

from peer import Agent, CallerError, Cluster, Context, Result, handles, tool
from peer.values import payload

PATIENCE_S = 20
HUGE = 10**5000


class Name(StrEnum):
    CLERK = "clerk"


class Text(str):
    pass


class Unshown:
    def __repr__(self) -> str:
        raise RuntimeError("nobody may see this")


class Clerk(Agent):
    @handles(int)
    async def keep(self, message: int, ctx: Context) -> None:
        self.state["kept"] = message

    @handles(str)
    async def ask(self, message: str, ctx: Context) -> None:
        options = [np.array([1, 2]), np.array([3, 4]), HUGE, float("nan"), 1]
        ctx.ask_person(message, options=options, then=self.told)

    async def told(self, result: Result, ctx: Context) -> None:
        self.state["told"] = result.value


@pytest.mark.parametrize("name", [Name.CLERK, Text("clerk"), np.str_("clerk")], ids=["enum", "subclass", "numpy"])
async def test_an_agents_name_of_a_subclass_of_str_is_its_name(name: str) -> None:
    async with asyncio.timeout(PATIENCE_S), Cluster("local") as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.submit(name, 1)
        await cluster.quiet()
        assert await cluster.state(name) == {"kept": 1}
        assert await cluster.states([name]) == {"clerk": {"kept": 1}}
        assert await cluster.requests(name) == await cluster.dead_letters(name) == []
        await cluster.pause(name, Text("a rest"), Text("ann"))
        assert (await cluster.status(name)).paused == "paused by ann: a rest"


ASKED: dict[str, Callable[[Cluster, Any], Awaitable[Any]]] = {
    "state": lambda cluster, odd: cluster.state(odd),
    "states": lambda cluster, odd: cluster.states([odd]),
    "submit": lambda cluster, odd: cluster.submit(odd, 1),
    "on_full": lambda cluster, odd: cluster.submit("clerk", 1, on_full=odd),
    "move": lambda cluster, odd: cluster.move("clerk", odd),
    "settle": lambda cluster, odd: cluster.settle(odd, happened=True, note="so"),
    "restore": lambda cluster, odd: cluster.restore(odd),
    "inputs": lambda cluster, odd: cluster.rollback("clerk/1/1", inputs=odd),
    "amend": lambda cluster, odd: cluster.rollback("clerk/1/1", inputs="amend", amend=odd),
}
ODD = {"huge": HUGE, "unshown": Unshown(), "array": np.array([1, 2])}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_what_nobody_can_be_asked_with_is_refused_by_name(odd: Any) -> None:
    async with asyncio.timeout(PATIENCE_S), Cluster("local") as cluster:
        await cluster.spawn("clerk", Clerk)
        for ask in ASKED.values():
            with pytest.raises(CallerError):
                await ask(cluster, odd)


@pytest.mark.parametrize(
    ("answer", "is_taken"),
    [("b", False), (np.array([9, 9]), False), (10**6000, False), (np.array([3, 4]), True), (HUGE, True),
     (float("nan"), True), (1.0, True)],
    ids=["text", "other array", "other huge", "array", "huge", "nan", "equal"],
)  # fmt: skip
async def test_a_persons_answer_may_be_whatever_the_options_are(answer: Any, is_taken: bool) -> None:
    async with asyncio.timeout(PATIENCE_S), Cluster("local") as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.submit("clerk", "which?")
        await cluster.quiet()
        (asked,) = await cluster.inbox()
        if not is_taken:
            with pytest.raises(CallerError, match="is none of the answers"):
                await asked.answer(answer)
            return
        await asked.answer(answer)
        await cluster.quiet()
        assert payload.encode((await cluster.state("clerk"))["told"]) == payload.encode(answer)


def groups_in_groups(depth: int = 3_000) -> Exception:
    found: Any = KeyError("the innermost")
    for _ in range(depth):
        found = ExceptionGroup("a group", [found])
    return found


@tool(undo=lambda call: None)
def raises_groups() -> None:
    raise groups_in_groups()


class Asker(Agent):
    tries = 1

    @handles(str)
    async def fail(self, message: str, ctx: Context) -> None:
        if message == "raise":
            raise groups_in_groups()
        await ctx.call(raises_groups)

    @handles(int)
    async def ask(self, message: int, ctx: Context) -> None:
        ctx.ask_person("which?", about=np.array([1, 2]), then=self.told)
        for odd in (message * HUGE, Unshown()):
            with pytest.raises(CallerError):
                ctx.ask_person("which?", options=odd, then=self.told)
            with pytest.raises(CallerError):
                ctx.ask_person("which?", to=odd, then=self.told)  # type: ignore[arg-type]
            with pytest.raises(CallerError):
                ctx.space(odd)  # type: ignore[arg-type]
            with pytest.raises(CallerError):
                await ctx.call(odd)  # type: ignore[arg-type]
        self.state["asked"] = True

    async def told(self, result: Result, ctx: Context) -> None:
        pass


@pytest.mark.parametrize("how", ["raise", "call"])
async def test_groups_of_errors_in_groups_end_a_step_however_deep_they_are(how: str) -> None:
    async with asyncio.timeout(PATIENCE_S), Cluster("local") as cluster:
        await cluster.spawn("asker", Asker)
        await cluster.submit("asker", how)
        while not (letters := await cluster.dead_letters("asker")):
            await asyncio.sleep(0.01)
        assert "the innermost" in letters[0].reason or "nobody can tell" in letters[0].reason


async def test_what_a_handler_asks_with_is_taken_or_refused_by_name() -> None:
    async with asyncio.timeout(PATIENCE_S), Cluster("local") as cluster:
        await cluster.spawn("asker", Asker)
        await cluster.submit("asker", 1)
        await cluster.quiet()
        assert await cluster.state("asker") == {"asked": True}
        (asked,) = await cluster.inbox()
        assert asked.kwargs["about"].tolist() == [1, 2]


class Counting(Agent):
    tries = 1
    spaces = ("s",)

    @handles(int)
    async def add(self, message: int, ctx: Context) -> None:
        for _ in range(message):
            ctx.space("s").counter("c").add(10**30)

    @handles(str)
    async def read(self, message: str, ctx: Context) -> None:
        counter = ctx.space("s").counter("c")
        for odd in (10**400, HUGE, Decimal("sNaN"), Decimal("1e9999"), float("nan"), "a", Unshown()):
            with pytest.raises(CallerError, match="a tolerance is a number"):
                counter.value_within(odd)
        self.state["sum"] = counter.value_within(5)


async def test_a_sum_of_many_numbers_beyond_every_limit_can_be_read() -> None:
    async with asyncio.timeout(PATIENCE_S), Cluster("local") as cluster:
        await cluster.spawn("counting", Counting)
        await cluster.submit("counting", 12, "read")
        await cluster.quiet()
        assert await cluster.state("counting") == {"sum": 12 * 10**30}
