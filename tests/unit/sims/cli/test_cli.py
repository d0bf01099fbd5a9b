"""What is asked for wrongly on the command line of the simulator: one clear message, before anything is run."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from peer.errors import CallerError
from sims.baselines.plots import colour
from sims.baselines.protocols import PROTOCOLS
from sims.cli.main import group

SCALE = ["scale", "--parts", "cuts", "--hosts", "3"]
COMPARE = ["compare", "--quick", "--agents", "4", "--seeds", "0:1", "--protocols", "ebbtide"]


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(group, list(arguments))
    assert done.exit_code == 2, done.output
    return " ".join(done.output.replace("│", "").split())


@pytest.mark.parametrize("command", [SCALE, COMPARE], ids=["scale", "compare"])
def test_a_folder_that_nothing_can_be_written_to_is_named_before_the_work(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    said = refused(*command, "--out", str(tmp_path / "taken" / "in"))
    assert "--out: nothing can be written to" in said
    assert "Nothing was run" in said


def test_without_matplotlib_scale_says_so_before_the_work_or_draws_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = CliRunner().invoke(group, [*SCALE, "--out", str(tmp_path)])
    assert isinstance(done.exception, CallerError)
    assert 'pip install "ebbtide[research]"' in str(done.exception)
    assert not list(tmp_path.iterdir())
    assert CliRunner().invoke(group, [*SCALE, "--no-plots", "--out", str(tmp_path)]).exit_code == 0
    assert {file.name for file in tmp_path.iterdir()} == {"scale.json", "scale.md"}


def test_an_option_before_a_subcommand_is_not_taken_for_one_of_it() -> None:
    assert "--jobs: it stands before 'demers'" in refused("--jobs", "1", "demers")
    assert CliRunner().invoke(group, ["demers", "--seeds", "2", "--sites", "10"]).exit_code == 0


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("{", "not a plan"),
        ("[]", "Expected `object`, got `array`"),
        ('{"seed": "x"}', "Expected `int`, got `str`"),
        ('{"seed": 1, "peers": 2}', "it has no 'peers', only seed, agents"),
        ('{"seed": 1, "agents": 0}', "agents is 0"),
    ],
)
def test_what_is_no_plan_is_said(plan: str, said: str) -> None:
    assert said in refused("--plan", plan)


def test_a_replay_that_is_not_there_is_named_once(tmp_path: Path) -> None:
    said = refused("--replay", "no.json")
    assert "no.json can't be read (No such file or directory)" in said
    (tmp_path / "page.md").write_text("# A page")
    assert "is no replay" in refused("--replay", str(tmp_path / "page.md"))


def test_the_papers_figures_stand_beside_as_many_sites_as_the_paper_had() -> None:
    assert "0.0036" not in CliRunner().invoke(group, ["demers", "--seeds", "2", "--sites", "10"]).output


def test_a_protocol_that_is_added_gets_a_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, "one more", PROTOCOLS["orchestrator"])
    assert len({colour(name) for name in PROTOCOLS}) == len(PROTOCOLS)
