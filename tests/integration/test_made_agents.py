"""Agents that handlers make, on real disks: they come back with their host, and the folder says so."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from peer import Agent, AskTimeout, CallerError, Cluster, Context, handles
from peer.audit import cli


class Hand(Agent):
    """Is made by a handler."""

    def __init__(self, factor: int) -> None:
        if factor < 0:
            raise ValueError(f"factor={factor}")
        self.factor = factor

    @handles(int)
    async def work(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + self.factor * message


class Maker(Agent):
    """Makes an agent of each name that it is told, and gives it work; `-name` retires it."""

    @handles(str)
    async def make(self, message: str, ctx: Context) -> None:
        if message.startswith("-"):
            ctx.retire(message[1:])
        else:
            ctx.spawn(message, Hand, factor=-1 if message == "broken" else 10)
            ctx.send(message, 1)


async def test_they_come_back_with_the_folder_and_the_folder_is_as_written(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("maker", Maker)
        await cluster.submit("maker", "a", "b", "-b")
        await cluster.quiet()
        seen = {name: await cluster.status(name) for name in ("maker", "a", "b")}
        assert {name: (look.is_made, look.absence) for name, look in seen.items()} == {
            "maker": (False, ""), "a": (True, ""), "b": (True, "retired"),
        }  # fmt: skip
    for _ in range(2):
        async with Cluster("local", folder=tmp_path) as cluster:
            await cluster.spawn("maker", Maker)
            assert await cluster.state("a") == {"sum": 10}
            assert (await cluster.status("b")).absence == "retired"
            await cluster.checkpoint()
    done = CliRunner().invoke(cli.group, ["verify", str(tmp_path)])
    assert done.exit_code == 0, done.output


async def test_a_name_that_a_handler_has_given_is_launched_by_nobody() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("maker", Maker)
        await cluster.submit("maker", "a")
        await cluster.quiet()
        with pytest.raises(CallerError, match="a handler has made it"):
            await cluster.spawn("a", Hand, factor=1)
        assert await cluster.state("a") == {"sum": 10}


async def test_one_whose_class_raises_is_a_dead_letter_that_can_be_undone_or_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("maker", Maker)
        await cluster.submit("maker", "broken", "a")
        await cluster.quiet()
        (making, work) = await cluster.dead_letters("broken")
        assert "agent 'broken' did not start: Hand(...) raised ValueError: factor=-1" in making.reason
        assert work.message == 1
        assert "agent-broken" in {notice.notice for notice in await cluster.notices("broken")}
        assert (await cluster.preview("maker/1/1")).steps
    monkeypatch.setattr(Hand, "__init__", lambda self, factor: setattr(self, "factor", factor))
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("maker", Maker)
        await cluster.quiet()
        assert await cluster.state("broken") == {"sum": -1}
        assert await cluster.dead_letters() == []
        outcome = await cluster.rollback("maker/1/1", inputs="discard")
        assert {step.agent for step in outcome.undone} == {"maker", "broken"}


async def test_one_whose_class_raises_later_waits_and_can_be_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("maker", Maker)
        await cluster.submit("maker", "a")
        await cluster.quiet()
    monkeypatch.setattr(Hand, "__init__", lambda self, factor: 1 / 0)
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("maker", Maker)
        await cluster.submit("a", 1)
        with pytest.raises(AskTimeout, match="inputs: 1"):
            await cluster.quiet(timeout_s=0.5)
        await cluster.rollback("maker/1/1", inputs="discard")
        assert await cluster.state("a") == {}
