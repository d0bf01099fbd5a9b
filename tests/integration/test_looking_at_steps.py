"""Steps as people look at them: gone through one by one, filtered where their log is."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from peer import Agent, Answer, CallerError, Cluster, Context, Hidden, NotHappened, bulky, handles, secret, tool
from peer.host import step_pages
from peer.host.questions import StepsAnswer


@dataclass
class Order:
    item: str
    price: int


@dataclass
class Note:
    text: str


paid: list[int] = []


@tool(undo=lambda call: paid.remove(call.args[0]), check=lambda call: NotHappened())
def pay(price: int) -> None:
    paid.append(price)


class Buyer(Agent):
    keys: ClassVar[dict[str, Any]] = {"pin": secret(lambda key: "1234"), "scan": bulky()}

    @handles(Order)
    async def order(self, message: Order, ctx: Context) -> None:
        self.state["spent"] = self.state.get("spent", 0) + message.price
        self.state["pin"] = "1234"
        self.state["scan"] = b"x" * 100
        ctx.report(confidence=message.price / 10, model="m1", margin=0.5)
        await ctx.call(pay, message.price)
        ctx.send("buyer", Note(message.item))

    @handles(Note)
    async def note(self, message: Note, ctx: Context) -> None:
        self.state["last"] = message.text
        self.state.pop("spent", None)

    @handles(int)
    async def wonder(self, message: int, ctx: Context) -> None:
        ctx.ask("buyer", str(message), then="told")

    @handles(str)
    async def answer(self, message: str, ctx: Context) -> None:
        ctx.reply(int(message) + 1)

    async def told(self, answer: Answer, ctx: Context) -> None:
        self.state["told"] = answer.value


async def names(cluster: Cluster, **wanted: Any) -> list[str]:
    return [str(step.id) async for step in cluster.steps("buyer", **wanted)]


async def test_a_step_tells_what_it_handled_read_wrote_called_and_sent() -> None:
    began = datetime.now(UTC)
    async with Cluster("local") as cluster:
        await cluster.spawn("buyer", Buyer)
        await cluster.submit("buyer", Order("tea", 4))
        await cluster.quiet()
        first, second = [step async for step in cluster.steps("buyer")]
    assert (first.message, first.handled, first.attempt) == (Order("tea", 4), "Order", 1)
    assert first.sender.startswith("ext:cluster-")
    assert ("spent", None) in first.reads
    assert ("spent", first.id) in second.reads
    assert first.writes["spent"] == 4
    assert isinstance(first.writes["pin"], Hidden)
    assert isinstance(first.writes["scan"], Hidden)
    assert second.writes == {"last": "tea", "spent": None}
    (call,) = first.calls
    assert (call.tool.rpartition(":")[2], call.kind, call.state) == ("pay", "compensable", "done")
    assert [(sent.to, sent.message) for sent in first.sent] == [("buyer", Note("tea"))]
    assert (first.model, first.confidence, first.scores) == ("m1", 0.4, {"margin": 0.5})
    assert (second.model, second.confidence, second.undone_by) == ("", None, "")
    assert second.sent_at is not None
    assert began - timedelta(seconds=1) < second.sent_at <= second.at < datetime.now(UTC) + timedelta(seconds=1)


async def test_steps_are_filtered_where_their_log_is(monkeypatch: pytest.MonkeyPatch) -> None:
    carried: list[StepsAnswer] = []
    page_of = step_pages.page_of

    def counted(*args: Any) -> StepsAnswer:
        carried.append(page_of(*args))
        return carried[-1]

    monkeypatch.setattr("peer.host.answers.page_of", counted)
    async with Cluster("local") as cluster:
        await cluster.spawn("buyer", Buyer)
        await cluster.submit("buyer", Order("tea", 3), Order("jam", 6), 7)
        await cluster.quiet()
        # Order, order, int, then their notes and the question, then its answer.
        everything = await names(cluster)
        assert len(everything) == 7
        carried.clear()
        assert await names(cluster, handled=Order, confidence_below=0.5) == everything[:1]
        assert sum(len(page.records) for page in carried) == 1
        assert await names(cluster, handled="Order") == everything[:2]
        assert await names(cluster, handled=int) == everything[2:3]
        (asked,) = [step async for step in cluster.steps("buyer", handled=str)]
        assert asked.message == "7"
        (told,) = [step async for step in cluster.steps("buyer", handled=Answer)]
        assert (told.message, told.writes) == (8, {"told": 8})
        await cluster.rollback(everything[0], inputs="discard")
        await cluster.quiet()
        assert everything[0] in await names(cluster, undone=True)
        assert everything[0] not in await names(cluster, undone=False)
        first, *_ = [step async for step in cluster.steps("buyer", handled=Order, undone=True)]
        assert (first.id.seq, bool(first.undone_by)) == (1, True)


async def test_pages_come_as_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_pages, "STEPS_MAX", 2)
    async with Cluster("local") as cluster:
        await cluster.spawn("buyer", Buyer)
        await cluster.submit("buyer", *range(3))
        await cluster.quiet()
        pages = await cluster.steps("buyer")
        assert [len(page.records) for page in pages] == [2, 2, 2, 2, 1]
        asked: list[str] = []
        ask = cluster.host.ask

        async def counted(agent: str, what: str, *args: Any, **kwargs: Any) -> bytes:
            asked.append(what)
            return await ask(agent, what, *args, **kwargs)

        monkeypatch.setattr(cluster.host, "ask", counted)
        async for step in cluster.steps("buyer"):
            if step.id.seq == 3:
                break
        assert asked == ["steps", "steps"]


async def test_what_is_no_filter_is_refused_before_anything_is_asked() -> None:
    cluster = Cluster("local")
    for wanted in ({"handled": 3}, {"undone": "yes"}, {"confidence_below": "low"}, {"confidence_below": float("nan")}):
        with pytest.raises(CallerError, match=str(next(iter(wanted)))):
            cluster.steps("a", **wanted)  # type: ignore[arg-type]
