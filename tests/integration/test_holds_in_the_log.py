"""What a hold leaves in the logs: who, and why; and an agent that is held over a restart."""

from pathlib import Path

from ebbtide import Agent, Cluster, Context, Result, handles, tool
from peer.audit.reader import read_trail
from peer.detectors import Finding, Seen
from peer.watching import ConfirmFirst, Watcher

SENT: list[int] = []


@tool(kind="irreversible")
def send_out(amount: int) -> None:
    SENT.append(amount)


class Odd:
    name, version, memoryless = "odd", "1", True

    def begin(self) -> "Odd":
        return self

    def see(self, step: Seen) -> Finding | None:
        return Finding(1.5, {"amount": step.scores["amount"]}) if step.scores.get("amount", 0) > 100 else None


class Teller(Agent):
    watched_by = "guard"

    @handles(int)
    async def pay(self, message: int, ctx: Context) -> None:
        ctx.report(amount=message)
        ctx.request(send_out, message, then=self.sent)

    async def sent(self, result: Result, ctx: Context) -> None:
        self.state["sent"] = result.value


class Guard(Watcher):
    detectors = (Odd(),)
    policy = ConfirmFirst()
    people = ()


async def start(cluster: Cluster) -> None:
    await cluster.spawn("teller", Teller)
    await cluster.spawn("guard", Guard)


async def test_a_hold_lasts_over_a_restart_and_stands_in_the_log(tmp_path: Path) -> None:
    SENT.clear()
    async with Cluster(backend="local", folder=tmp_path) as cluster:
        await start(cluster)
        await cluster.submit("teller", 500)
        await cluster.quiet()
    async with Cluster(backend="local", folder=tmp_path) as cluster:
        await start(cluster)
        await cluster.checkpoint()
        await cluster.checkpoint()
        await cluster.quiet()
        assert SENT == []
        (asked,) = await cluster.inbox()
        await asked.answer("right")
        await cluster.quiet()
        await cluster.checkpoint()
        await cluster.quiet()
        assert SENT == [500]
    words = [word for word in read_trail(tmp_path).words if word.agent == "teller"]
    assert [(word.what, word.by) for word in words] == [
        ("held", "guard/teller/1/1"), ("let go", "guard/teller/1/1")
    ]  # fmt: skip
    assert words[0].note == "always confirmed first"
