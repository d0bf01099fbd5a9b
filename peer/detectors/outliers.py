"""Outliers among several features at once, by scikit-learn's isolation forest, or a detector of PyOD's by its name.

What is kept of the training is its numbers, not the fitted model: models can be stored only in a form that runs code
when it is read, so that a file of one could do anything. Fitting again takes from milliseconds to half a second, is
done once in a process for all watches, and its result is compared with the first (`peer.detectors.refit`).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, ClassVar

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from peer.detectors.features import Rows, packed, row, rows, trained_on, unpacked, whole_rows
from peer.detectors.refit import Scorer, library, marks_of, refuse_another
from peer.detectors.rules import TEXT_LENGTH_MAX
from peer.detectors.scale import Scale, scale_of, steps_for, unseen_scores, untrained
from peer.detectors.seen import Finding, Seen
from peer.detectors.settings import among, number, settle, share, texts, version_of, whole
from peer.errors import CallerError
from peer.extras import needed

FOREST = "IsolationForest"
"""scikit-learn's; all others are PyOD's."""
PYOD = {
    "ABOD": "abod",
    "CBLOF": "cblof",
    "COPOD": "copod",
    "ECOD": "ecod",
    "GMM": "gmm",
    "HBOS": "hbos",
    "IForest": "iforest",
    "KNN": "knn",
    "LODA": "loda",
    "LOF": "lof",
    "MCD": "mcd",
    "PCA": "pca",
}
SEEDED = ("CBLOF", "GMM", "IForest", "LODA", "MCD", "PCA")
"""Those of PyOD's that draw at random."""
KINDS = (FOREST, *sorted(PYOD))
ROWS_MAX = 4096
"""So many training steps are kept, evenly over all: some detectors look at all of them for each step."""

DEVIATIONS_MAX = 1e6
"""A value farther from the mean counts as if it were so far."""


class Outliers(Struct, frozen=True):
    """A step that is unlike normal ones, by a detector of that name, is wrong.

    Args:
        kind: one of `KINDS`.
        features: what a step must report; of one that lacks any, nothing is said. They are brought to mean 0 and
            deviation 1 first.
        quantile: of normal steps so many score less than 1.
        seed: of detectors that draw at random.

    Raises: ConfigInvalid.
    Source: by kind: Liu, Ting and Zhou 2008 (isolation forest); Li et al. 2022 (ECOD); Breunig et al. 2000 (LOF);
    Ramaswamy, Rastogi and Shim 2000 (KNN); Goldstein and Dengel 2012 (HBOS); Zhao, Nasrullah and Li 2019 (PyOD).
    """

    memoryless: ClassVar[bool] = True

    kind: str
    features: Sequence[str]
    quantile: float = 0.995
    seed: int = 1
    rows: bytes = b""
    scale: Scale | None = None
    trained_on: str = ""
    library: str = ""
    """What it was trained by, as `pyod 3.6.7`."""
    marks: Sequence[float] = ()
    """Raw scores of some of the rows by the model that was trained."""

    def __post_init__(self) -> None:
        among("kind", self.kind, KINDS)
        settle(self, features=texts("features", self.features), quantile=share("quantile", self.quantile))
        whole("seed", self.seed, 0, 2**32 - 1)
        whole_rows(self.rows, self.features)
        settle(self, marks=tuple(number("marks", mark) for mark in self.marks))

    @property
    def name(self) -> str:
        """`iforest(features)`."""
        return f"{self.kind.lower()}({','.join(self.features)})"

    @property
    def version(self) -> str:
        """Changes with the settings, with what it was trained on, and the library's version then."""
        return version_of(self)

    def train(self, steps: Sequence[Seen]) -> "Outliers":
        """Learn how normal steps look.

        The limit comes from steps that the model it was reckoned by had not seen: five models are fitted for it.

        Raises: CallerError, if the steps are too few, or can't be fitted; ConfigInvalid, without the libraries.
        """
        values = rows(steps, self.features, steps_for(self.quantile), self.name)
        values = values[:: -(-len(values) // ROWS_MAX)]
        raws = unseen_scores(values, lambda part: fitted(self.kind, part, self.seed))
        return replace(
            self,
            rows=packed(values),
            scale=scale_of(raws, self.quantile),
            trained_on=trained_on(values, self.features),
            library=library(_package(self.kind)),
            marks=marks_of(fitted(self.kind, values, self.seed), values),
        )

    def begin(self) -> "_Outliers":
        """Return a watch.

        Raises: CallerError, if it is not trained, or the library installed makes another model than the one that it was
        trained by; ConfigInvalid, without the libraries.
        """
        if self.scale is None:
            raise untrained(self.name)
        return _Outliers(self.features, _refitted(self), self.scale)


class _Outliers:
    """Keeps nothing: what it says of a step hangs on that step alone."""

    def __init__(self, features: Sequence[str], scorer: Scorer, scale: Scale) -> None:
        self._features, self._scorer, self._scale = features, scorer, scale

    def see(self, step: Seen) -> Finding | None:
        values = row(step, self._features)
        if values is None:
            return None
        found: dict[str, float | int | str] = {**dict(zip(self._features, values, strict=True))}
        try:
            raw = float(self._scorer(np.array([values]))[0])
        except Exception as error:  # noqa: BLE001  # a fault of the library's is no reason to undo the agent's step
            return Finding(0.0, {**found, "error": f"{type(error).__name__}: {error}"[:TEXT_LENGTH_MAX]})
        # The score tells of no number as of what is farthest off; a log holds numbers only.
        return Finding(self._scale.score(raw), {**found, "raw": raw} if isfinite(raw) else found)


@lru_cache(maxsize=16)
def _refitted(detector: Outliers) -> Scorer:
    values = unpacked(detector.rows, detector.features)
    scorer = fitted(detector.kind, values, detector.seed)
    now = library(_package(detector.kind))
    refuse_another(detector.marks, scorer, values, detector.name, detector.library, now)
    return scorer


def fitted(kind: str, values: Rows, seed: int) -> Scorer:
    """Return a model that was fitted to rows, as a function from rows to raw scores: the higher, the odder.

    Raises: CallerError, if these rows can't be fitted; ConfigInvalid, without the libraries.
    """
    middle, spread = np.mean(values, axis=0), np.std(values, axis=0)
    spread = np.where(spread > 0, spread, 1.0)

    def place(rows: Rows) -> Rows:
        with np.errstate(over="ignore"):
            return np.clip((rows - middle) / spread, -DEVIATIONS_MAX, DEVIATIONS_MAX)

    try:
        return _model(kind, place(values), seed, place)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise CallerError(
            f"{kind} can't be fitted to these {len(values)} steps: {error}. It was not trained."
            " Leave out features that hardly vary, or hang on others; or take another kind."
        ) from error


def _model(kind: str, values: Rows, seed: int, place: Callable[[Rows], Rows]) -> Scorer:

    if kind == FOREST:
        model = needed("sklearn.ensemble", FOREST, "detect").IsolationForest(n_estimators=100, random_state=seed)
        model.fit(values)
        return lambda rows: -np.asarray(model.score_samples(place(rows)), dtype=np.float64)
    model = _pyod(kind, seed)
    # Some draw at random from numpy's common source: it is put back as it was.
    with _Seeded(seed):
        model.fit(values)
    return lambda rows: np.asarray(model.decision_function(place(rows)), dtype=np.float64)


class _Seeded:
    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __enter__(self) -> None:
        self._before = np.random.get_state()
        np.random.seed(self._seed)

    def __exit__(self, *_: object) -> None:
        np.random.set_state(self._before)


def _pyod(kind: str, seed: int) -> Any:
    make = getattr(needed(f"pyod.models.{PYOD[kind]}", f"Outliers({kind!r})", "detect"), kind)
    return make(random_state=seed) if kind in SEEDED else make()


def _package(kind: str) -> str:
    return "scikit-learn" if kind == FOREST else "pyod"
