"""The past of an agent's state: read at any step of its own that the horizon has not passed, without restoring."""

from dataclasses import dataclass
from typing import Any

import pytest

from peer import Agent, CallerError, Cluster, Context, StepUnknown, handles

SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    SEEN.clear()


@dataclass
class Set:
    key: str
    value: int


@dataclass
class Drop:
    key: str


@dataclass
class Look:
    at: str
    key: str = ""


class Keeper(Agent):
    @handles(Set)
    def set(self, message: Set, ctx: Context) -> None:
        self.state[message.key] = message.value

    @handles(Drop)
    def drop(self, message: Drop, ctx: Context) -> None:
        del self.state[message.key]

    @handles(Look)
    def look(self, message: Look, ctx: Context) -> None:
        past = self.state.at(message.at)
        with pytest.raises(TypeError):
            past["x"] = 1  # type: ignore[index]
        SEEN.append(past.get(message.key) if message.key else dict(past))
        self.state["seen"] = len(SEEN)
        self.kept = past

    @handles(str)
    def keep(self, message: str, ctx: Context) -> None:
        SEEN.append(self.kept[message])


async def started(cluster: Cluster, *messages: Any) -> None:
    await cluster.spawn("a", Keeper)
    await cluster.submit("a", *messages)
    await cluster.quiet()


async def test_state_is_read_as_it_stood_after_a_step_from_outside_and_inside() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Set("x", 1), Set("y", 5), Set("x", 2), Drop("y"), Look("a/1/2"), Look("a/1/1", "y"))
        assert await cluster.state("a", at="a/1/1") == {"x": 1}
        assert await cluster.state("a", at="a/1/2") == {"x": 1, "y": 5}
        assert await cluster.state("a", at="a/1/3") == {"x": 2, "y": 5}
        assert await cluster.state("a", at="a/1/4") == {"x": 2}
        assert SEEN == [{"x": 1, "y": 5}, None]


async def test_reading_the_past_depends_on_whoever_wrote_it_and_on_nobody_later() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Set("x", 1), Set("x", 2), Look("a/1/1", "x"), Look("a/1/2", "x"))
        assert (await cluster.preview("a/1/1")).steps == (("a", 1, 1), ("a", 1, 3))
        assert (await cluster.preview("a/1/2")).steps == (("a", 1, 2), ("a", 1, 4))
        await cluster.rollback("a/1/1", inputs="discard")
        await cluster.quiet()
        # What is undone is hidden as of now, and who had read it has run again.
        assert await cluster.state("a", at="a/1/1") == {}
        assert await cluster.state("a", at="a/1/2") == {"x": 2}
        assert SEEN == [1, 2, None]


async def test_a_step_that_can_not_be_read_at_is_named_with_the_oldest_that_can() -> None:
    async with Cluster(backend="local", checkpoints_kept=1) as cluster:
        await started(cluster, Set("x", 1), Set("x", 2))
        await cluster.spawn("b", Keeper)
        with pytest.raises(
            StepUnknown, match=r"no step a/1/9 .* that can be read at is a/1/1, and nothing is compacted"
        ):
            await cluster.state("a", at="a/1/9")
        with pytest.raises(StepUnknown, match="b/1/1 is no step of a"):
            await cluster.state("a", at="b/1/1")
        with pytest.raises(CallerError, match="not a step: 'first'"):
            await cluster.state("a", at="first")
        await cluster.checkpoint()
        await cluster.checkpoint()
        await cluster.submit("a", Set("x", 3), Set("x", 4))
        await cluster.quiet()
        with pytest.raises(
            StepUnknown, match=r"no step a/1/1 .* that can be read at is a/1/3, and those before checkpoint 2"
        ):
            await cluster.state("a", at="a/1/1")
        assert await cluster.state("a", at="a/1/3") == {"x": 3}
        await cluster.kill("a")
        assert await cluster.state("a", at="a/1/3") == {"x": 3}
        await cluster.submit("a", Look("a/1/1"))
        await cluster.quiet()
        ((_, why),) = await cluster.dead_letters("a")
        assert "StepUnknown: no step a/1/1" in why


async def test_a_past_ends_with_the_handler_that_asked_for_it() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Set("x", 1), Look("a/1/1"), "x")
        ((_, why),) = await cluster.dead_letters("a")
        assert "is over" in why
        assert "read the state at a/1/1" in why
