"""The examples do what their pages say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_two_agents_undo_a_step() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "two_agents.py"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [
        "before: {('paid', 'tea'): 400}",
        "would undo: buyer/1/1 cashier/1/1",
        "undone: buyer/1/1 cashier/1/1",
        "after: {('paid', 'tea'): 4}",
    ]


def test_two_agents_go_back_to_a_checkpoint() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "checkpoints.py"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [
        "before: {'planned': 1003} {'paid': 1003}",
        "after: {'planned': 3} {'paid': 3}",
        "dead letters: ['discarded by restore 1']",
        "still paid: [1, 2]",
    ]


def test_a_workflow_is_checked_mended_and_run() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "workflow_check.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "hasty: 5 of 9 markings can be compensated",
        "problem: payer calls transfer, which nobody can undo, and nobody is asked before",
        "careful: 11 of 15 markings can be compensated",
        "a wrong assessment can undo: assessor payer statistics",
        "a wrong payment keeps: assessor statistics",
        "assessor/1/2 is undone",
        "assessor/1/1 can't be undone any more",
        "transferred: 80 to Ann reserved: Ann",
        "no cone of 7 steps reaches further than that",
    ]


def test_a_protocol_of_ones_own_is_judged_and_compared() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "own_protocol.py"], capture_output=True, text=True, timeout=60, check=True
    )
    own, ebbtide = (line.split() for line in done.stdout.splitlines())
    assert (own[0], ebbtide[0]) == ("from-scratch:", "ebbtide:")
    assert float(own[2]) < float(ebbtide[2])
    assert float(own[4]) > 0 == float(ebbtide[4])


def test_a_scenario_for_detectors_says_how_many_steps_were_wrong() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "detect_supply_chain.py"], capture_output=True, text=True, timeout=100,
        check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["11 of 367 steps were wrong"]
