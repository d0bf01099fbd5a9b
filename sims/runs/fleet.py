"""Many worlds over all cores: each seed's scenario is drawn, played, judged and hashed."""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from sims.runs.scenario import Result, Scenario, play, preset

CHUNK = 5
"""Seeds that one process takes at a time."""


def fleet(name: str, first: int, last: int, jobs: int | None = None) -> Iterator[Result]:
    """Play a preset's seeds from `first` up to, not including, `last`; yield results in the order of the seeds."""
    chunks = [(name, at, min(at + CHUNK, last)) for at in range(first, last, CHUNK)]
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1 or len(chunks) == 1:
        for chunk in chunks:
            yield from _play_seeds(chunk)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        for results in pool.map(_play_seeds, chunks):
            yield from results


def play_quietly(scenario: Scenario) -> Result:
    """Play one, without what its agents would log: handlers that fail are part of the plan."""
    logger = logging.getLogger("ebbtide")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        return play(scenario)
    finally:
        logger.setLevel(level)


def _play_seeds(chunk: tuple[str, int, int]) -> list[Result]:
    name, first, last = chunk
    return [play_quietly(preset(name, seed)) for seed in range(first, last)]
