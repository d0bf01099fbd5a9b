"""Dead letters: what they say, and what can become of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from peer import Agent, AgentSpec, Answer, CallerError, Cluster, Context, DeadLetter, Limits, handles
from peer.audit.events import happenings
from peer.audit.logs import hosts_in

MENDED: dict[str, bool] = {}


@dataclass
class Order:
    item: str
    cents: int


@dataclass
class Other:
    n: int


class Clerk(Agent):
    @handles(str)
    async def pass_on(self, item: str, ctx: Context) -> None:
        ctx.send("shop", Order(item, 5))
        if item == "nobody":
            ctx.send("shp", item)
        if item == "other":
            ctx.send("shop", Other(7))


class Shop(Agent):
    tries = 1

    @handles(Order)
    async def order(self, order: Order, ctx: Context) -> None:
        if not MENDED.get(order.item):
            raise ValueError(f"no {order.item}")
        self.state[order.item] = self.state.get(order.item, 0) + order.cents


@pytest.fixture(autouse=True)
def _broken() -> None:
    MENDED.clear()


@asynccontextmanager
async def market(**options: Any) -> AsyncIterator[Cluster]:
    """Run a clerk, who passes orders on, and a shop."""
    async with Cluster("local", **options) as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.spawn("shop", Shop)
        yield cluster


async def one(cluster: Cluster, agent: str) -> DeadLetter:
    (letter,) = await cluster.dead_letters(agent)
    return letter


async def test_a_dead_letter_says_what_it_is_and_is_handled_after_all_over_restarts(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    async with market(folder=tmp_path) as cluster:
        await cluster.submit("clerk", "tea")
        await cluster.quiet()
        letter = await one(cluster, "shop")
        assert (letter.agent, letter.message, letter.to) == ("shop", Order("tea", 5), "")
        assert "no tea" in letter.reason
        assert letter.at is not None
        assert began <= letter.at <= datetime.now(UTC)
        assert await cluster.dead_letters() == [letter]
        assert await cluster.dead_letters("clerk") == []
        assert await letter.redrive() == f"{letter.name}/again"
        await cluster.quiet()
        again = await one(cluster, "shop")
        assert (again.message, again.name) == (Order("tea", 5), f"{letter.name}/again")
        with pytest.raises(CallerError, match="has no dead letter"):
            await letter.redrive()
        MENDED["tea"] = True
        await again.redrive()
    async with market(folder=tmp_path) as cluster:
        await cluster.quiet()
        assert await cluster.state("shop") == {"tea": 5}
        assert (await cluster.status("shop")).dead_letters == 0
        await cluster.rollback("clerk/1/1", inputs="discard")
        assert await cluster.state("shop") == {}, "it hangs on the step that sent it"


async def test_one_that_is_dropped_is_gone_and_one_whose_sender_is_undone_is_not_handled() -> None:
    async with market() as cluster:
        await cluster.submit("clerk", "tea", "jam")
        await cluster.quiet()
        tea, jam = await cluster.dead_letters("shop")
        await tea.discard()
        assert await cluster.dead_letters("shop") == [jam]
        await cluster.rollback("clerk/1/2", inputs="discard")
        MENDED["jam"] = True
        with pytest.raises(CallerError, match=r"the step that sent .* is undone"):
            await jam.redrive()
        await cluster.quiet()
        assert await cluster.state("shop") == {}


async def test_what_waits_for_a_name_that_nobody_has_is_not_handled_by_asking() -> None:
    async with Cluster("local", limits=Limits(unplaced_us=1)) as cluster:
        MENDED["nobody"] = True
        await cluster.spawn("clerk", Clerk)
        await cluster.spawn("shop", Shop)
        await cluster.submit("clerk", "nobody")
        await cluster.quiet()
        while not (letters := await cluster.dead_letters("clerk")):
            await asyncio.sleep(0.01)
        assert (letters[0].to, letters[0].message) == ("shp", "nobody")
        with pytest.raises(CallerError, match="it waits for an agent 'shp', and is sent when there is one"):
            await letters[0].redrive()


async def test_what_can_not_be_read_is_shown_as_far_as_it_goes() -> None:
    async with market() as cluster:
        await cluster.submit("clerk", "other")
        await cluster.quiet()
        _, letter = await cluster.dead_letters("shop")
        assert letter.message == {"n": 7}
        item, why = letter
        assert (item, why) == (letter.input, letter.reason) == (letter[0], letter[1])
        assert len(letter) == 2


async def test_what_becomes_of_dead_letters_is_told_by_the_log(tmp_path: Path) -> None:
    async with market(folder=tmp_path) as cluster:
        await cluster.submit("clerk", "tea", "jam")
        await cluster.quiet()
        tea, jam = await cluster.dead_letters("shop")
        await jam.discard()
        await tea.redrive()
        await cluster.quiet()
    told = [each for each in happenings(hosts_in(tmp_path)).happenings if each.kind.startswith("input.")]
    assert [(each.kind, each.data.get("again")) for each in told] == [
        ("input.dead", None), ("input.dead", None), ("input.dropped", None), ("input.redriven", f"{tea.name}/again"),
        ("input.dead", None),
    ]  # fmt: skip


class Asker(Agent):
    """Asks somebody who only raises, and makes somebody whose class only raises."""

    @handles(str)
    async def ask(self, message: str, ctx: Context) -> None:
        ctx.ask("deaf", Order(message, 1), then=self.answered)
        ctx.spawn("stillborn", Deaf, ears=-1)

    async def answered(self, answer: Answer, ctx: Context) -> None:
        raise AssertionError("nobody answers")


class Deaf(Agent):
    tries = 1

    def __init__(self, ears: int = 2) -> None:
        if ears < 0:
            raise ValueError(f"ears={ears}")

    @handles(Order)
    async def hear(self, message: Order, ctx: Context) -> None:
        raise RuntimeError("what?")


async def test_of_a_question_what_was_asked_is_shown_and_of_a_making_the_reason() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn_all([AgentSpec("asker", Asker), AgentSpec("deaf", Deaf)])
        await cluster.submit("asker", "tea")
        await cluster.quiet()
        assert (await one(cluster, "deaf")).message == Order("tea", 1)
        letter = await one(cluster, "stillborn")
        assert letter.message is None
        assert "ears=-1" in letter.reason
