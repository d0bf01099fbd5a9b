"""What is tried where agents do not agree to a rollback."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from peer import (
    Agent,
    CallerError,
    Cluster,
    Context,
    Proposal,
    Refused,
    RollbackRequest,
    amend_with,
    ask_person,
    handles,
    narrower,
)  # fmt: skip
from peer.audit import read_trail

CLOSED: set[str] = set()


@pytest.fixture(autouse=True)
def _open() -> None:
    CLOSED.clear()


@dataclass
class Order:
    item: str
    price: int
    to: str = ""


class Buyer(Agent):
    @handles(Order)
    async def order(self, message: Order, ctx: Context) -> None:
        self.state[message.item] = message.price
        if message.to:
            ctx.send(message.to, Order(message.item, message.price))


class Till(Buyer):
    def still_valid(self, proposal: Proposal) -> bool | str:
        # It agrees to what is amended, or once it is open.
        return self.name not in CLOSED or proposal.inputs == "amend" or f"{self.name} is closed"


async def start(cluster: Cluster) -> None:
    await cluster.spawn("buyer", Buyer)
    await cluster.spawn("till-1", Till)
    await cluster.spawn("till-2", Till)
    await cluster.submit("buyer", Order("tea", 4, "till-1"), Order("jam", 6, "till-2"))
    await cluster.quiet()


def nothing(refused: Refused) -> RollbackRequest | None:
    return None


async def test_what_is_agreed_to_is_tried_once_and_told_so() -> None:
    async with Cluster("local") as cluster:
        await start(cluster)
        outcome = await cluster.rollback("buyer/1/1", inputs="discard", if_rejected=nothing)
        (only,) = outcome.attempts
        assert (only.by, only.proposal, only.committed, only.rejects) == ("", "buyer/1/p1", True, ())
        assert [str(step) for step in only.steps] == ["buyer/1/1"]


async def test_strategies_are_tried_in_order_until_one_is_agreed_to_and_each_stands_in_the_log(tmp_path: Path) -> None:
    CLOSED.add("till-1")
    seen: list[Refused] = []

    def now(refused: Refused) -> dict[str, Any]:
        seen.append(refused)
        return {"buyer/1/1": Order("tea", 9, "till-1")}

    async with Cluster("local", folder=tmp_path) as cluster:
        await start(cluster)
        tries = [nothing, narrower, amend_with(now), ask_person(lambda refused: pytest.fail("it was agreed to"))]
        outcome = await cluster.rollback("buyer/1/1", reason="dear", if_rejected=tries)
        await cluster.quiet()
        assert outcome.committed
        assert [(each.by, each.proposal, each.committed) for each in outcome.attempts] == [
            ("", "buyer/1/p1", False),
            ("nothing", "", False),
            ("narrower", "", False),
            ("amend_with(now)", "buyer/1/p2", True),
        ]
        assert outcome.attempts[0].rejects == (("till-1", "till-1 is closed"),)
        assert seen[0].rejects == {"till-1": "till-1 is closed"}
        assert len(seen[0].attempts) == 3
        assert (await cluster.state("till-1"))["tea"] == 9
    reasons = [rollback.proposal.reason for rollback in read_trail(tmp_path).rollbacks.values()]
    again = "[attempt 4, by amend_with(now), after buyer/1/p1 was rejected by till-1: till-1 is closed]"
    assert reasons == ["dear", f"dear {again}"]


async def test_a_narrower_one_leaves_out_what_would_reach_who_rejects() -> None:
    CLOSED.add("till-1")
    async with Cluster("local") as cluster:
        await start(cluster)
        outcome = await cluster.rollback("buyer/1/1", "buyer/1/2", inputs="discard", if_rejected=narrower)
        assert [str(step) for step in outcome.undone] == ["buyer/1/2", "till-2/1/1"]
        assert [str(step) for step in outcome.attempts[1].steps] == ["buyer/1/2"]
        # The roots of who rejects are not even looked at.
        CLOSED.add("till-1")
        outcome = await cluster.rollback("till-1/1/1", "buyer/1/1", inputs="discard", if_rejected=narrower)
        assert not outcome.committed
        assert outcome.attempts[1].proposal == ""


async def test_corrections_of_roots_that_are_left_out_are_left_out_too() -> None:
    CLOSED.add("till-1")

    class Strict(Till):
        def still_valid(self, proposal: Proposal) -> bool | str:
            return self.name not in CLOSED or "never"

    async with Cluster("local") as cluster:
        await cluster.spawn("buyer", Buyer)
        await cluster.spawn("till-1", Strict)
        await cluster.submit("buyer", Order("tea", 4, "till-1"), Order("jam", 6))
        await cluster.quiet()
        amend: dict[Any, Any] = {"buyer/1/1": Order("tea", 5), "buyer/1/2": Order("jam", 7)}
        how: dict[str, Any] = {"inputs": "amend", "amend": amend, "if_rejected": [narrower]}
        assert (await cluster.rollback("buyer/1/1", "buyer/1/2", **how)).committed
        await cluster.quiet()
        assert await cluster.state("buyer") == {"tea": 4, "jam": 7}


async def test_a_person_may_settle_what_is_in_the_way_change_the_wish_or_decline() -> None:
    CLOSED.add("till-1")

    async def opens(refused: Refused) -> bool:
        await asyncio.sleep(0)
        CLOSED.clear()
        return True

    async with Cluster("local") as cluster:
        await start(cluster)
        declined = await cluster.rollback("buyer/1/1", if_rejected=ask_person(lambda refused: False))
        assert [each.by for each in declined.attempts] == ["", "ask_person"]
        assert declined.rejects == (("till-1", "till-1 is closed"),)
        other = ask_person(lambda refused: replace(refused.request, steps=("buyer/1/2",)))
        assert (await cluster.rollback("buyer/1/1", inputs="discard", if_rejected=other)).committed
        outcome = await cluster.rollback("buyer/1/1", inputs="discard", if_rejected=ask_person(opens))
        assert (outcome.committed, outcome.attempts[1].by) == (True, "ask_person(opens)")


async def test_what_is_no_strategy_or_fails_is_told_with_what_was_tried() -> None:
    CLOSED.add("till-1")

    def breaks(refused: Refused) -> RollbackRequest | None:
        raise LookupError("no such price")

    async with Cluster("local") as cluster:
        await start(cluster)
        for wrong, why in ((3, "3 is no strategy"), ("amend", "'a' is no strategy"), ([nothing] * 17, "17 strategies")):
            with pytest.raises(CallerError, match=why):
                await cluster.rollback("buyer/1/1", if_rejected=wrong)  # type: ignore[arg-type]
        assert (await cluster.ballots("buyer")).votes == ()
        with pytest.raises(LookupError) as caught:
            await cluster.rollback("buyer/1/1", if_rejected=breaks)
        assert "buyer/1/p1: till-1: till-1 is closed" in caught.value.__notes__[0]
        for strategy, why in (
            (lambda refused: "more", "returned 'more'"),
            (amend_with(lambda refused: "tea"), "amend_with got 'tea'"),
            (ask_person(lambda refused: "yes"), "ask_person got 'yes'"),
            (amend_with(lambda refused: {"buyer/1/2": Order("jam", 1)}), "no corrected input for buyer/1/1"),
        ):
            with pytest.raises(CallerError, match=why):
                await cluster.rollback("buyer/1/1", if_rejected=strategy)  # type: ignore[arg-type]
