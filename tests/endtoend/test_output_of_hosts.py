"""On Ray, what agents print, log and raise is on the program's terminal, with its step; a death is one line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "ends"

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "talk.py", "ray", tmp_path_factory.mktemp("talk") / "died"],
        cwd=HERE, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def test_what_agents_print_comes_whole_with_its_step_in_order(ran: subprocess.CompletedProcess[str]) -> None:
    said = [line for line in ran.stdout.splitlines() if line.endswith(("hello 1", "hello 13", "hello 3", "dying"))]
    assert said[0] == "[talker/1/1] hello 1"
    assert said[1] == "[talker/1/2] hello 13"
    # Its process has died in the middle of the step, which begins again.
    assert said[2:4] == ["[talker/1/2] dying"] * 2
    assert said[4:] == ["[talker/1/3] hello 3"]
    for number in (1, 3):
        assert re.search(rf"^\[talker/\S+\] acting on {number}$", ran.stdout, re.MULTILINE)


def test_stderr_and_logs_come_too(ran: subprocess.CompletedProcess[str]) -> None:
    assert "[talker/1/1] oh 1" in ran.stderr.splitlines()
    assert "[talker/1/3] INFO talker: logged 3" in ran.stderr.splitlines()


def test_a_handlers_exception_is_one_line_with_its_place_and_then_its_traceback(
    ran: subprocess.CompletedProcess[str],
) -> None:
    line = re.search(r"^\[talker/1/2\] .*a handler failed on .*$", ran.stderr, re.MULTILINE)
    assert line is not None
    assert re.search(r"ValueError: unlucky, at \S*agents\.py:\d+ in talk$", line[0])
    assert "[talker/1/2] ValueError: unlucky" in ran.stderr.splitlines()


def test_the_clusters_own_kill_is_no_news_and_another_death_is_one_line(ran: subprocess.CompletedProcess[str]) -> None:
    both = ran.stdout + ran.stderr
    assert "raylet" not in both
    assert "A worker died" not in both
    deaths = [line for line in ran.stderr.splitlines() if "has died" in line]
    assert len(deaths) == 1
    assert re.match(r"host-1 \(talker\): its process \d+ has died \(.+\)\. Ray starts it again", deaths[0])


def test_nothing_of_how_lines_travel_is_seen(ran: subprocess.CompletedProcess[str]) -> None:
    both = ran.stdout + ran.stderr
    assert "\x1e" not in both
    assert "HostActor" not in both
    assert "DeprecationWarning" not in both
