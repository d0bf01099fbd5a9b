"""Resources of tools in worlds: opened in virtual time, anew in each life of a host, and stand-ins for them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from peer import Agent, Call, Context, DeclarationRefused, handles, tool
from sims.virtual.tools import outside
from sims.world import World

TOLD: list[str] = []


@asynccontextmanager
async def open_bank() -> AsyncIterator[str]:
    raise AssertionError("a world has no bank")
    yield "never"


@asynccontextmanager
async def open_paper_bank() -> AsyncIterator[str]:
    TOLD.append("opened")
    await asyncio.sleep(5.0)
    yield "paper"


@contextmanager
def open_plain_bank() -> Iterator[str]:
    TOLD.append("opened")
    yield "plain"


def refund(call: Call, *, bank: str) -> None:
    TOLD.append(f"refund at {bank}")
    outside().take_back(call.intent)


@tool(undo=refund, resources={"bank": open_bank})
async def pay(cents: int, *, bank: str, intent: str) -> str:
    outside().post(intent, cents)
    return bank


class Payer(Agent):
    @handles(int)
    async def pay(self, cents: int, ctx: Context) -> None:
        self.state[str(cents)] = await ctx.call(pay, cents)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    TOLD.clear()


@pytest.mark.parametrize(("bank", "kind"), [(open_paper_bank, "paper"), (open_plain_bank, "plain")])
def test_a_stand_in_is_opened_once_in_each_life_of_a_host_and_undos_have_it_too(bank, kind):
    with World(seed=1, hosts=1) as world:
        world.stand_in(open_bank, bank)
        world.spawn("one", Payer)
        world.spawn("two", Payer)
        world.submit("one", 1)
        world.submit("two", 2)
        world.settle()
        assert (world.state("one"), world.state("two"), TOLD) == ({"1": kind}, {"2": kind}, ["opened"])
        world.crash("host-1")
        world.rollback("one/1/1", inputs="discard")
        world.settle()
        told = ["opened", "opened", f"refund at {kind}"]
        assert told == TOLD
        assert len(world.engine.outside.standing()) == 1
        world.check()


def test_what_is_no_stand_in_is_refused():
    with World(seed=1, hosts=1) as world, pytest.raises(DeclarationRefused, match="the stand-in of open_bank"):
        world.stand_in(open_bank, "paper")
