"""Undos that fail are never given up; people see them, have them tried, and settle them, and the log knows who did."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from peer import Agent, Call, CallerError, Cluster, Context, EffectInDoubt, Limits, handles, tool
from peer.store.reading import open_logs
from protocol.records import EffectRecord
from protocol.wire import decode_record

PAID: dict[str, int] = {}
MOOD: dict[str, Any] = {}
LIMITS = Limits(undo_wait_us=1000, undo_wait_us_max=20_000, undo_tries_max=3)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    PAID.clear()
    MOOD.clear()


def refund(call: Call) -> None:
    if MOOD.get("down"):
        raise ConnectionError("refund service down")
    PAID.pop(call.intent, None)


@tool(undo=refund)
def pay(amount: int, *, intent: str) -> None:
    if MOOD.get("breaks"):
        raise ConnectionError("no answer")
    PAID[intent] = amount


class Payer(Agent):
    tries = 1

    @handles(int)
    async def pay(self, message: int, ctx: Context) -> None:
        await ctx.call(pay, MOOD.get("amount", message))
        self.state["paid"] = message

    @handles(str)
    async def other(self, message: str, ctx: Context) -> None:
        self.state["other"] = message


async def until(what: Any) -> None:
    async with asyncio.timeout(30):
        while not (what() if not asyncio.iscoroutinefunction(what) else await what()):
            await asyncio.sleep(0.01)


async def paid(cluster: Cluster, amount: int = 5) -> None:
    await cluster.spawn("p", Payer)
    await cluster.submit("p", amount)
    await cluster.quiet()


async def tried(cluster: Cluster, least: int) -> str:
    """Wait until an undo has been tried so often; return its intent."""
    async with asyncio.timeout(30):
        while True:
            found = await cluster.effects()
            if found and found[0].tries >= least:
                return found[0].intent
            await asyncio.sleep(0.01)


async def test_an_outage_of_any_length_is_waited_out_and_named_meanwhile() -> None:
    async with Cluster("local", limits=LIMITS) as cluster:
        await paid(cluster)
        MOOD["down"] = True
        outcome = await cluster.rollback("p/1/1", inputs="discard")
        (intent,) = PAID
        assert outcome.committed
        assert outcome.effects_pending == (intent,)
        await tried(cluster, 8)
        (effect,) = await cluster.effects()
        assert (effect.intent, effect.agent, effect.args, effect.state, effect.pending) == (
            intent,
            "p",
            (5,),
            "undoing",
            True,
        )
        assert effect.tool.endswith(":pay")
        assert "refund service down" in effect.why
        status = await cluster.status("p")
        assert status.effects_pending == (intent,)
        assert any("refund service down" in what for what in status.under_way)
        assert [notice.subject for notice in await cluster.notices("p") if notice.notice == "undo-failed"] == [intent]
        # The agent goes on meanwhile.
        await cluster.submit("p", "x")
        await until(lambda: cluster_state(cluster, "other", "x"))
        MOOD["down"] = False
        await until(lambda: not PAID)
        await cluster.quiet()
        assert await cluster.effects() == []
        assert (await cluster.status("p")).effects_pending == ()


def cluster_state(cluster: Cluster, key: str, value: Any) -> bool:
    places = cluster._backend._places  # type: ignore[attr-defined]
    versions = places[0].host.drivers["p"].machine.core.versions
    return any(text == key for text, _, _ in versions.read_all(None))


async def test_it_is_tried_on_over_restarts(tmp_path: Path) -> None:
    async with Cluster("local", limits=LIMITS, folder=tmp_path) as cluster:
        await paid(cluster)
        MOOD["down"] = True
        await cluster.rollback("p/1/1", inputs="discard")
        await tried(cluster, 4)
    for _ in range(2):
        async with Cluster("local", limits=LIMITS, folder=tmp_path) as cluster:
            await cluster.spawn("p", Payer)
            await tried(cluster, 4)
            await cluster.checkpoint()
    MOOD["down"] = False
    async with Cluster("local", limits=LIMITS, folder=tmp_path) as cluster:
        await cluster.spawn("p", Payer)
        await until(lambda: not PAID)
        await cluster.quiet()


async def until_failed(cluster: Cluster) -> None:
    """Wait until the undo that is tried has come to its end."""
    while not (await cluster.effects("p"))[0].why:
        await asyncio.sleep(0.01)


async def test_retry_does_not_wait() -> None:
    slow = Limits(undo_wait_us=600_000_000, undo_wait_us_max=600_000_000)
    async with Cluster("local", limits=slow) as cluster:
        await paid(cluster)
        MOOD["down"] = True
        await cluster.rollback("p/1/1", inputs="discard")
        intent = await tried(cluster, 1)
        await until_failed(cluster)
        (effect,) = await cluster.effects("p")
        assert 200 < effect.again_s <= 600
        MOOD["down"] = False
        await cluster.retry(intent)
        await until(lambda: not PAID)
        await cluster.quiet()


@pytest.mark.parametrize(("happened", "state"), [(False, "undone"), (True, "kept")])
async def test_a_person_settles_what_can_not_be_undone_and_the_log_knows_who(
    tmp_path: Path, happened: bool, state: str
) -> None:
    async with Cluster("local", limits=LIMITS, folder=tmp_path) as cluster:
        await paid(cluster)
        MOOD["down"] = True
        await cluster.rollback("p/1/1", inputs="discard")
        intent = await tried(cluster, 4)
        assert await cluster.settle(intent, happened=happened, note="by hand, ticket 7", by="ann") == state
        await cluster.quiet()
        assert await cluster.effects() == []
        assert [(effect.state, effect.pending) for effect in await cluster.effects(settled=True)] == [(state, False)]
        tell = next(notice for notice in await cluster.notices("p") if notice.notice == "effect-settled")
        assert (tell.subject, tell.detail) == (intent, f"{state}, says ann: by hand, ticket 7")
        with pytest.raises(CallerError, match=f"is {state}, and nothing of it is pending"):
            await cluster.settle(intent, happened=False, note="again")
        assert len(PAID) == 1, "nobody has undone it"
    records = [decode_record(stored.body) for stored in open_logs(tmp_path / "host-1").read("p")]
    said = [record for record in records if isinstance(record, EffectRecord) and record.by]
    assert [(record.intent, record.state, record.by, record.note) for record in said] == [
        (intent, state, "ann", "by hand, ticket 7")
    ]
    async with Cluster("local", limits=LIMITS, folder=tmp_path) as cluster:
        await cluster.spawn("p", Payer)
        await cluster.quiet()
        assert await cluster.effects() == []


async def test_what_is_in_doubt_is_settled_the_same_way() -> None:
    async with Cluster("local", limits=LIMITS) as cluster:
        MOOD["breaks"] = True
        await paid(cluster)
        (effect,) = await cluster.effects()
        assert (effect.state, effect.pending) == ("doubt", False)
        ((_, why),) = await cluster.dead_letters("p")
        assert EffectInDoubt.__name__ in why
        # It did happen: nobody stands behind it, so it is undone.
        PAID[effect.intent] = 5
        assert await cluster.settle(effect.intent, happened=True, note="seen at the bank") == "done"
        await until(lambda: not PAID)
        await cluster.quiet()
        assert await cluster.effects() == []


async def test_a_rerun_that_needs_an_undo_waits_without_holding_up_its_agent() -> None:
    async with Cluster("local", limits=LIMITS) as cluster:
        await paid(cluster)
        MOOD.update(down=True, amount=7)
        await cluster.rollback("p/1/1", inputs="retry")
        await cluster.submit("p", "x")
        await until(lambda: cluster_state(cluster, "other", "x"))
        assert list(PAID.values()) == [5], "the old one stands, and the new one is not made beside it"
        MOOD["down"] = False
        await until(lambda: list(PAID.values()) == [7])
        await cluster.quiet()
        assert await cluster.dead_letters("p") == []
        assert (await cluster.state("p"))["paid"] == 5


async def test_what_is_not_there_is_named() -> None:
    async with Cluster("local") as cluster:
        await paid(cluster)
        (intent,) = PAID
        with pytest.raises(CallerError, match=r"is done, and nothing of it is pending"):
            await cluster.settle(intent, happened=False, note="x")
        with pytest.raises(CallerError, match=r"there is no effect p/none"):
            await cluster.retry("p/none")
        with pytest.raises(CallerError, match=r"note=.*Nothing was settled"):
            await cluster.settle(intent, happened=False, note="")
