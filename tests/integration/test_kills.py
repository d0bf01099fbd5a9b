"""A host is killed at every write of a recorded workload, for real: by SIGKILL, in a process of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


SHARES = 4
"""So many at once: each mostly waits for its agents to be quiet."""


def test_a_host_killed_at_every_write_comes_back_with_all_that_it_has_acknowledged(tmp_path: Path) -> None:
    shares = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.kills", str(tmp_path / f"{first}"), str(SHARES), str(first)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for first in range(1, SHARES + 1)
    ]  # fmt: skip
    kills = 0
    for share in shares:
        out, error = share.communicate(timeout=220)
        assert share.returncode == 0, error
        count, rest = out.split(" ", 1)
        assert rest.strip() == "kills, each survived"
        kills += int(count)
    assert kills > 100
