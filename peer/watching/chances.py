"""How probable it is that a step is wrong, by its score and by what came of such scores before.

Scores are put into bins, each with what is assumed of it before anything is known (a beta prior of two steps), and the
estimates are made to rise with the score by pooling neighbours that do not (Barlow and others 1972, PAV).
"""

from bisect import bisect_right
from collections.abc import Iterable

BOUNDS = (0.5, 0.8, 1.0, 1.25, 1.6, 2.5, 4.0)
"""Scores at which bins meet."""
PRIOR = (0.01, 0.05, 0.15, 0.4, 0.55, 0.7, 0.85, 0.95)
"""What is assumed of each bin."""
STRENGTH = 2.0
"""As how many steps that counts."""


def chance_of(score: float, known: Iterable[tuple[float, bool, float]]) -> float:
    """Return the chance that a step of such a score is wrong.

    Args:
        score: the step's.
        known: of earlier steps the score, whether it was wrong, and how many steps it stands for (1 over the chance
            with which a step of such a score was looked at).
    """
    wrong = [prior * STRENGTH for prior in PRIOR]
    count = [STRENGTH] * len(PRIOR)
    for each, was_wrong, weight in known:
        at = bisect_right(BOUNDS, each)
        count[at] += weight
        wrong[at] += weight * was_wrong
    return _rising(wrong, count)[bisect_right(BOUNDS, score)]


def _rising(wrong: list[float], count: list[float]) -> list[float]:
    pools: list[tuple[float, float, int]] = []
    for some, all_ in zip(wrong, count, strict=True):
        pools.append((some, all_, 1))
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] > pools[-1][0] * pools[-2][1]:
            (a, b, n), (c, d, m) = pools[-2:]
            pools[-2:] = [(a + c, b + d, n + m)]
    return [some / all_ for some, all_, bins in pools for _ in range(bins)]
