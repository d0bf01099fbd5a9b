"""An effect that the second run of an input has claimed: the first run is undone, and the effect is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from peer import Agent, Call, Cluster, Context, handles, tool
from peer.audit import cli
from peer.audit.formats import write


def refund(call: Call) -> None:
    del call


@tool(undo=refund)
def pay(amount: int) -> int:
    return amount


class Payer(Agent):
    @handles(int)
    async def pay(self, message: int, ctx: Context) -> None:
        self.state["paid"] = message
        await ctx.call(pay, message)


@pytest.fixture
async def run(tmp_path: Path) -> Path:
    """The first input runs three times with one payment, the second once and is discarded."""
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await cluster.spawn("payer", Payer)
        await cluster.submit("payer", 5)
        await cluster.quiet()
        for step in ("payer/1/1", "payer/1/2"):
            await cluster.rollback(step, inputs="retry", reason="again")
            await cluster.quiet()
        await cluster.submit("payer", 6)
        await cluster.quiet()
        await cluster.rollback("payer/1/4", inputs="discard", reason="no")
        await cluster.quiet()
    return tmp_path / "run"


def printed(*arguments: object) -> str:
    done = CliRunner().invoke(cli.group, [str(argument) for argument in arguments])
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


async def test_an_undone_step_says_who_has_claimed_its_effect(run: Path) -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in printed("show", run, "--json").splitlines()]
    calls = {line["step"]: (call["state"], call["claimed_by"]) for line in lines for call in line["calls"]}
    assert calls == {
        "payer/1/1": ("done", "payer/1/2"),
        "payer/1/2": ("done", "payer/1/3"),
        "payer/1/3": ("done", None),
        "payer/1/4": ("undone", None),
    }
    said = printed("show", run)
    assert said.count("claimed by") == 2
    assert "pay done, claimed by payer/1/2" in said


async def test_why_cone_and_the_tables_say_so_too(run: Path, tmp_path: Path) -> None:
    assert "claimed -> done, claimed by payer/1/2" in printed("why", "payer/1/1", run)
    assert "pay: done, claimed by payer/1/3" in printed("cone", "payer/1/2", run)
    write("csv", run, tmp_path / "out", lambda at, of: None, lambda at, of: None)
    rows = (tmp_path / "out" / "calls.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0].endswith(",state,claimed_by")
    assert [row.rsplit(",", 2)[1:] for row in rows[1:]] == [
        ["done", "payer/1/2"], ["done", "payer/1/3"], ["done", ""], ["undone", ""],
    ]  # fmt: skip
