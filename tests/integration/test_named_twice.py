"""A step that was undone before is named again: its input is followed, or whoever names it is told where it is."""

import asyncio

import pytest

from peer import Agent, Cluster, Context, StepRanAgain, handles


class Last(Agent):
    tries = 1

    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        if message == 13:
            raise ValueError("unlucky")
        self.state["v"] = message


async def ran_again(cluster: Cluster) -> None:
    await cluster.spawn("a", Last)
    await cluster.submit("a", 1)
    await cluster.quiet()
    assert (await cluster.rollback("a/1/1", inputs="retry")).committed
    await cluster.quiet()


async def test_a_correction_reaches_the_step_that_holds_the_input_now() -> None:
    async with Cluster("local") as cluster:
        await ran_again(cluster)
        outcome = await cluster.rollback("a/1/1", inputs="amend", amend={"a/1/1": 5})
        assert [str(step) for step in outcome.undone] == ["a/1/2"]
        await cluster.quiet()
        assert await cluster.state("a") == {"v": 5}
        # Again and again, by the name that somebody noted first.
        outcome = await cluster.rollback("a/1/1", inputs="amend", amend={"a/1/1": 6})
        await cluster.quiet()
        assert await cluster.state("a") == {"v": 6}


@pytest.mark.parametrize("inputs", ["retry", "discard"])
async def test_naming_it_again_tells_which_step_holds_the_input_and_changes_nothing(inputs: str) -> None:
    async with Cluster("local") as cluster:
        await ran_again(cluster)
        with pytest.raises(StepRanAgain, match=r"a/1/1 was undone before, and its input ran again as a/1/2"):
            await cluster.rollback("a/1/1", inputs=inputs)
        assert await cluster.state("a") == {"v": 1}


async def test_a_correction_of_an_input_that_was_given_up_is_refused_with_the_reason() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Last)
        await cluster.submit("a", 1)
        await cluster.quiet()
        await cluster.rollback("a/1/1", inputs="discard", reason="never mind")
        with pytest.raises(StepRanAgain, match=r"its input will not run again: discarded by a/1/p1"):
            await cluster.rollback("a/1/1", inputs="amend", amend={"a/1/1": 5})
        # To discard it once more asks for nothing new.
        assert (await cluster.rollback("a/1/1", inputs="discard")).committed


async def test_corrections_that_race_with_reruns_are_never_dropped() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Last)
        await cluster.submit("a", 1)
        await cluster.quiet()
        for value in range(2, 12):
            retry = asyncio.ensure_future(cluster.rollback("a/1/1", inputs="retry"))
            amended = await cluster.rollback("a/1/1", inputs="amend", amend={"a/1/1": value})
            await asyncio.wait((retry,))
            assert retry.exception() is None or isinstance(retry.exception(), StepRanAgain)
            await cluster.quiet()
            assert amended.committed
            assert await cluster.state("a") == {"v": value}


async def test_a_restore_names_what_it_does_not_bring_back() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Last)
        await cluster.submit("a", 1, 2)
        await cluster.quiet()
        epoch = await cluster.checkpoint()
        await cluster.rollback("a/1/2", inputs="discard")
        await cluster.submit("a", 3)
        await cluster.quiet()
        restored = await cluster.restore(epoch)
        assert [str(step) for step in restored.still_undone] == ["a/1/2"]
        assert await cluster.state("a") == {"v": 1}
