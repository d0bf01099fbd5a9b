"""A Ray that `ray up` has started on three machines, as cluster/local.yaml says, and Ebbtide's commands on its head.

What differs from the file: who comes by ssh, how many processors Ray counts, that Ebbtide's dependencies are those that
are here, and that TLS is on. The wheel itself is built, shipped and installed.
"""

import json
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.lan import PATH, ROOT, Lan, Machine

BIN = Path(sys.executable).parent
WHERE = Path("/srv")
"""On the desk: where `ray up` is run."""
JOIN_S = 200.0
TUNED = "RAY_raylet_start_wait_time_s=200 RAY_agent_register_timeout_ms=200000 AUTOSCALER_UPDATE_INTERVAL_S=1"
"""Three machines share these processors, with whatever else runs here: who starts slowly has not failed. The head looks
every second, and not every five, whether workers are to be started."""
LOOK = """
import sys, time, ray
ray.init("auto", logging_level="ERROR", log_to_driver=False)
end = time.monotonic() + float(sys.argv[2])
while True:
    there = [node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]]
    if len(there) >= int(sys.argv[1]) or time.monotonic() > end:
        break
    time.sleep(0.2)
print(*there)
"""
"""Waits until so many machines have joined, or so many seconds have passed, and tells which: in one process."""
SSH = ("ssh", "-q", "-i", "key", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
VENV = "~/ebbtide/venv"
RAY = "import sys; from ray.scripts.scripts import main; sys.exit(main())"


def until(is_so: Callable[[], bool], timeout_s: float = 120.0) -> None:
    """Wait for a condition; each look takes its time."""
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)


class Launched:
    """The cluster, from `up` to `down`."""

    def __init__(self, lan: Lan) -> None:
        self.lan = lan
        self.head = lan.machines[0]

    # -- at the desk -----------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Have `ray up` start Ray, and wait until all machines have joined."""
        self._lay_out()
        self.desk("sh cluster/node/authority.sh tls")
        self.desk("ray get-auth-token --generate > /dev/null")
        self.desk("ray up -y cluster.yaml", timeout_s=120)
        count = len(self.lan.machines)
        assert len(there := self.joined(count, JOIN_S)) == count, f"only {there} have joined"

    def down(self) -> None:
        """Have `ray down` end the head, and `ray stop` the workers, whom it leaves where machines are one's own."""
        workers = " ".join(machine.address for machine in self.lan.machines[1:])
        stop = f"(cd && {' '.join(SSH)} $each ebbtide/venv/bin/ray stop)"
        self.desk(f"for each in {workers}; do {stop} & done; ray down -y cluster.yaml; wait")

    def desk(self, line: str, timeout_s: float = 60.0) -> str:
        """Run a line of shell at the desk; return what it has printed."""
        return self.lan.desk.exec(
            "bash", "-c", f"cd {WHERE} && {line}", timeout_s=timeout_s, PATH=f"{BIN}:{PATH}", RAY_AUTH_MODE="token",
            RAY_USAGE_STATS_ENABLED="0",
        ).stdout  # fmt: skip

    def _lay_out(self) -> None:
        """Put at the desk what whoever has this repository has there, and cluster/local.yaml for these machines."""
        there = Path(f"/proc/{self.lan.desk.first}/root{WHERE}")
        for name in ("cluster", "examples"):
            shutil.copytree(ROOT / name, there / name, ignore=shutil.ignore_patterns("__pycache__"))
        _build(there / "dist")
        (there / "cluster.yaml").write_text(yaml.safe_dump(adapted(ROOT / "cluster" / "local.yaml")))

    # -- on the machines -------------------------------------------------------------------------------------------

    def on(self, machine: Machine, line: str, *, code: int | None = 0, timeout_s: float = 100.0) -> str:
        """Run a line of shell on a machine, as who comes by ssh would; return what it has printed."""
        line = f". ~/ebbtide/node/environment.sh && {line}"
        return self.lan.desk.exec(*SSH, machine.address, line, code=code, timeout_s=timeout_s).stdout

    def ebbtide(self, line: str, *, code: int | None = 0, timeout_s: float = 100.0) -> str:
        """Run a command on the head."""
        return self.on(self.head, f"ebbtide {line}", code=code, timeout_s=timeout_s)

    def told(self, line: str, *, code: int | None = 0) -> list[Any]:
        """Return what a command on the head prints for programs."""
        return [json.loads(each) for each in self.ebbtide(f"{line} --json", code=code).splitlines()]

    def joined(self, count: int = 0, within_s: float = 0.0) -> set[str]:
        """Return the addresses of the machines that Ray has: at once, or when there are so many, or it is too late."""
        look = f"python -c {shlex.quote(LOOK)} {count} {within_s}"
        return set(self.on(self.head, look, timeout_s=within_s + 60.0).split())


def adapted(file: Path) -> dict[str, Any]:
    """Return a recipe as it can be followed here, where nothing is reached but these machines."""
    found = yaml.safe_load(file.read_text())
    found["auth"] = {"ssh_user": "root", "ssh_private_key": "~/key"}
    found["file_mounts"]["~/ebbtide/tls"] = "tls"
    found["setup_commands"] = [_borrowed(line) for line in found["setup_commands"]]
    for start in ("head_start_ray_commands", "worker_start_ray_commands"):
        found[start] = [line.replace("ray start", f"{TUNED} ray start --num-cpus=1") for line in found[start]]
    return found


def _borrowed(line: str) -> str:
    """Return a line of the setup, without what it would fetch."""
    if "--requirement" in line:
        site = f"$(echo {VENV}/lib/python3*/site-packages)"
        ray = f"printf '#!%s/bin/python\\n{RAY}\\n' $(echo {VENV}) > {VENV}/bin/ray && chmod +x {VENV}/bin/ray"
        return f"echo {sysconfig.get_paths()['purelib']} > {site}/borrowed.pth && {ray}"
    line = line.replace("python3 -m venv", f"{sys.base_prefix}/bin/python3 -m venv --without-pip")
    return line.replace(
        f"{VENV}/bin/pip install --quiet --no-deps --force-reinstall",
        f"{BIN}/uv pip install --quiet --offline --no-deps --reinstall --compile-bytecode --python {VENV}/bin/python",
    )


def _build(place: Path) -> None:
    """Build the wheel; without the network, from what uv has kept."""
    for options in (["--offline"], []):
        command = [BIN / "uv", "build", "--quiet", "--wheel", *options, "--out-dir", place, ROOT]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            return
    raise AssertionError(done.stderr)
