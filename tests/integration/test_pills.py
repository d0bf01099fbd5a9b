"""User code that ends its process each time: after its tries it is refused, and everything else goes on."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("pill_agents.py")


def run_until_it_ends_well(what: str, folder: Path, most: int) -> tuple[Any, Counter[str]]:
    """Begin a program again whenever it was ended, as a supervisor would; return what it printed, and its lines."""
    for _ in range(most):
        done = subprocess.run(
            [sys.executable, PROGRAM, what, folder], capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode == 0:
            return json.loads(done.stdout), Counter((folder / "book").read_text().splitlines())
        assert done.returncode == 9, done.stderr
    raise AssertionError(f"it has not ended well after {most} times")


def test_inputs_whose_handlers_end_the_process_are_dead_letters_and_neighbours_go_on(tmp_path: Path) -> None:
    (a, b, dead), lines = run_until_it_ends_well("handler", tmp_path, 10)
    assert (a, b) == ({"after": 1}, {"slow": 1, "after": 1})
    assert dead == ["ProcessEnded", "ProcessEnded"]
    assert (lines["handler"], lines["plain"]) == (3, 3)


def test_an_undo_that_ends_the_process_is_pending_until_somebody_has_it_tried(tmp_path: Path) -> None:
    (state, effects), lines = run_until_it_ends_well("undo", tmp_path, 5)
    assert (state, effects) == ({"after": 1}, [])
    assert (lines["undo"], lines["undone"]) == (3, 1)


def test_a_class_that_ends_the_process_is_told_and_its_neighbours_go_on(tmp_path: Path) -> None:
    (state, times), lines = run_until_it_ends_well("init", tmp_path, 5)
    assert (state, times) == ({"after": 1}, 3)
    assert any("agent 'deadly' does not start: the process of its host has ended 3 times" in line for line in lines)


def test_a_hook_that_ends_the_process_rejects(tmp_path: Path) -> None:
    answer, lines = run_until_it_ends_well("hook", tmp_path, 5)
    assert answer == [False, True]
    assert lines["hook"] == 3
