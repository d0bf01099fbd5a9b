"""Resources of tools, on a real backend: one for all of a host, for calls, undos and checks, anew in each life."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from peer import Agent, AgentSpec, Call, CallerError, Cluster, Context, Happened, NotHappened, ToolFailed, handles, tool


class Bank:
    """A connection to a bank that is open, or not."""

    def __init__(self) -> None:
        self.is_open = True


OPENED: list[Bank] = []
PAID: dict[str, str] = {}
DOWN = {"times": 0}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    OPENED.clear()
    PAID.clear()
    DOWN["times"] = 0


@asynccontextmanager
async def open_bank() -> AsyncIterator[Bank]:
    if DOWN["times"]:
        DOWN["times"] -= 1
        raise ConnectionError("the bank is closed")
    OPENED.append(Bank())
    yield OPENED[-1]
    OPENED[-1].is_open = False


def check_open(bank: Bank) -> None:
    assert bank.is_open


async def refund(call: Call, *, bank: Bank) -> None:
    check_open(bank)
    PAID.pop(call.intent, None)


def is_paid(call: Call, bank: Bank) -> Happened | NotHappened:
    check_open(bank)
    return Happened() if call.intent in PAID else NotHappened()


@tool(undo=refund, check=is_paid, resources={"bank": open_bank})
def pay(what: str, bank: Bank, *, intent: str) -> None:
    check_open(bank)
    PAID[intent] = what


@tool(kind="pure", resources={"at": open_bank})
async def balance(*, at: Bank) -> int:
    check_open(at)
    return len(PAID)


class Payer(Agent):
    @handles(str)
    async def pay(self, what: str, ctx: Context) -> None:
        await asyncio.gather(ctx.call(pay, what), ctx.call(balance))

    @handles(int)
    async def wrong(self, message: int, ctx: Context) -> None:
        try:
            await ctx.call(balance, at=3)
        except CallerError as error:
            self.state["told"] = str(error)

    @handles(bytes)
    async def careful(self, message: bytes, ctx: Context) -> None:
        for _ in range(2):
            try:
                self.state["paid"] = await ctx.call(pay, message.decode(), key=str(_))
            except ToolFailed as error:
                self.state["failed"] = str(error)


async def test_one_resource_serves_all_tools_and_agents_of_a_host_until_its_end_and_undos_too(tmp_path: Path) -> None:
    async with Cluster("local", agents_per_actor=2, folder=tmp_path) as cluster:
        await cluster.spawn_all([AgentSpec("a", Payer), AgentSpec("b", Payer)])
        assert OPENED == []
        await asyncio.gather(*(cluster.submit(agent, "tea", "jam") for agent in ("a", "b")))
        await cluster.quiet()
        assert (len(OPENED), sorted(PAID.values())) == (1, ["jam", "jam", "tea", "tea"])
        await cluster.kill("a")
        await cluster.rollback("a/1/1", inputs="discard")
        await cluster.quiet()
        assert (len(OPENED), sorted(PAID.values())) == (2, ["jam", "jam", "tea"])
        assert OPENED[1].is_open
    assert not OPENED[1].is_open


async def test_what_can_not_be_opened_is_an_error_of_the_call_and_is_opened_by_the_next() -> None:
    DOWN["times"] = 1
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Payer)
        await cluster.submit("a", b"tea", 1)
        await cluster.quiet()
        state = await cluster.state("a")
        assert "open_bank could not be opened: ConnectionError: the bank is closed" in state["failed"]
        assert "at=" in state["told"]
        assert (list(PAID.values()), await cluster.effects()) == (["tea"], [])
