"""`ebbtide detect`: trained on one run, looking at another, and tried on faults."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from peer import Agent, Cluster, Context, handles
from peer.cli.main import main
from sims.detection.telling import BEGIN, END

ROOT = Path(__file__).parents[2]
EBBTIDE = Path(sys.executable).with_name("ebbtide")
SCENARIO = f"{ROOT / 'examples' / 'detect_supply_chain.py'}:SupplyChain"


class Clerk(Agent):
    @handles(float)
    async def note(self, message: float, ctx: Context) -> None:
        ctx.report(size=message)


async def run(folder: Path, sizes: list[float]) -> None:
    async with Cluster(backend="local", folder=folder) as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.submit("clerk", *sizes)
        await cluster.quiet()


def told(command: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["detect", *command])
    printed, said = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int)
    return code, printed, said


def test_a_detector_is_trained_on_one_run_and_finds_what_is_wrong_in_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = Random(1)
    asyncio.run(run(tmp_path / "normal", [chance.gauss(5, 1) for _ in range(300)]))
    asyncio.run(run(tmp_path / "other", [*(chance.gauss(5, 1) for _ in range(40)), *[8.0] * 5]))
    file = str(tmp_path / "size.det")
    options = ["--kind", "cusum", "--feature", "size", "--out", file]
    code, printed, _ = told(["train", str(tmp_path / "normal"), *options, "--json"], capsys)
    assert (code, json.loads(printed)["steps"]) == (0, 300)
    code, printed, _ = told(["score", str(tmp_path / "other"), file, "--json"], capsys)
    lines = [json.loads(line) for line in printed.splitlines()]
    assert code == 1
    assert lines[0]["step"] in ("clerk/1/42", "clerk/1/43")
    assert lines[0]["since"] is not None
    code, printed, _ = told(["score", str(tmp_path / "other"), file], capsys)
    assert "clerk/1/4" in printed
    code, printed, _ = told(["score", str(tmp_path / "other"), file, "--limit", "50"], capsys)
    assert (code, "it calls no step wrong" in printed) == (0, True)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (
            ["train", "{run}", "--kind", "typo", "--feature", "size", "--out", "x"],
            "there is no detector 'typo'",
        ),
        (["train", "{run}", "--kind", "ewma", "--out", "x"], "name one or more, --feature"),
        (["train", "{run}", "--kind", "ewma", "--feature", "weight", "--out", "x"], "weight"),
        (
            ["train", "{run}", "--kind", "ewma", "--feature", "size", "--agent", "nobody", "--out", "x"],
            "no step that is",
        ),
        (["score", "{run}", "{run}/nothing.det"], "nothing.det"),
        (["evaluate", "--scenario", "typo"], "there is no scenario 'typo'"),
        (["evaluate", "--scenario", "nowhere.py:X"], "no file nowhere.py"),
        (["evaluate", "--scenario", "json:loads"], "lacks"),
        (["evaluate", "--kind", "typo"], "payments has no fault 'typo'"),
    ],
)
def test_what_can_not_be_done_is_named(
    command: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(run(tmp_path / "run", [5.0] * 30))
    code, _, said = told([word.replace("{run}", str(tmp_path / "run")) for word in command], capsys)
    assert code == 2
    assert says in " ".join(said.split())


def test_a_scenario_of_ones_own_is_evaluated_and_its_page_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{BEGIN}\n{END}\n\nafter\n")
    command = ["evaluate", "--scenario", SCENARIO, "--quick", "--page", str(page)]
    done = subprocess.run([EBBTIDE, "detect", *command], capture_output=True, text=True, timeout=200, check=True)
    assert "**hallucination**" in done.stdout
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| `shewhart(quantity)` |" in text
    assert (tmp_path / "page.svg").read_text().startswith("<?xml")
