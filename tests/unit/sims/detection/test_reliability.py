"""How far reported confidences can be believed: by what became of the steps of a run on disk."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ebbtide import Agent, Cluster, Context, handles
from peer.detectors import Calibration, load
from peer.errors import CallerError
from peer.watching import Watcher
from sims.detection.cli import group
from sims.detection.reliability import reliability_of


@dataclass
class Guess:
    number: int


class Guesser(Agent):
    """Says of every fourth that it is half sure, and else that it is quite sure; nothing at all of negative ones."""

    @handles(Guess)
    async def guess(self, message: Guess, ctx: Context) -> None:
        if message.number >= 0:
            ctx.report(0.55 if message.number % 4 == 0 else 0.95, size=float(message.number))
        ctx.send("keeper", message.number)


class Keeper(Agent):
    @handles(int)
    async def keep(self, message: int, ctx: Context) -> None:
        ctx.report(0.75)
        self.state[message] = "kept"


class Guard(Watcher):
    pass


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reliability") / "run"
    asyncio.run(play(folder))
    return folder


async def play(folder: Path) -> None:
    async with Cluster("local", folder=folder) as cluster:
        for name, kind in (("guesser", Guesser), ("keeper", Keeper), ("guard", Guard)):
            await cluster.spawn(name, kind)
        await cluster.submit("guesser", *(Guess(number) for number in range(60)), Guess(-1))
        await cluster.quiet()
        # Six that were half sure were wrong, and four of the others; two alarms were false.
        half = [f"guesser/1/{number + 1}" for number in range(0, 24, 4)]
        sure = [f"guesser/1/{number + 1}" for number in (1, 2, 3, 5)]
        for step in (*half, *sure, "guesser/1/41", "guesser/1/42"):
            await cluster.rollback(step, inputs="discard", reason="wrong")
        await cluster.quiet()
        for step in ("guesser/1/41", "guesser/1/42"):
            assert (await cluster.overturn(step, "it was right", to="guard")).reinstated == "redriven"
        await cluster.quiet()


def test_a_step_was_right_if_it_stands_or_was_called_wrong_by_mistake(run: Path) -> None:
    found = reliability_of(run, ("guesser",))
    low, high = found.bins
    # The two that were called wrong by mistake have run again: both runs were right.
    assert (low.low, low.count, low.right) == (0.5, 16, pytest.approx(10 / 16))
    assert (high.low, high.count, high.right) == (0.9, 46, pytest.approx(42 / 46))
    assert (low.confidence, high.confidence) == (pytest.approx(0.55), pytest.approx(0.95))
    assert (found.left_out, found.silent, found.gaps) == (0, 1, 0)
    assert found.error == pytest.approx((16 * abs(10 / 16 - 0.55) + 46 * abs(42 / 46 - 0.95)) / 62)
    assert high.least < high.right < high.most
    # What was undone with others was not wrong by itself.
    of_keeper = reliability_of(run, ("keeper",))
    assert (len(of_keeper.pairs), of_keeper.left_out) == (51, 12)
    assert all(right for _, right in of_keeper.pairs)


def test_too_few_steps_and_what_is_no_confidence_are_told(run: Path) -> None:
    with pytest.raises(CallerError, match=r"0 of 63 steps of guesser .* report 'mood' .* ctx.report\(mood=0.9\)"):
        reliability_of(run, ("guesser",), feature="mood")
    with pytest.raises(CallerError, match="not a confidence from 0 to 1"):
        reliability_of(run, ("guesser",), feature="size")


def test_the_command_prints_draws_and_keeps_a_calibration(run: Path, tmp_path: Path) -> None:
    kept, drawn = tmp_path / "guesser.cal", tmp_path / "guesser.svg"
    command = ["reliability", str(run), "--agent", "guesser"]
    shown = CliRunner().invoke(group, [*command, "--out", str(kept), "--plot", str(drawn)])
    assert shown.exit_code == 0, shown.output
    assert "expected calibration error 0.0" in shown.output
    assert "0.5 to 0.6" in shown.output
    calibration = load(kept)
    assert isinstance(calibration, Calibration)
    assert (calibration.method, calibration.pairs) == ("isotonic", 62)
    assert calibration.calibrated(0.55) == pytest.approx(10 / 16)
    assert "as sure as right" in drawn.read_text(encoding="utf-8")
    told = json.loads(CliRunner().invoke(group, [*command, "--json", "--method", "platt", "--out", str(kept)]).output)
    assert (told["steps"], told["right"], len(told["bins"])) == (62, 52, 2)
    assert told["version"]
    assert load(kept).method == "platt"
    wrong = CliRunner().invoke(group, [*command, "--plot", str(tmp_path / "x.gif")])
    assert isinstance(wrong.exception, CallerError)
    too_few = CliRunner().invoke(group, ["reliability", str(run), "--agent", "keeper", "--out", str(kept)])
    assert "right ones and wrong ones" in str(too_few.exception)
