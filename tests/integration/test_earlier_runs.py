"""What a run that follows undone ones is shown of them, and how often an input is run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from peer import Agent, Call, CallerError, Cluster, Context, DeclarationRefused, LeftOut, Limits, handles, tool
from peer.agents import earlier

SEEN: dict[str, Any] = {}
LEFT: list[str] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    SEEN.clear()
    LEFT.clear()


@dataclass
class Order:
    item: str
    price: int


@dataclass
class Bill:
    cents: int


@dataclass
class Wrong:
    step: str
    reason: str


def back(call: Call) -> None:
    LEFT.append(call.args[0])


@tool(undo=back)
def send_truck(item: str, *, fast: bool = False) -> str:
    return f"truck with {item}"


class Buyer(Agent):
    @handles(Order)
    async def order(self, message: Order, ctx: Context) -> None:
        SEEN["runs"] = ctx.earlier_runs
        SEEN["ctx"] = ctx
        attempt = ctx.attempt
        ctx.report(confidence=0.25 * attempt, model=f"pricer@{attempt}", margin=1.5)
        ctx.send("till", Bill(message.price * 100 // attempt), key="bill")
        await ctx.call(send_truck, message.item, fast=True)
        if attempt == 1:
            await ctx.call(send_truck, "a second one", key="two")

    @handles(str)
    def plainly(self, message: str, ctx: Context) -> None:
        SEEN["runs"] = ctx.earlier_runs
        ctx.after(3600, message)


class Till(Agent):
    @handles(Bill)
    async def bill(self, message: Bill, ctx: Context) -> None:
        SEEN["till"] = ctx.earlier_runs
        self.state["paid"] = message.cents


class Auditor(Agent):
    @handles(Wrong)
    async def wrong(self, message: Wrong, ctx: Context) -> None:
        ctx.rollback(message.step, reason=message.reason, evidence={"unit": "cents"})


async def start(cluster: Cluster) -> None:
    for name, kind in (("buyer", Buyer), ("till", Till), ("auditor", Auditor)):
        await cluster.spawn(name, kind)


async def test_a_rerun_sees_what_was_done_what_still_stands_and_who_found_what_wrong(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await start(cluster)
        await cluster.submit("buyer", Order("tea", 4))
        await cluster.quiet()
        assert SEEN["runs"] == ()
        await cluster.submit("auditor", Wrong("buyer/1/1", "too dear"))
        await cluster.quiet()
        (run,) = SEEN["runs"]
        assert (str(run.step), run.message, run.sent) == ("buyer/1/1", Order("tea", 4), (("till", Bill(400), "bill"),))
        assert [(call.args, call.kwargs, call.key, call.result) for call in run.calls] == [
            (("tea",), {"fast": True}, None, "truck with tea"),
            (("a second one",), {}, "two", "truck with a second one"),
        ]
        assert all(call.tool.endswith("send_truck") for call in run.calls)
        assert [(call.state, call.stands) for call in run.calls] == [("done", True)] * 2
        assert (run.confidence, run.scores, run.model) == (0.25, {"margin": 1.5}, "pricer@1")
        assert (run.proposer, run.undone_by, run.reason) == ("auditor", "auditor/1/p1", "too dear")
        assert (run.evidence, run.was_root, run.left_out) == ({"unit": "cents"}, True, 0)
        with pytest.raises(CallerError, match="is over"):
            _ = SEEN["ctx"].earlier_runs
    # In another life, and with a correction: two runs, and what was not claimed is gone.
    async with Cluster("local", folder=tmp_path) as cluster:
        await start(cluster)
        await cluster.rollback("buyer/1/2", inputs="amend", amend={"buyer/1/2": Order("tea", 5)}, reason="still")
        await cluster.quiet()
        first, second = SEEN["runs"]
        assert [(call.state, call.stands) for call in first.calls] == [("done", True), ("undone", False)]
        assert (second.sent[0].message, second.model, second.reason) == (Bill(200), "pricer@2", "still")
        assert (second.message, second.evidence, second.proposer) == (Order("tea", 4), "still", "buyer")
        assert LEFT == ["a second one"]


async def test_a_run_that_depended_on_what_was_wrong_is_shown_as_no_root_and_a_restore_by_its_name() -> None:
    async with Cluster("local") as cluster:
        await start(cluster)
        await cluster.submit("buyer", Order("tea", 4))
        await cluster.quiet()
        await cluster.submit("till", Bill(1))
        await cluster.quiet()
        epoch = await cluster.checkpoint()
        await cluster.submit("till", Bill(3))
        await cluster.submit("buyer", "note")
        await cluster.quiet()
        await cluster.restore(epoch, inputs="retry", reason="to before lunch")
        await cluster.quiet()
        (run,) = SEEN["till"]
        assert (run.message, run.undone_by, run.reason) == (Bill(3), "restore/1", "to before lunch")
        assert (run.proposer, run.evidence, run.was_root) == ("", None, False)
        (run,) = SEEN["runs"]
        assert run.sent == (("buyer", "note", None),)


async def test_what_is_shown_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earlier, "SHOWN_BYTES_MAX", 40)
    monkeypatch.setattr(earlier, "LISTED_MAX", 1)
    monkeypatch.setattr(earlier, "RUNS_MAX", 2)
    async with Cluster("local") as cluster:
        await start(cluster)
        await cluster.submit("buyer", Order("tea", 4))
        for seq in (1, 2, 3):
            await cluster.quiet()
            await cluster.rollback(f"buyer/1/{seq}", reason="no")
        await cluster.quiet()
        old, new = SEEN["runs"]
        assert [str(run.step) for run in (old, new)] == ["buyer/1/2", "buyer/1/3"]
        assert new.message == Order("tea", 4)
        assert isinstance(old.message, LeftOut)
        assert old.message.size > 10
        assert isinstance(old.calls[0].args, LeftOut)
        await cluster.submit("buyer", Order("jam", 4))
        await cluster.quiet()
        await cluster.rollback("buyer/1/5", reason="no")
        await cluster.quiet()
        assert [run.left_out for run in SEEN["runs"]] == [1]


class Once(Buyer):
    attempts = 2


async def test_a_class_says_how_often_an_input_is_run_and_the_dead_letter_says_so() -> None:
    async with Cluster("local", limits=Limits(attempts_max=1)) as cluster:
        await cluster.spawn("till", Till)
        await cluster.spawn("buyer", Once)
        await cluster.submit("till", Bill(1))
        await cluster.submit("buyer", "note")
        for step in ("till/1/1", "buyer/1/1", "buyer/1/2"):
            await cluster.quiet()
            assert (await cluster.rollback(step, reason="no")).committed
        await cluster.quiet()
        (letter,) = await cluster.dead_letters("buyer")
        text = "run 2 of the 2 times that it may be, and undone each time, last buyer/1/2 by buyer/1/p2; it is not"
        assert letter.reason == f"{text} run again"
        (letter,) = await cluster.dead_letters("till")
        assert "run 1 of the 1 times" in letter.reason
    with pytest.raises(DeclarationRefused, match="attempts = 0"):
        type("Never", (Buyer,), {"attempts": 0})
