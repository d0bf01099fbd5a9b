"""A cluster that does not become quiet in time says who waits, for whom or what, in one line that people can read."""

import asyncio
import re

import pytest

from peer import Agent, AskTimeout, Call, Cluster, Context, Limits, RollbackTimeout, handles, tool

TIMEOUT_S = 0.3
GATES: dict[str, asyncio.Event] = {}


class Sender(Agent):
    @handles(int)
    async def send(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message
        ctx.send("receiver", str(message))


class Receiver(Agent):
    @handles(str)
    async def take(self, message: str, ctx: Context) -> None:
        self.state["last"] = message


def fail(call: Call) -> None:
    raise OSError("the bank is closed")


@tool(undo=fail)
def pay(amount: int, *, intent: str) -> None:
    pass


class Payer(Agent):
    @handles(int)
    async def work(self, message: int, ctx: Context) -> None:
        await ctx.call(pay, message)


class Waiter(Agent):
    @handles(int)
    async def work(self, message: int, ctx: Context) -> None:
        await GATES["open"].wait()


async def why(cluster: Cluster, timeout_s: float = TIMEOUT_S) -> str:
    with pytest.raises(AskTimeout) as caught:
        await cluster.quiet(timeout_s)
    text = str(caught.value)
    assert text.startswith(f"not quiet within {timeout_s:g} s. Under way: ")
    assert "\n" not in text
    return text


async def test_undelivered_messages_are_told_with_their_receivers_and_a_host_that_is_down_comes_first() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("sender", Sender)
        await cluster.spawn("receiver", Receiver)
        await cluster.kill("receiver", for_good=True)
        await cluster.submit("sender", 1, 2)
        while (await cluster.status("sender")).steps < 2:
            await asyncio.sleep(0)
        said = await why(cluster)
        assert (
            "Under way: receiver (no answer from its host, which may be down); sender (messages: 2 (2 to receiver)"
            in said
        )


async def test_an_undecided_rollback_is_told_with_whose_vote_is_missing() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("sender", Sender)
        await cluster.spawn("receiver", Receiver)
        await cluster.submit("sender", 1)
        await cluster.quiet()
        await cluster.kill("receiver", for_good=True)
        with pytest.raises(RollbackTimeout):
            await cluster.rollback("sender/1/1", timeout_s=TIMEOUT_S)
        said = await why(cluster)
        assert re.search(r"undecided: 1 \(sender/\S+ waits for receiver\)", said)
        assert re.search(r"proposals: 1 \(sender/\S+\)", said)


async def test_an_effect_that_can_not_be_undone_is_told_with_the_reason() -> None:
    async with Cluster("local", limits=Limits(undo_wait_us=1000)) as cluster:
        await cluster.spawn("payer", Payer)
        await cluster.submit("payer", 5)
        await cluster.quiet()
        await cluster.rollback("payer/1/1", inputs="discard")
        while not (await cluster.effects())[0].why:
            await asyncio.sleep(0)
        said = await why(cluster)
        (effect,) = await cluster.effects()
        assert f"undos: 1 ({effect.intent}, OSError: the bank is closed)" in said


async def test_of_many_busy_agents_a_few_are_told_and_the_others_counted() -> None:
    GATES["open"] = asyncio.Event()
    async with Cluster("local", agents_per_actor=40) as cluster:
        for number in range(40):
            await cluster.spawn(f"w-{number}", Waiter)
            await cluster.submit(f"w-{number}", *range(number + 1))
        said = await why(cluster)
        assert "w-2 (inputs: 3)" in said
        assert said.endswith("; and 34 more agents. It goes on; wait again.")
        GATES["open"].set()
        await cluster.quiet()
