"""`ebbtide drain`: a host of a cluster that is up leaves it, and the cluster is ready without it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.endtoend.commands import EBBTIDE, HERE, LOCAL, Run

BACKENDS = ["local", pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.timeout(400)])]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A cluster that is up in the folder `run`, on each backend."""
    env = os.environ | {"EBBTIDE_FOLDER": str(tmp_path / "run")}
    up = [EBBTIDE, "up", HERE / "three_tills.py"]
    if request.param == "local":
        program = subprocess.Popen([*up, *LOCAL], env=env, text=True, stdout=subprocess.PIPE)
        try:
            assert program.stdout is not None
            assert any("It goes on until" in line for line in program.stdout)
            yield request.param
        finally:
            program.kill()
            program.wait()
    else:
        try:
            subprocess.run(up, env=env, check=True, capture_output=True)
            yield request.param
        finally:
            subprocess.run([EBBTIDE, "down"], env=env, capture_output=True, check=False)


def test_a_host_leaves_and_the_cluster_is_ready_without_it(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run", capsys, monkeypatch)
    rows = [json.loads(line) for line in run.do("ps", "--json").splitlines()]
    home = {agent: row["host"] for row in rows for agent in row["agents"]}
    run.do("submit", "left", "3")
    run.rest()
    # In a process of its own: it joins that Ray, and Ray keeps the token of the first that a process has joined.
    drained = subprocess.run([EBBTIDE, "drain", home["left"], "--json"], check=True, capture_output=True, text=True)
    done = json.loads(drained.stdout)
    assert [(row["agent"], row["from"]) for row in done["moved"]] == [("left", home["left"])]
    assert done["moved"][0]["to"] in (home["middle"], home["right"])
    assert done["ended"] == (backend == "ray")
    rows = [json.loads(line) for line in run.do("ps", "--json").splitlines()]
    assert sorted(row["host"] for row in rows) == sorted((home["middle"], home["right"]))
    run.rest()  # on a busy machine a host takes a while over what has left
    assert run.do("health").count("ok") == 2
    run.do("submit", "left", "4")
    run.rest()
    assert json.loads(run.do("state", "left", "--json")) == {"key": "sum", "value": 7}
    assert "there is no host" in run.do("drain", home["left"], code=2)
