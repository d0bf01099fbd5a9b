"""A host is killed at every write of a recorded workload, for real: by SIGKILL, in a process of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_host_killed_at_every_write_comes_back_with_all_that_it_has_acknowledged(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.kills", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=220)
    assert done.returncode == 0, done.stderr
    kills, rest = done.stdout.split(" ", 1)
    assert rest.strip() == "kills, each survived"
    assert int(kills) > 100
