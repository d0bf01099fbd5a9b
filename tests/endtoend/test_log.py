"""The demo's logs, asked as a user asks them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EBBTIDE = Path(sys.executable).with_name("ebbtide")


def ebbtide(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [EBBTIDE, *(str(argument) for argument in arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("demo")
    done = ebbtide(
        "demo", "--backend", "local", "--payments", 300, "--restore", "--folder", place / "run",
        "--export", place / "export", "--report", place / "report.html",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ebbtide log show" in done.stdout
    return place / "run"


def test_the_demos_logs_are_whole_and_tell_what_it_has_exported(run: Path, tmp_path: Path) -> None:
    done = ebbtide("log", "verify", run)
    assert done.returncode == 0, done.stdout + done.stderr
    done = ebbtide("log", "export", run, tmp_path, "--format", "jsonl")
    assert done.returncode == 0, done.stdout + done.stderr
    exported = (run.parent / "export" / "steps.jsonl").read_text(encoding="utf-8")
    assert (tmp_path / "steps.jsonl").read_text(encoding="utf-8") == exported


def test_an_undone_step_of_the_demo_is_explained(run: Path) -> None:
    done = ebbtide("log", "show", run, "--undone", "--json")
    undone = [json.loads(line) for line in done.stdout.splitlines()]
    root = next(line for line in undone if line["undone"].get("is_root"))
    assert root["model"] == "threshold"
    said = ebbtide("log", "why", root["step"], run).stdout
    assert "from outside: ext:" in said
    assert "undone by auditor/1/p" in said
    cone = json.loads(ebbtide("log", "cone", root["step"], run, "--json").stdout)
    assert all(step["undone"] for step in cone["steps"])
    assert len(cone["steps"]) > 1


def test_the_demos_logs_are_followed(run: Path) -> None:
    done = ebbtide("log", "follow", run, "--from-start", "--until-idle", 0.1)
    assert done.returncode == 0, done.stderr
    kinds = {json.loads(line)["type"] for line in done.stdout.splitlines()}
    assert {"dev.ebbtide.step.undone", "dev.ebbtide.restored"} <= kinds


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["why", "nobody/1/1"], "no agent 'nobody'"),
        (["why", "ledger-1"], "not a step: 'ledger-1'"),
        (["why", "ledger-1/1/99999"], "no step ledger-1/1/99999"),
    ],
)
def test_what_is_not_there_is_named(arguments: list[str], named: str, run: Path) -> None:
    done = ebbtide("log", *arguments, run)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_the_demo_does_not_go_on_from_logs_that_are_there(run: Path) -> None:
    done = ebbtide("demo", "--backend", "local", "--payments", 20, "--folder", run)
    assert done.returncode == 2
    assert "--folder" in done.stderr
    assert "Nothing was run" in done.stderr
