"""The head of a Ray ends while a cluster works on it: the cluster goes on, and is taken back by the next one."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from peer.backends.ray_head import environment
from peer.keys import HostKeys
from tests.endtoend.commands import EBBTIDE, HERE, Run, until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]


class Ray:
    """A Ray of one node that others have started."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    def start(self) -> None:
        scratch = tempfile.mkdtemp(dir=self._scratch)
        subprocess.run(
            [
                sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={self.port}", "--num-cpus=1",
                "--node-ip-address=127.0.0.1", "--include-dashboard=false", f"--temp-dir={scratch}",
                "--disable-usage-stats",
            ],
            check=True, capture_output=True, timeout=100,
        )  # fmt: skip

    def processes(self, what: str) -> list[int]:
        """Return the processes of one kind that belong to it."""
        found = subprocess.run(["pgrep", "-f", f"{what}.*{self._scratch}"], capture_output=True, text=True, check=False)
        return [int(line) for line in found.stdout.split()]

    def kill(self, what: str = "") -> None:
        for number in self.processes(what):
            os.kill(number, signal.SIGKILL)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ray]:
    for name, value in environment(HostKeys.from_seed(b"of whoever has started it")).items():
        monkeypatch.setenv(name, value)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as scratch:
        found = Ray(Path(scratch))
        yield found
        found.kill()


def ebbtide(*command: object) -> str:
    """Run a command in a process of its own, with the token of that Ray."""
    done = subprocess.run([EBBTIDE, *map(str, command)], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def paid(run: Run) -> int:
    return run.one("state", "cashier")["value"]


def test_agents_go_on_and_roll_back_when_the_head_has_ended_and_the_next_one_takes_them_back(
    ray: Ray, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run", capsys, monkeypatch)
    ray.start()
    ebbtide("up", HERE / "corner_shop.py", "--address", ray.address)
    ray.kill("gcs_server")
    until(lambda: not ray.processes("gcs_server"))
    run.do("submit", "buyer", "--as", "Order", '{"item": "milk", "price": 5}')
    run.rest()
    assert paid(run) == 11
    assert run.one("rollback", "buyer/1/2", "--inputs", "discard", "--yes")["committed"]
    run.rest()
    assert paid(run) == 5
    before = {row["host"]: row["process"] for row in run.told("ps", code=None)}
    ray.start()
    said = ebbtide("up", HERE / "corner_shop.py", "--address", ray.address)
    assert "host-1, host-2 went on without their Ray; they have ended, and are taken back" in said
    after = {row["host"]: row["process"] for row in run.told("ps", code=None)}
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    until(lambda: all(row["state"] == "up" for row in run.told("ps", code=None)))
    assert paid(run) == 5
    run.do("submit", "buyer", "--as", "Order", '{"item": "ink", "price": 2}')
    run.rest()
    assert paid(run) == 8
    ray.kill("gcs_server")
    until(lambda: not ray.processes("gcs_server"))
    assert "its Ray is gone; host-1, host-2 went on without it, and have ended" in ebbtide("down")
    assert "no cluster runs in" in run.do("ps", code=2)
    subprocess.run([EBBTIDE, "log", "verify", run.folder], check=True, capture_output=True)
