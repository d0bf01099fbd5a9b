"""Whether the past is still the right place to go back to: what agents are shown, and asked, before they agree."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from peer import Agent, Cluster, Context, Proposal, handles, precondition
from peer.audit import Edges, read_trail
from peer.audit.telling import explained
from peer.values.declared import KeyKind, derived

State = Mapping[Any, Any]
MARKET: dict[str, Any] = {}
"""Stands for the world outside."""


@pytest.fixture(autouse=True)
def _market() -> None:
    MARKET.clear()


@dataclass
class Order:
    item: str
    price: int


class Book(Agent):
    """Keeps what is ordered."""

    keys: ClassVar[dict[str, KeyKind]] = {
        "sum": derived(lambda key, state: sum(state.get("prices", [])), of=("prices",))
    }

    @handles(Order)
    async def order(self, message: Order, ctx: Context) -> None:
        self.state.setdefault("prices", []).append(message.price)
        self.state["last"] = message.item
        if message.item == "jam":
            del self.state["last"]

    @handles(str)
    async def note(self, message: str, ctx: Context) -> None:
        self.state["note"] = message


class Seeing(Book):
    async def still_valid(self, proposal: Proposal, then: State, now: State) -> bool | str:
        MARKET["seen"] = [(dict(each), len(each), "last" in each, each["sum"]) for each in (then, now)]
        with pytest.raises(TypeError):
            now["last"] = 1  # type: ignore[index]
        return True


async def start(cluster: Cluster, kind: type[Agent], *messages: Any) -> None:
    await cluster.spawn("a", kind)
    await cluster.submit("a", *messages)
    await cluster.quiet()


async def test_an_agent_sees_its_state_before_its_part_and_as_it_is_now() -> None:
    async with Cluster("local") as cluster:
        await start(cluster, Seeing, Order("tea", 4), Order("cup", 6), "noted", Order("jam", 9))
        assert (await cluster.rollback("a/1/2", inputs="discard")).committed
        then, now = MARKET["seen"]
        assert then == ({"prices": [4], "last": "tea"}, 2, True, 4)
        assert now == ({"prices": [4, 6, 9], "note": "noted"}, 2, False, 19)


class Mute(Book):
    consent_s = 0.2

    async def still_valid(self, proposal: Proposal) -> bool:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()
        return True


class Blocked(Book):
    consent_s = 0.2

    def still_valid(self, proposal: Proposal, then: State, now: State) -> bool | str:
        MARKET["go"].wait(20)
        return True


@pytest.mark.parametrize("kind", [Mute, Blocked])
async def test_one_that_hangs_rejects_in_time_and_its_host_goes_on(kind: type[Agent]) -> None:
    MARKET["go"] = threading.Event()
    async with Cluster("local") as cluster:
        await start(cluster, kind, Order("tea", 4))
        await cluster.spawn("b", Book)
        asked = asyncio.ensure_future(cluster.rollback("a/1/1"))
        await cluster.submit("b", Order("tea", 4))
        outcome = await asked
        MARKET["go"].set()
        assert outcome.rejects == (("a", "still_valid has not answered within 0.2 s"),)
        await cluster.quiet()
        assert await cluster.state("b") == {"prices": [4], "last": "tea"}


class Slow(Book):
    def still_valid(self, proposal: Proposal) -> bool | str:
        MARKET["thread"] = threading.current_thread()
        MARKET["began"].set()
        assert MARKET["go"].wait(20)
        return "thought over"


async def test_while_a_plain_one_blocks_the_loop_of_its_host_goes_on() -> None:
    MARKET["began"], MARKET["go"] = threading.Event(), threading.Event()
    async with Cluster("local") as cluster:
        await start(cluster, Slow, Order("tea", 4))
        asked = asyncio.ensure_future(cluster.rollback("a/1/1"))
        await asyncio.to_thread(MARKET["began"].wait, 20)
        # Answered by the very host whose agent thinks.
        await cluster.submit("a", "meanwhile")
        assert (await cluster.status("a")).steps == 2
        MARKET["go"].set()
        assert (await asked).rejects == (("a", "thought over"),)
        assert MARKET["thread"] is not threading.main_thread()


@asynccontextmanager
async def open_market() -> AsyncIterator[dict[str, Any]]:
    MARKET["opened"] = MARKET.get("opened", 0) + 1
    yield MARKET


class Careful(Book):
    @precondition
    async def price_is_the_same(self, proposal: Proposal, then: State, now: State) -> bool | str:
        price = MARKET.get("price", 4)
        return price in now["prices"] or f"the price is {price} now"

    @precondition(handles=Order, resources={"market": open_market})
    def is_open(self, proposal: Proposal, market: dict[str, Any]) -> bool:
        MARKET["asked"] = MARKET.get("asked", 0) + 1
        return not market.get("closed", False)

    @precondition
    async def nobody_has_paid(self, proposal: Proposal) -> bool:
        if MARKET.get("breaks"):
            raise RuntimeError("the bank does not answer")
        return True


class StillCareful(Careful):
    def is_open(self, proposal: Proposal, market: dict[str, Any]) -> bool:
        return super().is_open(proposal, market)


async def test_preconditions_are_looked_at_anew_each_time_and_each_is_named() -> None:
    async with Cluster("local") as cluster:
        await start(cluster, StillCareful, Order("tea", 4))
        MARKET.update(price=5, closed=True, breaks=True)
        outcome = await cluster.rollback("a/1/1")
        whys = ["price_is_the_same: the price is 5 now", "is_open does not hold"]
        whys.append("nobody_has_paid failed: RuntimeError: the bank does not answer")
        assert outcome.rejects == (("a", "; ".join(whys)),)
        MARKET.update(price=4, closed=False, breaks=False)
        assert (await cluster.rollback("a/1/1", inputs="discard")).committed
        assert (MARKET["asked"], MARKET["opened"]) == (2, 1)


async def test_a_precondition_of_some_messages_is_looked_at_where_one_of_theirs_is_undone() -> None:
    async with Cluster("local") as cluster:
        await start(cluster, Careful, Order("tea", 4), "noted")
        MARKET["closed"] = True
        assert (await cluster.rollback("a/1/2", inputs="discard")).committed
        assert "asked" not in MARKET
        assert not (await cluster.rollback("a/1/1")).committed


async def test_the_log_tells_what_was_looked_at_what_came_of_it_and_when(tmp_path: Path) -> None:
    before = time.time()
    async with Cluster("local", folder=tmp_path) as cluster:
        await start(cluster, Careful, Order("tea", 4))
        MARKET["price"] = 5
        await cluster.rollback("a/1/1", reason="dear")
        MARKET["price"] = 4
        await cluster.rollback("a/1/1", reason="cheap", inputs="discard")
        await cluster.checkpoint()
    trail = read_trail(tmp_path)
    line = explained(trail, Edges(trail), trail.step("a/1/1"))
    (first, second) = [each["votes"][0]["findings"] for each in line["proposals"]]
    assert [(each["name"], each["holds"], each["text"]) for each in first] == [
        ("price_is_the_same", False, "the price is 5 now"), ("is_open", True, ""), ("nobody_has_paid", True, ""),
    ]  # fmt: skip
    assert [each["holds"] for each in second] == [True, True, True]
    assert all(before - 1 < each["time"] / 1e6 < time.time() + 1 for each in (*first, *second))
    assert line["undone"]["votes"][0]["findings"] == second


async def test_an_agent_that_is_stopped_while_it_thinks_is_asked_again_in_its_next_life(tmp_path: Path) -> None:
    MARKET["began"], MARKET["go"] = threading.Event(), threading.Event()
    async with Cluster("local", folder=tmp_path) as cluster:
        await start(cluster, Slow, Order("tea", 4))
        asked = asyncio.ensure_future(cluster.rollback("a/1/1"))
        await asyncio.to_thread(MARKET["began"].wait, 20)
        asked.cancel()
    MARKET["go"].set()
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("a", Slow)
        assert (await cluster.outcome("a/1/p1")).rejects == (("a", "thought over"),)


class Holding(Book):
    @precondition
    async def is_computed(self, proposal: Proposal) -> bool:
        time.sleep(1.6)  # noqa: ASYNC251  # what is tried here
        return True


async def test_an_async_one_that_holds_the_loop_is_named_with_the_place_where_it_stands() -> None:
    async with Cluster("local") as cluster:
        await start(cluster, Holding, Order("tea", 4))
        assert (await cluster.rollback("a/1/1", inputs="discard")).committed
        (notice,) = [notice for notice in await cluster.notices("a") if notice.notice == "loop-held"]
        assert "Holding.is_computed of a has held its host's loop" in notice.detail
