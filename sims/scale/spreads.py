"""Rounds until all hosts know: of a forced retraction, by rumour; of a cut and of a commit, by counts."""

from dataclasses import dataclass

import numpy as np

from protocol.limits import HostLimits
from sims.spread.checkpoint_costs import measure_checkpoints
from sims.spread.dissemination import spreads
from sims.spread.epidemic import Epidemic

SEEDS = 20
SEEDS_LARGE = 3
"""Of more than `LARGE` hosts."""
LARGE = 100_000


@dataclass(frozen=True)
class SpreadRow:
    """How the news of a forced retraction spread, by the hosts' own machines or by arrays. Seconds are virtual."""

    how: str
    """`machines` or `arrays`."""
    hosts: int
    seeds: int
    seconds_median: float
    seconds_max: float
    rounds_median: float
    """The median, in waits of the gossip."""
    copies: float
    """How often a host sent it."""
    missed: float
    """Hosts that only a comparison told, by spread."""


@dataclass(frozen=True)
class CutRow:
    """A checkpoint among hosts: rounds are waits of the gossip, from its beginning."""

    hosts: int
    cut_rounds: float
    """Until all have made their cut."""
    commit_rounds: float
    """Until all know it committed."""
    frames_per_host: float
    bytes_per_host: float


def exact(hosts: int, seed: int = 1) -> SpreadRow:
    """Let the machines of so many hosts spread news."""
    found = spreads(hosts, seed)
    seconds = [one for one, _, _ in found]
    copies = float(np.mean([count / hosts for _, count, _ in found]))
    return SpreadRow("machines", hosts, len(found), _median(seconds), max(seconds), _rounds(seconds), copies, 0.0)


def modelled(hosts: int) -> SpreadRow:
    """Let arrays do it."""
    seeds = SEEDS if hosts <= LARGE else SEEDS_LARGE
    found = [Epidemic(hosts).spread(np.random.default_rng((hosts, seed))) for seed in range(seeds)]
    seconds = [one.seconds for one in found]
    return SpreadRow(
        "arrays", hosts, seeds, _median(seconds), max(seconds), _rounds(seconds),
        float(np.mean([one.copies for one in found])), float(np.mean([one.missed for one in found])),
    )  # fmt: skip


def cuts(hosts: int, seed: int = 1) -> CutRow:
    """Let so many hosts make checkpoints."""
    row = measure_checkpoints(hosts, seed)
    wait_s = row.committed_s_all / row.rounds
    return CutRow(hosts, row.cut_s / wait_s, row.rounds, row.frames_per_host, row.bytes_per_host)


def _rounds(seconds: list[float]) -> float:
    return _median(seconds) * 1e6 / HostLimits().gossip_us


def _median(values: list[float]) -> float:
    return float(np.median(values))
