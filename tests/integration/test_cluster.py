"""The public API on a cluster in one process, with real logs: what users rely on."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from peer import (
    Agent,
    AgentUnknown,
    Call,
    CallerError,
    Cluster,
    Context,
    EffectInDoubt,
    HandlerMissing,
    Happened,
    NotHappened,
    Proposal,
    StepUnknown,
    ToolFailed,
    Unknown,
    handles,
    tool,
)  # fmt: skip
from peer.values.key_text import decode_key

WORLD: dict[str, int] = {}
"""What tools have done, by intent."""
CALLS: Counter[str] = Counter()
MOOD: dict[str, Any] = {}
"""What tests change between runs: as a model's mind would."""


@pytest.fixture(autouse=True)
def _fresh() -> None:
    WORLD.clear()
    CALLS.clear()
    MOOD.clear()


def take_back(call: Call) -> None:
    CALLS["undo"] += 1
    if MOOD.get("undo fails", 0) > 0:
        MOOD["undo fails"] -= 1
        raise OSError("the bank is closed")
    WORLD.pop(call.intent, None)


def look(call: Call) -> Happened | NotHappened | Unknown:
    if MOOD.get("blind"):
        return Unknown()
    return Happened(WORLD[call.intent]) if call.intent in WORLD else NotHappened()


@tool(undo=take_back, check=look)
def pay(amount: int, *, intent: str) -> int:
    CALLS["pay"] += 1
    if MOOD.get("pay breaks"):
        raise OSError("no connection")
    assert intent not in WORLD
    WORLD[intent] = amount
    return amount


@dataclass
class Put:
    key: str
    value: int


@dataclass
class Copy:
    source: str
    target: str


@dataclass
class Remove:
    key: str


@dataclass
class Buy:
    price: int


@dataclass
class Order:
    price: int


class Store(Agent):
    @handles(Put)
    def put(self, message: Put, ctx: Context) -> None:
        self.state[message.key] = message.value

    @handles(Copy)
    def copy(self, message: Copy, ctx: Context) -> None:
        self.state[message.target] = self.state.get(message.source, -1)

    @handles(Remove)
    def remove(self, message: Remove, ctx: Context) -> None:
        del self.state[message.key]

    @handles(str)
    def count(self, message: str, ctx: Context) -> None:
        self.state["count"] = len(self.state)


class Buyer(Agent):
    tries = 2

    @handles(Buy)
    async def buy(self, message: Buy, ctx: Context) -> None:
        price = MOOD.get("price", message.price)
        self.state["spent"] = self.state.get("spent", 0) + price
        if price:
            ctx.send("till", Order(price))
        if MOOD.get("raises"):
            raise RuntimeError("on second thoughts")


class Till(Agent):
    def still_valid(self, proposal: Proposal) -> bool | str:
        return MOOD.get("valid", True)

    @handles(Order)
    async def order(self, message: Order, ctx: Context) -> None:
        if MOOD.get("pays", True):
            self.state["paid"] = self.state.get("paid", 0) + await ctx.call(pay, MOOD.get("amount", message.price))


async def shop(cluster: Cluster) -> None:
    await cluster.spawn("buyer", Buyer)
    await cluster.spawn("till", Till)


async def test_undoing_a_removal_brings_the_value_back_and_takes_who_saw_the_absence() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("s", Store)
        await cluster.submit("s", Put("k", 1), Remove("k"), Copy("k", "seen"), Put("other", 5), "count")
        await cluster.quiet()
        assert await cluster.state("s") == {"seen": -1, "other": 5, "count": 2}
        plan = await cluster.preview("s/1/2")
        assert [str(step) for step in plan.steps] == ["s/1/2", "s/1/3", "s/1/5"]
        outcome = await cluster.rollback("s/1/2", inputs="discard")
        assert outcome.undone == plan.steps
        await cluster.quiet()
        assert await cluster.state("s") == {"k": 1, "seen": 1, "other": 5, "count": 3}


async def test_preview_changes_nothing_and_tells_what_rollback_undoes() -> None:
    async with Cluster("local") as cluster:
        await shop(cluster)
        await cluster.submit("buyer", Buy(3), Buy(4))
        await cluster.quiet()
        before = (await cluster.state("buyer"), await cluster.state("till"), dict(WORLD))
        plan = await cluster.preview("buyer/1/1")
        assert plan.agents == ("buyer", "till")
        assert len(plan.effects) == 2
        assert before == (await cluster.state("buyer"), await cluster.state("till"), dict(WORLD))
        outcome = await cluster.rollback("buyer/1/1", inputs="discard")
        assert outcome.undone == plan.steps
        await cluster.quiet()
        assert await cluster.state("till") == {"paid": 4}
        assert list(WORLD.values()) == [4]


async def test_inputs_handed_in_at_the_same_time_are_all_taken_each_call_in_order() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("s", Store)
        calls = [[Put(f"{call}/{at}", call) for at in range(250)] for call in range(4)]
        await asyncio.gather(*(cluster.submit("s", *messages) for messages in calls))
        await cluster.quiet()
        written = [write.key for page in await cluster.steps("s") for record in page.records for write in record.writes]
        assert [decode_key(key) for key in written] == [message.key for messages in calls for message in messages]
        assert len(await cluster.state("s")) == 1000


async def test_an_exception_undoes_its_step_alone_and_ends_as_a_dead_letter() -> None:
    async with Cluster("local") as cluster:
        await shop(cluster)
        MOOD["raises"] = True
        await cluster.submit("buyer", Buy(3))
        await cluster.quiet()
        assert await cluster.state("buyer") == {}
        assert CALLS == {}
        ((_, why),) = await cluster.dead_letters("buyer")
        assert why == "RuntimeError: on second thoughts"
        assert [notice.notice for notice in await cluster.notices("buyer")].count("step-failed") == Buyer.tries
        MOOD.clear()
        await cluster.submit("buyer", Buy(2))
        await cluster.quiet()
        assert await cluster.state("buyer") == {"spent": 2}


async def test_a_message_without_a_handler_is_refused_where_it_is_submitted_with_the_remedy() -> None:
    async with Cluster("local") as cluster:
        await shop(cluster)
        for message, name in ((Order(1), "Order"), (None, "NoneType"), ([1], "list")):
            with pytest.raises(HandlerMissing, match=f"no handler for '{name}' .* Add @handles"):
                await cluster.submit("buyer", message)
        await cluster.quiet()
        assert await cluster.dead_letters("buyer") == []


@pytest.mark.parametrize(
    ("mood", "paid", "calls"),
    [
        ({}, [3], {"pay": 1}),
        ({"amount": 2}, [2], {"pay": 2, "undo": 1}),
        ({"pays": False}, [], {"pay": 1, "undo": 1}),
        ({"price": 0}, [], {"pay": 1, "undo": 1}),
    ],
    ids=["equal arguments: claimed", "others: undone, then done", "no call: undone", "not sent again: undone"],
)
async def test_effects_of_a_rerun(mood: dict[str, Any], paid: list[int], calls: dict[str, int]) -> None:
    async with Cluster("local") as cluster:
        await shop(cluster)
        await cluster.submit("buyer", Buy(3))
        await cluster.quiet()
        MOOD.update(mood)
        assert (await cluster.rollback("buyer/1/1", inputs="retry")).committed
        await cluster.quiet()
        assert list(WORLD.values()) == paid
        assert dict(CALLS) == calls


async def test_amend_runs_the_corrected_input() -> None:
    async with Cluster("local") as cluster:
        await shop(cluster)
        await cluster.submit("buyer", Buy(300))
        await cluster.quiet()
        await cluster.rollback("buyer/1/1", inputs="amend", amend={"buyer/1/1": Buy(3)})
        await cluster.quiet()
        assert await cluster.state("till") == {"paid": 3}
        assert list(WORLD.values()) == [3]


async def test_an_undo_that_fails_is_tried_again() -> None:
    async with Cluster("local") as cluster:
        await shop(cluster)
        await cluster.submit("buyer", Buy(3))
        await cluster.quiet()
        MOOD["undo fails"] = 2
        await cluster.rollback("buyer/1/1", inputs="discard")
        await cluster.quiet()
        assert WORLD == {}
        assert CALLS["undo"] == 3


async def test_a_tool_that_raises_is_asked_about_and_its_failure_is_the_handlers() -> None:
    async with Cluster("local") as cluster:
        await shop(cluster)
        MOOD["pay breaks"] = True
        await cluster.submit("buyer", Buy(3))
        await cluster.quiet()
        ((_, why),) = await cluster.dead_letters("till")
        assert why.startswith(ToolFailed.__name__)
        assert WORLD == {}


async def test_what_nobody_can_tell_is_told_and_never_repeated() -> None:
    async with Cluster("local") as cluster:
        await shop(cluster)
        MOOD.update({"pay breaks": True, "blind": True})
        await cluster.submit("buyer", Buy(3))
        await cluster.quiet()
        assert CALLS["pay"] == 1
        ((_, why),) = await cluster.dead_letters("till")
        assert why.startswith(EffectInDoubt.__name__)
        assert "in-doubt" in [notice.notice for notice in await cluster.notices("till")]


async def test_an_elector_that_does_not_agree_aborts_with_its_reason() -> None:
    async with Cluster("local") as cluster:
        await shop(cluster)
        await cluster.submit("buyer", Buy(3))
        await cluster.quiet()
        MOOD["valid"] = "the goods have left"
        outcome = await cluster.rollback("buyer/1/1")
        assert not outcome.committed
        assert outcome.rejects == (("till", "the goods have left"),)
        await cluster.quiet()
        assert await cluster.state("till") == {"paid": 3}


async def test_what_is_not_there_is_named() -> None:
    async with Cluster("local") as cluster:
        await shop(cluster)
        with pytest.raises(StepUnknown, match="buyer/1/9"):
            await cluster.preview("buyer/1/9")
        outcome = await cluster.rollback("buyer/1/9")
        assert outcome.rejects == (("buyer", "no step buyer/1/9 in the log of buyer"),)
        with pytest.raises(AgentUnknown, match="nobody"):
            await cluster.rollback("nobody/1/1", timeout_s=0.5)
        with pytest.raises(AgentUnknown, match=r"'buyr' .* within 5 s\. .*'buyer'"):
            await cluster.submit("buyr", {"at": 1})
        with pytest.raises(CallerError, match="buyer-1-9"):
            await cluster.rollback("buyer-1-9")
        with pytest.raises(CallerError, match="sometimes"):
            await cluster.rollback("buyer/1/1", inputs="sometimes")
        with pytest.raises(CallerError, match="no corrected input for buyer/1/1"):
            await cluster.rollback("buyer/1/1", inputs="amend")
        with pytest.raises(CallerError, match="'buyer' already"):
            await cluster.spawn("buyer", Buyer)
        with pytest.raises(CallerError, match="bad name"):
            await cluster.spawn("bad name", Buyer)
    with pytest.raises(CallerError, match="no backend 'cloud'"):
        Cluster("cloud")


def test_a_tool_says_what_undoing_it_means_and_is_never_called_directly() -> None:
    with pytest.raises(CallerError, match="undo"):
        tool()(lambda: None)
    with pytest.raises(CallerError, match=r"ctx\.call"):
        pay(3)
