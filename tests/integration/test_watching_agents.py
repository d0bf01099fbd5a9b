"""A watcher on a cluster: what it notices, whom it asks, what is undone, and what it has learnt afterwards."""

from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from ebbtide import Agent, Cluster, Context, handles, tool
from peer.detectors import Check, Finding, Seen
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

    @handles(Check)
    async def check(self, message: Check, ctx: Context) -> None:
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
