"""Inputs from outside: whoever gives up, comes twice or comes from elsewhere loses and doubles nothing (ST-10)."""

import asyncio
from pathlib import Path

import pytest

from peer import Agent, AskTimeout, CallerError, Cluster, Context, InputsDiffer, Limits, MailboxFull, Receipt, handles


class Tally(Agent):
    @handles(str)
    async def count(self, message: str, ctx: Context) -> None:
        self.state[message] = self.state.get(message, 0) + 1


async def test_an_input_whose_caller_gave_up_is_never_taken_for_the_next_one() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Tally)
        given_up = []
        for number in range(20):
            first = asyncio.ensure_future(cluster.submit("a", f"first-{number}"))
            for _ in range(number % 5 + 1):
                await asyncio.sleep(0)
            first.cancel()
            await asyncio.wait((first,))
            given_up.append(first.cancelled())
            await cluster.submit("a", f"second-{number}")
        await cluster.quiet()
        state = await cluster.state("a")
        assert any(given_up)
        assert all(state.get(f"second-{number}") == 1 for number in range(20))
        assert all(state.get(f"first-{number}", 0) <= 1 for number in range(20))
        assert await cluster.dead_letters("a") == []


async def test_what_submit_returns_names_the_inputs_as_the_log_does() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Tally)
        receipt = await cluster.submit("a", "x", "y")
        await cluster.quiet()
        (page,) = await cluster.steps("a")
        assert receipt.agent == "a"
        assert receipt.inputs == tuple(record.input.lineage for record in page.records)
        assert receipt.repeated == 0


async def test_a_key_is_taken_once_also_from_another_process_and_after_a_restart(tmp_path: Path) -> None:
    for life in range(3):
        async with Cluster("local", folder=tmp_path) as cluster:
            await cluster.spawn("a", Tally)
            receipts = [await cluster.submit("a", "x", "y", key="order-17") for _ in range(2)]
            assert receipts[0].inputs == receipts[1].inputs == ("ext:key:order-17#1", "ext:key:order-17#2")
            assert [receipt.repeated for receipt in receipts] == [2 if life else 0, 2]
            await cluster.quiet()
            # In the second life what was taken on is in a base alone.
            for _ in range(6):
                await cluster.checkpoint()
            assert await cluster.state("a") == {"x": 1, "y": 1}


async def test_more_than_a_batch_under_one_key_goes_on_where_it_was_cut_off() -> None:
    messages = [f"m{number}" for number in range(450)]
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Tally)
        await cluster.submit("a", *messages[:200], key="long")
        receipt = await cluster.submit("a", *messages, key="long")
        assert (len(receipt.inputs), receipt.repeated) == (450, 200)
        await cluster.quiet()
        assert await cluster.state("a") == dict.fromkeys(messages, 1)


async def test_a_key_that_was_used_for_something_else_is_refused_by_name() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Tally)
        await cluster.submit("a", "x", key="k")
        with pytest.raises(InputsDiffer, match=r"ext:key:k#1 was taken on with other content"):
            await cluster.submit("a", "z", key="k")
        await cluster.quiet()
        with pytest.raises(InputsDiffer, match="Nothing was taken on"):
            await cluster.submit("a", "z", key="k")
        # A correction of it is no other input.
        await cluster.rollback("a/1/1", inputs="amend", amend={"a/1/1": "z"})
        await cluster.quiet()
        assert (await cluster.submit("a", "x", key="k")).repeated == 1
        assert await cluster.state("a") == {"z": 1}


@pytest.mark.parametrize("key", ["", "x" * 257, "\ud800", 7])
async def test_what_is_no_key_is_named_and_nothing_is_submitted(key: object) -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Tally)
        with pytest.raises(CallerError, match=r"key=.*Nothing was submitted"):
            await cluster.submit("a", "x", key=key)  # type: ignore[arg-type]
        await cluster.quiet()
        assert await cluster.state("a") == {}


async def test_a_receipt_tells_which_steps_hold_its_inputs_also_after_a_rollback_and_a_restart(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("a", Tally)
        receipt = await cluster.submit("a", "x", "y", key="both")
        assert [str(step) for step in await receipt.done()] == ["a/1/1", "a/1/2"]
        await cluster.rollback("a/1/1", inputs="retry")
        assert [str(step) for step in await receipt.done()] == ["a/1/3", "a/1/2"]
        await cluster.rollback("a/1/2", inputs="discard")
        assert [str(step) for step in await receipt.steps()] == ["a/1/3", "None"]
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("a", Tally)
        again = await cluster.submit("a", "x", "y", key="both")
        assert [str(step) for step in await again.done()] == ["a/1/3", "None"]


class Waiting(Agent):
    @handles(str)
    async def wait(self, message: str, ctx: Context) -> None:
        while not GO.get(message):
            await asyncio.sleep(0.01)


GO: dict[str, bool] = {}


async def test_done_names_an_input_that_is_not_handled_in_time() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Waiting)
        receipt = await cluster.submit("a", "one", "two")
        with pytest.raises(AskTimeout, match=f"a has not handled {receipt.inputs[0]} within 0.05 s"):
            await receipt.done(0.05)
        GO.update(one=True, two=True)
        assert len(await receipt.done()) == 2
        with pytest.raises(CallerError, match="not given by a cluster"):
            await Receipt("a", ("x",)).done()


class Gated(Agent):
    """Handles nothing before its gate is open."""

    gate = asyncio.Event()

    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        await Gated.gate.wait()
        self.state["sum"] = self.state.get("sum", 0) + message


async def test_whoever_hands_in_more_than_may_wait_waits_or_is_refused_by_choice() -> None:
    Gated.gate = asyncio.Event()
    async with Cluster("local", limits=Limits(mailbox_max=300)) as cluster:
        await cluster.spawn("gated", Gated)
        with pytest.raises(MailboxFull, match=r"300 may. .* Of 1000 inputs 200 are taken on. Hand in the others"):
            await cluster.submit("gated", *[1] * 1000, key="all", on_full="refuse")
        with pytest.raises(CallerError, match="on_full='drop': it is wait or refuse"):
            await cluster.submit("gated", 1, on_full="drop")
        waiting = asyncio.create_task(cluster.submit("gated", *[1] * 1000, key="all"))
        other = asyncio.create_task(cluster.submit("gated", *[1] * 500))
        done, _ = await asyncio.wait((waiting, other), timeout=0.2)
        assert not done
        Gated.gate.set()
        receipt = await waiting
        assert (len(receipt.inputs), receipt.repeated) == (1000, 200)
        await other
        await cluster.quiet()
        assert await cluster.state("gated") == {"sum": 1500}
