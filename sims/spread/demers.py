"""Rumours as in Demers et al. 1987: their tables 1 to 3, made again as a check of how rumours are simulated here.

A cycle is synchronous: all sites act on what was known when it began. One site is told at cycle 0.

- `push`: every infective site sends the update to a site chosen at random. With feedback it hears whether that site
  knew it; blind, it takes for granted that it did. With a counter it loses interest after `k` such contacts in a row
  (a useful one begins the count anew: without that the paper's figures do not come out); with a coin, with probability
  1/k after each.
- `pull`: every site asks one chosen at random, and an infective one answers with the update. Its counter grows by one
  in a cycle in which it was asked by none that needed the update, and begins anew if any did.

Source: Demers, Greene, Hauser, Irish, Larson, Shenker, Sturgis, Swinehart and Terry 1987, "Epidemic Algorithms for
Replicated Database Maintenance", section 1.4, tables 1 to 3 as corrected by the errata.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

SITES = 1000
COUNTS = (1, 2, 3, 4, 5)
NEVER = -1


@dataclass(frozen=True)
class Figures:
    """What one rumour came to, or the mean over many, or the error of that mean."""

    residue: float
    """Share of sites that it never reached."""
    m: float
    """Updates sent, by site."""
    t_ave: float
    """Cycles until it reached a site, on average over the sites that it reached."""
    t_last: float
    """Cycles until it reached the last of them."""


PUBLISHED: dict[int, dict[int, Figures]] = {
    1: {
        1: Figures(0.18, 1.7, 11.0, 16.8), 2: Figures(0.037, 3.3, 12.1, 16.9), 3: Figures(0.011, 4.5, 12.5, 17.4),
        4: Figures(0.0036, 5.6, 12.7, 17.5), 5: Figures(0.0012, 6.7, 12.8, 17.7),
    },
    2: {
        1: Figures(0.96, 0.04, 19, 38), 2: Figures(0.20, 1.6, 17, 33), 3: Figures(0.060, 2.8, 15, 32),
        4: Figures(0.021, 3.9, 14.1, 32), 5: Figures(0.008, 4.9, 13.8, 32),
    },
    3: {
        1: Figures(3.1e-2, 2.7, 9.97, 17.6), 2: Figures(5.8e-4, 4.5, 10.07, 15.4), 3: Figures(4.0e-6, 6.1, 10.08, 14.0),
    },
}  # fmt: skip
"""By table and k, the paper's figures; table 3 ends at k = 3."""

VARIANTS = {1: "push, feedback, counter", 2: "push, blind, coin", 3: "pull, feedback, counter"}


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    table: int
    variant: str
    k: int
    sites: int
    seeds: int
    mean: Figures
    error: Figures
    """Standard errors of the means."""
    published: Figures | None
    """What the paper has, if anything."""


def tables(
    seeds: int, sites: int = SITES, first_seed: int = 0, done: Callable[[], None] = lambda: None
) -> Iterator[Row]:
    """Yield the rows of the three tables; `done` is called after each rumour.

    Args:
        seeds: how many rumours each row is the mean of, at least 2.
    """
    for table, variant in VARIANTS.items():
        for k in COUNTS:
            found: list[Figures] = []
            for seed in range(first_seed, first_seed + seeds):
                found.append(rumour(table, k, np.random.default_rng((table, k, seed)), sites))
                done()
            yield _row(table, variant, k, sites, found)


def rumour(table: int, k: int, rng: np.random.Generator, sites: int = SITES) -> Figures:
    """Let one rumour run until nobody is infective, by a table's variant."""
    if table == 3:
        return _pull(sites, k, rng)
    return _push(sites, k, rng, has_feedback=table == 1, has_counter=table == 1)


def _push(sites: int, k: int, rng: np.random.Generator, has_feedback: bool, has_counter: bool) -> Figures:
    reached, infective, needless = _one_told(sites)
    sent = cycle = 0
    while infective.any():
        cycle += 1
        senders = np.flatnonzero(infective)
        targets = _others(rng, sites, senders)
        sent += len(senders)
        knew = reached[targets] != NEVER
        counts = knew if has_feedback else np.ones(len(senders), dtype=bool)
        if has_counter:
            needless[senders] = np.where(counts, needless[senders] + 1, 0)
            loses = needless[senders] >= k
        else:
            loses = counts & (rng.random(len(senders)) < 1 / k)
        infective[senders[loses]] = False
        _tell(targets[~knew], cycle, reached, infective)
    return _figures(reached, sent)


def _pull(sites: int, k: int, rng: np.random.Generator) -> Figures:
    reached, infective, needless = _one_told(sites)
    everybody = np.arange(sites)
    sent = cycle = 0
    while infective.any():
        cycle += 1
        asked = _others(rng, sites, everybody)
        answered = infective[asked]
        needs = reached == NEVER
        sent += int(answered.sum())
        was_asked, was_of_use = np.zeros(sites, dtype=bool), np.zeros(sites, dtype=bool)
        was_asked[asked[answered]] = True
        was_of_use[asked[answered & needs]] = True
        needless[was_asked] += 1
        needless[was_of_use] = 0
        infective &= needless < k
        _tell(everybody[answered & needs], cycle, reached, infective)
    return _figures(reached, sent)


def _one_told(sites: int) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Return when each site was reached, which are infective, and each one's counter, at cycle 0."""
    reached = np.full(sites, NEVER)
    infective = np.zeros(sites, dtype=bool)
    reached[0], infective[0] = 0, True
    return reached, infective, np.zeros(sites, dtype=np.int64)


def _others(rng: np.random.Generator, sites: int, of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each site another, all equally likely."""
    drawn = rng.integers(0, sites - 1, len(of))
    return drawn + (drawn >= of)


def _tell(told: NDArray[np.int64], cycle: int, reached: NDArray[np.int64], infective: NDArray[np.bool_]) -> None:
    reached[told] = cycle
    infective[told] = True


def _figures(reached: NDArray[np.int64], sent: int) -> Figures:
    cycles = reached[reached != NEVER]
    return Figures(1 - len(cycles) / len(reached), sent / len(reached), float(cycles.mean()), float(cycles.max()))


def _row(table: int, variant: str, k: int, sites: int, found: list[Figures]) -> Row:
    values = np.array([(one.residue, one.m, one.t_ave, one.t_last) for one in found])
    errors = values.std(axis=0, ddof=1) / sqrt(len(found))
    mean, error = Figures(*map(float, values.mean(axis=0))), Figures(*map(float, errors))
    published = PUBLISHED[table].get(k) if sites == SITES else None  # the paper's are of so many sites
    return Row(table, variant, k, sites, len(found), mean, error, published)
