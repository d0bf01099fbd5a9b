"""Many random histories, over all cores: each seed is played, judged, and hashed."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from multiprocessing import get_context

from sims.histories.history import History
from sims.histories.plan import Plan
from sims.histories.verdict import judge

CHUNK = 25
"""Seeds that one process takes at a time."""


@dataclass(frozen=True)
class Result:
    """What came of one seed."""

    seed: int
    failure: str
    """The invariant that does not hold, or what went wrong; empty if all is well."""
    hash: str
    steps: int
    events: int


def play(plan: Plan, history: History | None = None) -> Result:
    """Play one history to its end and judge it; `history` may be given, not begun, to be watched."""
    history = history or History(plan)
    failure = ""
    try:
        judge(history.run())
    except AssertionError as error:
        failure = str(error) or "an assertion of a machine"
    except Exception as error:  # noqa: BLE001  # a machine that raises has failed, whatever it raises
        failure = f"{type(error).__name__}: {error}"
    return Result(plan.seed, failure, trace_hash(history), len(history.steps()), history.events)


def trace_hash(history: History) -> str:
    """Return a hash over everything that all peers have logged: the same for the same seed, everywhere."""
    from protocol.wire import encode_record

    digest = blake2b(digest_size=16)
    for name in sorted(history.nodes):
        for record in history.nodes[name].disk:
            digest.update(encode_record(record))
    digest.update(f"{history.now_us}/{history.events}/{history.messages}".encode())
    return digest.hexdigest()


def play_seeds(seeds: Sequence[int]) -> list[Result]:
    """Play seeds one after the other."""
    return [play(Plan.random(seed)) for seed in seeds]


def swarm(first: int, last: int, jobs: int | None = None) -> Iterator[Result]:
    """Play the seeds from `first` up to, not including, `last`, over `jobs` processes; yield results as they come."""
    chunks = [range(at, min(at + CHUNK, last)) for at in range(first, last, CHUNK)]
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1 or len(chunks) == 1:
        for chunk in chunks:
            yield from play_seeds(chunk)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        for results in pool.map(play_seeds, chunks):
            yield from results
