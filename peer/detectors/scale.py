"""From the raw scores of a model to the score of a finding: 0 for the typical step, 1 at a quantile of normal steps."""

from collections.abc import Callable, Sequence
from math import ceil, isfinite

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from peer.detectors.features import Rows
from peer.detectors.rules import SCORE_MAX
from peer.detectors.settings import number, positive, settle
from peer.errors import CallerError

FOLDS = 5
"""Parts of the training steps, each scored by a model that has not seen it."""


class Scale(Struct, frozen=True):
    """Where on the raw scores of a model 0 and 1 are.

    Raises: ConfigInvalid, if 1 is not above 0.
    """

    typical: float
    limit: float

    def __post_init__(self) -> None:
        settle(self, typical=number("typical", self.typical), limit=number("limit", self.limit))
        positive("limit - typical", self.limit - self.typical)

    def score(self, raw: float) -> float:
        """Return the score; what can't be told (no number) is as far off as can be."""
        if not isfinite(raw):
            return SCORE_MAX if raw != -float("inf") else 0.0
        return min(max((raw - self.typical) / (self.limit - self.typical), 0.0), SCORE_MAX)


def steps_for(quantile: float) -> int:
    """Return of how many steps a quantile can be told: as many as have at least one beyond it."""
    return ceil(quantile / (1 - quantile) - 1e-9)


def scale_of(raws: Sequence[float] | NDArray[np.float64], quantile: float) -> Scale:
    """Return the scale on which about one of `1 / (1 - quantile)` normal steps scores 1 or more.

    Args:
        raws: of normal steps, by a model that has not learnt from them; `steps_for(quantile)` at least.

    Raises: CallerError, if one is no number.
    Source: Vovk, Gammerman and Shafer 2005 (conformal prediction): of n + 1 scores of like steps, the new one is as
    likely as any to be the largest, so the limit is the ceil((n + 1) quantile)-th of n.
    """
    found = np.sort(np.asarray(raws, dtype=np.float64))
    if not np.all(np.isfinite(found)):
        raise CallerError(
            f"{int(np.sum(~np.isfinite(found)))} of {len(found)} normal steps have a raw score that is no number."
            " It was not trained. Features of few values are beyond some detectors (ABOD): take another kind."
        )
    typical = float(found[len(found) // 2])
    at = min(ceil((len(found) + 1) * quantile - 1e-9), len(found)) - 1
    limit = float(found[at])
    # Where many normal steps share the score at the limit, it lies above them: else each of these were an alarm.
    if np.mean(found >= limit) > 2 * (1 - quantile):
        higher = found[found > limit]
        limit = float(higher[0]) if len(higher) else limit + _least(found)
    return Scale(typical, limit if limit > typical else typical + _least(found))


def unseen_scores(rows: Rows, fit: Callable[[Rows], Callable[[Rows], NDArray[np.float64]]]) -> NDArray[np.float64]:
    """Return a raw score of each row by a model that was fitted to the others.

    Parts are stretches, not every fifth row: neighbours are alike, and would give each other away.

    Args:
        fit: makes a model, as a function from rows to their raw scores.

    Source: Barber et al. 2021, section 3 (CV+).
    """
    parts = np.array_split(np.arange(len(rows)), FOLDS)
    found = [fit(np.delete(rows, part, axis=0))(rows[part]) for part in parts]
    return np.concatenate(found)


def _least(raws: NDArray[np.float64]) -> float:
    """Return a small length by the measure of some scores."""
    return max(float(raws[-1] - raws[0]) * 1e-3, abs(float(raws[-1])) * 1e-6, 1e-9)


def untrained(name: str) -> CallerError:
    """Return the error of a detector that has no scale yet, and was to watch."""
    return CallerError(f"{name} was not trained. Nothing was watched. Call train(steps) with a normal run's.")
