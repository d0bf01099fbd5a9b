"""Hosts are killed while they recover from something: `python -m tests.relapses FOLDER` does so at every write."""

import asyncio
import random
from pathlib import Path

from tests.relapses import SCENARIOS, attempt, base, mortal
from tests.trial import Mortal, Trial

KILLS_MAX = 90
"""About as many changes of files as a recovery takes."""
TOGETHER = 4


async def test_whoever_is_killed_in_the_middle_of_a_recovery_comes_back_and_nothing_is_lost_or_done_twice(
    tmp_path: Path,
) -> None:
    rng = random.Random(5)
    made: dict[tuple[object, ...], Trial] = {}
    names = [name for name, scenario in SCENARIOS.items() if not (name.startswith("two") or scenario.may_refuse)]
    left = [(name, kill) for name in names for kill in rng.sample(range(1, KILLS_MAX), 2)]

    async def work() -> None:
        while left:
            name, kill = left.pop()
            scenario = SCENARIOS[name]
            trial = made[scenario.options]
            await attempt(trial, scenario, tmp_path / f"{name} {kill}", kill)

    with mortal():
        Mortal.half = False
        for scenario in (SCENARIOS[name] for name in names):
            if scenario.options not in made:
                made[scenario.options] = await base(tmp_path / f"base {len(made)}", scenario)
        await asyncio.gather(*(work() for _ in range(TOGETHER)))
