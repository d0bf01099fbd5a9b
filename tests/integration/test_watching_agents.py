"""A watcher on a cluster: what it notices, whom it asks, what is undone, and what it has learnt afterwards."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from ebbtide import (
    Agent,
    Call,
    CallerError,
    Cluster,
    Context,
    DeclarationRefused,
    HandlerMissing,
    PendingRequest,
    handles,
    tool,
)
from peer.detectors import Finding, LookAgain, Seen
from peer.values import payload
from peer.watching import Always, ConfirmFirst, Learned, Watcher

SENT: list[int] = []


class Over(Struct, frozen=True):
    """Calls a step wrong whose amount is over a bound."""

    bound: float = 400.0
    name: str = "over(amount)"
    version: str = "1"

    def begin(self) -> "Over":
        return self

    def see(self, step: Seen) -> Finding | None:
        amount = step.value("amount")
        return None if amount is None else Finding(amount / self.bound, {"amount": amount})


@dataclass
class Pay:
    amount: int


@dataclass
class Post:
    amount: int


@tool(kind="irreversible")
def send_out(amount: int) -> None:
    SENT.append(amount)


class Teller(Agent):
    """Takes dollars for cents, unless it is told."""

    watched_by = "guard"

    @handles(Pay)
    async def pay(self, message: Pay, ctx: Context) -> None:
        amount = message.amount * 100 if ctx.evidence is None and message.amount < 0 else message.amount
        ctx.report(amount=abs(amount))
        ctx.send("books", Post(amount))
        ctx.request(send_out, amount, then=self.sent)

    async def sent(self, result: Any, ctx: Context) -> None:
        self.state["sent"] = self.state.get("sent", 0) + 1


class Books(Agent):
    @handles(Post)
    async def post(self, message: Post, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message.amount


class Auditor(Agent):
    """Finds amounts over 1,000 right, if they are whole hundreds."""

    @handles(LookAgain)
    async def check(self, message: LookAgain, ctx: Context) -> None:
        amount = message.suspicion.evidence["amount"]
        ctx.reply(True if amount == 1000 else f"{amount} is no amount that anybody pays")


class Guard(Watcher):
    detectors = (Over(),)
    policy = Always()


class Careful(Watcher):
    detectors = (Over(),)
    policy = ConfirmFirst()
    checker = "auditor"
    limit = Learned(patience=2, explore=0.0)


def amounts(seen: list[bytes]) -> list[float]:
    return [payload.decode_message(each, {"Seen": Seen}).scores["amount"] for each in seen]


async def started(cluster: Cluster, guard: type) -> None:
    SENT.clear()
    await cluster.spawn("teller", Teller)
    await cluster.spawn("books", Books)
    await cluster.spawn("auditor", Auditor)
    await cluster.spawn("guard", guard)


async def test_a_step_that_a_detector_calls_wrong_is_undone_and_run_again() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Guard)
        await cluster.submit("teller", Pay(7), Pay(-30), Pay(5))
        await cluster.quiet()
        assert (await cluster.state("books"))["sum"] == -18
        cases = {key[1]: value for key, value in (await cluster.state("guard")).items() if key[0] == "case"}
        assert [(case[0], case[2]) for case in cases.values()] == [("over", "over(amount)")]
        assert next(iter(cases.values()))[1].endswith("steps undone")


async def test_what_a_watcher_has_seen_of_an_undone_step_was_never_there() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Guard)
        await cluster.submit("teller", Pay(7), Pay(-30), Pay(5))
        await cluster.quiet()
        state = await cluster.state("guard")
        assert state["head", "teller"][0] == 3
        seen = [value for key, value in state.items() if key[0] == "seen"]
        assert len(seen) == 3
        assert sorted(amounts(seen)) == [5, 7, 30], "3,000 was never seen"


async def test_an_alarm_that_a_checker_finds_false_undoes_nothing_and_raises_the_limit() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Careful)
        for _ in range(3):
            await cluster.submit("teller", Pay(1000))
            await cluster.quiet()
        assert (await cluster.state("books"))["sum"] == 3000
        state = await cluster.state("guard")
        assert state["limit", "over(amount)"] > 1
        assert (await cluster.status("teller")).undone == 0


async def test_a_confirmed_alarm_is_learnt_though_the_step_that_raised_it_is_undone() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Careful)
        await cluster.submit("teller", Pay(-30))
        await cluster.quiet()
        assert (await cluster.state("books"))["sum"] == -30
        state = await cluster.state("guard")
        assert state["known", "over(amount)"] == [[7.5, True, 1.0]]


class Asking(Watcher):
    detectors = (Over(),)
    policy = ConfirmFirst()
    people = ()


async def inbox(cluster: Cluster) -> list[PendingRequest]:
    while not (found := await cluster.inbox()):
        await asyncio.sleep(0.02)
    return found


async def test_nothing_of_a_doubted_agent_leaves_until_a_person_has_decided() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Asking)
        await cluster.submit("teller", Pay(-30), Pay(5))
        (asked,) = await inbox(cluster)
        await cluster.checkpoint()
        await cluster.checkpoint()
        await cluster.quiet()
        assert SENT == [], "what it has requested is settled, and held"
        await asked.answer("wrong", "a typo")
        await cluster.quiet()
        await cluster.checkpoint()
        await cluster.checkpoint()
        await cluster.quiet()
        assert sorted(SENT) == [-30, 5]
        assert (await cluster.state("books"))["sum"] == -25
        assert (await cluster.state("guard"))["known", "over(amount)"] == [[7.5, True, 1.0]]


async def test_what_a_person_finds_right_is_let_go() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Asking)
        await cluster.submit("teller", Pay(2000))
        (asked,) = await inbox(cluster)
        await asked.answer("right")
        await cluster.quiet()
        await cluster.checkpoint()
        await cluster.quiet()
        assert SENT == [2000]
        assert (await cluster.state("guard"))["known", "over(amount)"] == [[5.0, False, 1.0]]


class Discarding(Watcher):
    detectors = (Over(),)
    policy = Always("undo")


async def test_an_alarm_that_is_overturned_has_its_step_reinstated_and_is_learnt_from() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Discarding)
        await cluster.submit("teller", Pay(7), Pay(2000))
        await cluster.quiet()
        assert (await cluster.state("books"))["sum"] == 7
        (letter,) = await cluster.dead_letters("teller")
        assert letter.message == Pay(2000)
        done = await cluster.overturn("teller/1/2", "a house was sold", to="guard", by="ann")
        assert done.reinstated == "redriven"
        while (await cluster.state("guard"))["case", "teller/1/2"][1] != "right, says ann":
            await asyncio.sleep(0.02)
        assert (await cluster.state("guard"))["known", "over(amount)"][0] == [5.0, False, 1.0]


async def test_one_that_has_run_again_is_told_that_it_was_right() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Guard)
        await cluster.submit("teller", Pay(-30))
        await cluster.quiet()
        done = await cluster.overturn("teller/1/1", "dollars it was", by="ann")
        assert done.reinstated == "run again"
        await cluster.quiet()
        (step,) = [each async for each in cluster.steps("teller", undone=False)]
        assert step.attempt == 3
        assert (await cluster.overturn(step.id, "again")).reinstated == "stands"


async def test_what_others_say_is_a_suspicion_like_any_and_counts_once() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Discarding)
        await cluster.submit("teller", Pay(7))
        await cluster.quiet()
        for _ in range(2):
            await cluster.suspect("teller/1/1", 2.0, "a thief", to="guard", by="webhook/bank", key="alert 17")
        await cluster.quiet()
        assert "sum" not in await cluster.state("books")
        (case,) = [value for key, value in (await cluster.state("guard")).items() if key[0] == "case"]
        assert case[2] == "webhook/bank"
        with pytest.raises(HandlerMissing, match="books is no watcher"):
            await cluster.suspect("teller/1/1", to="books")
        with pytest.raises(CallerError, match="score is 'high'"):
            await cluster.suspect("teller/1/1", "high", to="guard")  # type: ignore[arg-type]


class Doubter(Agent):
    watched_by = "guard"

    @handles(str)
    async def doubt(self, message: str, ctx: Context) -> None:
        ctx.suspect(message, 1.5, "it looks odd")


async def test_an_agent_suspects_a_step_of_another() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Discarding)
        await cluster.spawn("doubter", Doubter)
        await cluster.submit("teller", Pay(7))
        await cluster.quiet()
        await cluster.submit("doubter", "teller/1/1")
        await cluster.quiet()
        assert "sum" not in await cluster.state("books")


class Countering(Watcher):
    detectors = (Over(),)
    policy = Always("compensate")


BOOKED: list[int] = []


def unbook(call: Call) -> None:
    BOOKED.remove(call.args[0])


@tool(undo=unbook)
def book(amount: int) -> None:
    BOOKED.append(amount)


class Bookkeeper(Agent):
    watched_by = "guard"

    @handles(Pay)
    async def pay(self, message: Pay, ctx: Context) -> None:
        await ctx.call(book, message.amount)
        ctx.report(amount=message.amount)
        self.state["sum"] = self.state.get("sum", 0) + message.amount


async def test_what_a_wrong_step_did_to_the_world_is_countered_and_the_step_stands() -> None:
    BOOKED.clear()
    async with Cluster(backend="local") as cluster:
        await cluster.spawn("keeper", Bookkeeper)
        await cluster.spawn("guard", Countering)
        await cluster.submit("keeper", Pay(7), Pay(2000))
        await cluster.quiet()
        assert BOOKED == [7]
        assert (await cluster.state("keeper"))["sum"] == 2007


async def test_a_watcher_that_starts_again_goes_on_where_it_was(tmp_path: Path) -> None:
    class Sum(Struct, frozen=True):
        """Calls a step wrong when all before it have come to 500."""

        name: str = "sum"
        version: str = "1"

        def begin(self) -> Any:
            seen: list[float] = []

            def see(step: Seen) -> Finding:
                seen.append(step.value("amount") or 0.0)
                return Finding(sum(seen) / 500)

            return type("Watch", (), {"see": staticmethod(see)})()

    class Adding(Watcher):
        detectors = (Sum(),)
        policy = Always("undo")

    for amount in (200, 200):
        async with Cluster(backend="local", folder=tmp_path) as cluster:
            await started(cluster, Adding)
            await cluster.submit("teller", Pay(amount))
            await cluster.quiet()
    async with Cluster(backend="local", folder=tmp_path) as cluster:
        await started(cluster, Adding)
        await cluster.submit("teller", Pay(150), Pay(50))
        await cluster.quiet()
        assert (await cluster.state("books"))["sum"] == 450, "the third was too much, and is gone from the sum"


def test_what_no_watcher_can_be_is_refused() -> None:
    with pytest.raises(DeclarationRefused, match="watched_by = 3"):
        type("Odd", (Agent,), {"watched_by": 3})


class Stubborn(Agent):
    """Its amounts are odd, and right."""

    watched_by = "guard"

    @handles(Pay)
    async def pay(self, message: Pay, ctx: Context) -> None:
        ctx.report(amount=message.amount)
        self.state["runs"] = ctx.attempt


async def test_what_is_odd_each_time_is_not_undone_for_ever() -> None:
    async with Cluster(backend="local") as cluster:
        await cluster.spawn("stubborn", Stubborn)
        await cluster.spawn("guard", Guard)
        await cluster.submit("stubborn", Pay(900))
        await cluster.quiet()
        assert (await cluster.state("stubborn"))["runs"] == 2
        assert await cluster.dead_letters() == []
