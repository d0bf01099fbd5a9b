"""The supply chain of examples/: kept up over kills of every process and a night, and played in a world."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peer.system import AHEAD
from peer.trust import authority
from tests.endtoend.commands import EBBTIDE, Run, until

EXAMPLE = Path(__file__).parents[2] / "examples" / "supply_chain.py"
DAY_S = 0.5
NIGHT_S = 12 * 3600

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("SUPPLY_DAY_S", str(DAY_S))
    monkeypatch.setenv("SUPPLY_DB", str(tmp_path / "supply.db"))
    found = Run(tmp_path / "run", capsys, monkeypatch)
    yield found
    if (found.folder / authority.FILE).exists():
        ebbtide("down")


def ebbtide(*command: object) -> str:
    """Run a command in a process of its own."""
    done = subprocess.run([EBBTIDE, *map(str, command)], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def report(run: Run) -> tuple[int, str]:
    """Return what the example says of its books."""
    done = subprocess.run(
        [sys.executable, EXAMPLE, "report", run.folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 or not done.stderr, done.stderr
    return done.returncode, done.stdout


def days(run: Run) -> int:
    """Return how many days the forecaster has seen."""
    rows: list[Any] = run.told("state", "forecaster", code=None)
    return next((row["value"] for row in rows if row["key"] == "day"), 0)


def undone(run: Run) -> int:
    return sum(row["undone"] or 0 for row in run.told("agents", code=None))


def test_the_same_agents_run_in_a_world(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE, "world", "3"], capture_output=True, text=True, timeout=100, check=True,
        env={**os.environ, "SUPPLY_DB": str(tmp_path / "world.db")},
    )  # fmt: skip
    equal, said = done.stdout.splitlines()
    assert equal.endswith("the books are equal")
    assert said.endswith("steps were undone")
    assert not said.startswith("0 ")


def test_it_outlives_kills_and_a_night_in_one_process(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (2, 4):
        with run.up(str(EXAMPLE)) as program:
            until(lambda day=day: days(run) >= day)
            program.kill()
            program.communicate()
    with run.up(str(EXAMPLE)):
        until(lambda: days(run) >= 6 and undone(run) > 0)
        evening = days(run)
        ebbtide("down")
    monkeypatch.setenv(AHEAD, str(NIGHT_S))
    with run.up(str(EXAMPLE)):
        until(lambda: days(run) >= evening + 2 and report(run)[0] == 0, 60)
        assert days(run) < evening + 1000, "what fell due in the night came once"
        ebbtide("down")
    subprocess.run([EBBTIDE, "log", "verify", run.folder], check=True, capture_output=True)


@pytest.mark.ray
def test_it_outlives_kills_of_every_process_and_a_night_on_ray(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ebbtide("up", EXAMPLE, "--agents-per-actor", 2)
    processes = {row["host"]: row["process"] for row in run.told("ps")}
    for host, before in processes.items():
        os.kill(before, signal.SIGKILL)
        until(
            lambda host=host, before=before: any(  # a busy machine has hosts in doubt meanwhile
                row["host"] == host and row["state"] == "up" and row["process"] != before
                for row in run.told("ps", code=None)
            )
        )
    until(lambda: days(run) >= 6 and undone(run) > 0)
    evening = days(run)
    ebbtide("down")
    monkeypatch.setenv(AHEAD, str(NIGHT_S))
    ebbtide("up", EXAMPLE, "--agents-per-actor", 2)
    until(lambda: days(run) >= evening + 2 and report(run)[0] == 0, 60)
    assert days(run) < evening + 1000, "what fell due in the night came once"
    ebbtide("down")
    subprocess.run([EBBTIDE, "log", "verify", run.folder], check=True, capture_output=True)
