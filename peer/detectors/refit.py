"""A model that is fitted anew from what it was trained on: the same as then, or refused.

Fitting again instead of keeping a model holds as long as the library does what it did. Some raw scores are kept as
marks, and compared.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from numpy.typing import NDArray

from peer.detectors.features import Rows
from peer.errors import CallerError

MARKS = 16
NEAR = 1e-6
"""Other processors round otherwise: so far apart, by their size, marks are the same."""

Scorer = Callable[[Rows], NDArray[np.float64]]
"""A model: rows to their raw scores, the higher the odder."""


def library(name: str) -> str:
    """Return a package and its version, as `pyod 3.6.7`."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


def marks_of(scorer: Scorer, rows: Rows) -> tuple[float, ...]:
    """Return the raw scores of some of the rows, evenly over all."""
    return tuple(float(raw) for raw in scorer(rows[:: -(-len(rows) // MARKS)]))


def refuse_another(marks: Sequence[float], scorer: Scorer, rows: Rows, what: str, by: str, now: str) -> None:
    """Compare a model that was fitted anew with the one that was trained.

    Args:
        marks: of the one that was trained.
        what: the name of the detector.
        by, now: the library that it was trained by, and the one here.

    Raises: CallerError, if it says otherwise: its limit would not be where it was put.
    """
    found = marks_of(scorer, rows)
    if len(found) != len(marks) or not np.allclose(found, marks, rtol=NEAR, atol=NEAR, equal_nan=True):
        raise CallerError(
            f"{what} was trained by {by}, and says otherwise by {now}, which is installed here. Nothing was watched."
            " Train it anew: train(steps)."
        )
