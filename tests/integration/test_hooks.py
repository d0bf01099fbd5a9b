"""Hooks: an agent is told that it has come up, before anything else, and which of its steps are undone."""

import asyncio
from pathlib import Path

import pytest

from peer import Agent, Cluster, Context, DeclarationRefused, StepId, handles

TOLD: list[str] = []


@pytest.fixture(autouse=True)
def _nothing() -> None:
    TOLD.clear()


class Told(Agent):
    def __init__(self) -> None:
        self.cache: dict[str, str] = {}

    async def on_start(self) -> None:
        await asyncio.sleep(0.05)
        TOLD.append("start")

    def on_restart(self) -> None:
        TOLD.append("restart")

    async def on_undone(self, steps: tuple[StepId, ...]) -> None:
        TOLD.append("undone " + " ".join(map(str, steps)))

    @handles(str)
    async def take(self, message: str, ctx: Context) -> None:
        TOLD.append(message)
        self.state[message] = True


async def told(count: int) -> list[str]:
    """Wait until so much was told."""
    while len(TOLD) < count:
        await asyncio.sleep(0.01)
    return TOLD


async def test_an_agent_is_told_that_it_is_up_before_its_first_handler_and_of_what_is_undone(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("a", Told)
        await cluster.submit("a", "one", "two", "three")
        await cluster.quiet()
        assert TOLD == ["start", "one", "two", "three"]
        await cluster.rollback("a/1/2", "a/1/3", inputs="discard")
        assert (await told(5))[4] == "undone a/1/2 a/1/3"
        await cluster.kill("a")
        await cluster.submit("a", "four")
        await cluster.quiet()
        assert TOLD[5:] == ["restart", "four"]
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("a", Told)
        await cluster.submit("a", "five")
        await cluster.rollback("a/1/1", inputs="discard")
        assert (await told(10))[7:] == ["restart", "five", "undone a/1/1"]


class Failing(Told):
    def on_start(self) -> None:
        raise ValueError("no database")

    def on_undone(self, steps: tuple[StepId, ...]) -> None:
        self.state["k"] = 1


async def test_a_hook_that_fails_or_wants_to_write_is_told_and_changes_nothing() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Failing)
        await cluster.submit("a", "one")
        await cluster.quiet()
        await cluster.rollback("a/1/1", inputs="discard")
        while len(failed := [each for each in await cluster.notices("a") if each.notice == "hook-failed"]) < 2:
            await asyncio.sleep(0.01)
        assert "on_start: ValueError: no database" in failed[0].detail
        assert failed[1].detail.startswith("on_undone: ")
        assert await cluster.state("a") == {}


async def test_a_hook_that_cancels_itself_holds_up_nobody() -> None:
    class Quitting(Told):
        async def on_start(self) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    async with Cluster("local") as cluster:
        await cluster.spawn("a", Quitting)
        await cluster.submit("a", "one")
        await cluster.quiet(timeout_s=10)
        assert TOLD == ["one"]
        assert [each.notice for each in await cluster.notices("a")] == ["hook-failed"]
        await cluster.rollback("a/1/1", inputs="discard")
        assert (await told(2))[1] == "undone a/1/1"


def test_hooks_of_a_wrong_form_are_refused_when_the_class_is_made() -> None:
    with pytest.raises(DeclarationRefused, match="on_undone"):

        class Wrong(Agent):
            def on_undone(self) -> None:  # type: ignore[override]
                pass
