"""The demo's launcher is killed in the middle: another program attaches, goes on, and the run proves itself."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

EBBTIDE = Path(sys.executable).with_name("ebbtide")

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]


def test_a_demo_goes_on_when_its_launcher_is_killed_in_the_middle(tmp_path: Path) -> None:
    folder, report = tmp_path / "run", tmp_path / "report.html"
    size = ("--payments", "600", "--agents", "6", "--agents-per-actor", "3")
    try:
        program = subprocess.Popen(
            [EBBTIDE, "demo", "--detached", "--folder", folder, "--report", report, *size],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert program.stdout is not None
            middle = next((line for line in program.stdout if "settling payments: " in line), None)
            assert middle is not None, program.stderr and program.stderr.read()
        finally:
            program.send_signal(signal.SIGKILL)
            program.communicate()
        done = subprocess.run(
            [EBBTIDE, "demo", "--resume", folder, "--report", report],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "all checks hold" in done.stdout
        told = next(line for line in done.stdout.splitlines() if "had been handed in before" in line)
        handed_in = int(told.split("│")[2].split()[0])
        assert 0 < handed_in < 600
        assert report.exists()
        again = subprocess.run([EBBTIDE, "demo", "--resume", folder], capture_output=True, text=True, check=False)
        assert (again.returncode, "does not say how a run was asked for" in again.stderr) == (2, True)
        ended = subprocess.run([EBBTIDE, "down", folder], capture_output=True, text=True, check=True)
        assert "nothing runs in" in ended.stdout
        subprocess.run([EBBTIDE, "log", "verify", folder], check=True, capture_output=True)
    finally:
        subprocess.run([EBBTIDE, "down", folder], capture_output=True, check=False)


@pytest.mark.parametrize("options", [("--backend", "local"), ("--kills", "1"), ("--restore",)])
def test_what_nobody_could_go_on_with_is_refused(options: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run(
        [EBBTIDE, "demo", "--detached", "--folder", tmp_path / "run", *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "--detached" in done.stderr) == (2, True)
    assert not (tmp_path / "run").exists()
