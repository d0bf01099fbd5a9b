"""Each rule of docs/protocol.md switched off: the random histories must notice."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sims.histories.history import History
from sims.histories.plan import Plan
from sims.histories.swarm import play
from tests.simulation.elsewhere import ELSEWHERE
from tests.simulation.mutations import MUTATIONS, Patch

ROOT = Path(__file__).parents[2]

SEEDS = 1500
"""Histories that are played until one notices."""

LIMIT_US = 4_000_000
"""Virtual time after which a history that is still under way has failed: what hangs is seen soon."""

STRANGE = {"strange": 0.3, "late": 0.6, "proposals": 3, "rejects": 0.0, "losses": 0, "delay_us": 5000}
TIMED = {"timed": 0.8, "checkpoints": 8, "kept": 1, "losses": 0}
CALLED_OFF = {"calloffs": 30, "calls": 0.6, "losses": 0}
ASKING = {"requests": 0.5, "words": 40, "checkpoints": 8, "overseen": 0.0, "losses": 0, "restores": 0}
OVERSEEN = {"overseen": 1.0, "losses": 0, "rejects": 0.0, "proposals": 4}
GROWING = {**OVERSEEN, "overseen": 0.5, "agents": 4, "inputs": 8, "fan_out": 3, "depth": 5, "delay_us": 5000}

BEREFT = {
    "sleeps": True, "deaths": 1, "hosts": 3, "agents": 6, "inputs": 60, "depth": 3, "fan_out": 2, "checkpoints": 5,
    "crashes": 0, "losses": 0, "restores": 0, "proposals": 0, "late": 0.0, "loss": 0.0, "double": 0.0,
    "delay_us": 1000, "calls": 0.0, "shared": 0.0,
}  # fmt: skip

TROUBLE: dict[str, dict[str, Any]] = {
    "no_beginnings": {
        "losses": 4, "proposals": 0, "calls": 0.0, "delay_us": 30_000, "agents": 4, "hosts": 0, "deaths": 0,
        "restores": 0, "inputs": 14, "depth": 5, "fan_out": 2, "shared": 0.6, "checkpoints": 0,
    },
    "suspects_are_taken_for_the_cone": {
        "conversations": 3, "turns": 40, "inputs": 8, "keys": 5, "agents": 4, "losses": 0, "delay_us": 1000, "hosts": 0,
        "proposals": 4, "rejects": 0.0,
    },
    "what_waits_is_a_debit": STRANGE,
    "undone_messages_keep_no_place": STRANGE,
    "leaves_while_a_rollback_is_open": STRANGE,
    "what_is_held_back_stays": {"backlog": 1, "losses": 0, "fan_out": 3, "inputs": 20},
    "redriven_letters_stay": {**STRANGE, "redrives": 6},
    "timers_do_not_wait": TIMED,
    "bases_hold_no_timers": TIMED,
    "undone_steps_leave_their_timers": TIMED,
    "nothing_cancels": TIMED,
    "what_is_cancelled_is_gone": TIMED,
    "called_off_runs_become_steps": CALLED_OFF,
    "called_off_runs_keep_their_calls": CALLED_OFF,
    **dict.fromkeys((mutate.__name__ for rule in ("RQ-2", "RQ-3") for mutate in MUTATIONS[rule]), ASKING),
    "words_are_confirmed_before_they_are_durable": {**ASKING, "words": 100, "crashes": 10, "inputs": 14},
    **dict.fromkeys((mutate.__name__ for mutate in MUTATIONS["RB-13"]), OVERSEEN),
    "a_yes_to_a_smaller_part_counts": GROWING,
    "the_woken_are_not_told": {"sleeps": True, "checkpoints": 16, "kept": 1, "losses": 0, "inputs": 8, "hosts": 2},
    "successors_do_not_catch_up": BEREFT,
}  # fmt: skip
"""Rules that seldom matter: the trouble in which they do."""


def test_every_rule_is_switched_off_or_it_is_said_why_not() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    rules = set(re.findall(r"^\*\*([A-Z]{2}-\d+)\.", page, re.MULTILINE))
    there = {rule for rule in rules if rule in MUTATIONS or rule in ELSEWHERE or rule.split("-")[0] in ELSEWHERE}
    assert there == rules
    assert set(MUTATIONS) <= rules


CASES = [pytest.param(mutate, id=f"{rule}-{mutate.__name__}") for rule, some in MUTATIONS.items() for mutate in some]


@pytest.mark.parametrize("mutate", CASES)
def test_a_rule_switched_off_is_noticed(mutate: Callable[[Patch], None], monkeypatch: Patch) -> None:
    monkeypatch.setattr(History.run, "__defaults__", (LIMIT_US,))
    for seed in range(SEEDS):
        plan = replace(Plan.random(seed), **TROUBLE.get(mutate.__name__, {}))
        with monkeypatch.context() as patch:
            mutate(patch)
            noticed = bool(play(plan).failure)
        # A few histories need longer than the limit as it is: those have noticed nothing.
        if noticed and not play(plan).failure:
            return
    pytest.fail("the histories did not notice")
