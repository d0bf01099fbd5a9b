"""Half-space trees: outliers among several features at once, in trees that follow slow change, by the library river."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from peer.detectors.features import Rows, packed, row, rows, trained_on, unpacked, whole_rows
from peer.detectors.refit import Scorer, library, marks_of, refuse_another
from peer.detectors.scale import Scale, scale_of, steps_for, untrained
from peer.detectors.seen import Finding, Seen
from peer.detectors.settings import number, settle, share, texts, version_of, whole
from peer.extras import needed

ROWS_MAX = 4096
"""The newest training steps are kept: each watch learns them first."""
BEYOND = 0.5
"""How far the space of the trees goes beyond what normal steps show, in lengths of their range."""


class HalfSpaceTrees(Struct, frozen=True):
    """A step in a part of space where few normal steps were is wrong.

    Trees cut the space of the features in halves at random, and count what falls where. A watch begins with the
    training steps, and learns from each step that it does not find wrong, so slow change is followed.

    Args:
        features: what a step must report; of one that lacks any, nothing is said.
        trees: more are steadier, and slower in proportion.
        height: cuts from a root to a leaf; time and memory double with each.
        window: steps after which the counts of the trees are replaced by newer ones.
        quantile: of normal steps so many score less than 1. Scores end little above: trees tell few kinds of odd apart.
        seed: of the cuts.

    Raises: ConfigInvalid.
    Source: Tan, Ting and Liu 2011.
    """

    features: Sequence[str]
    trees: int = 25
    height: int = 8
    window: int = 250
    quantile: float = 0.99
    seed: int = 1
    rows: bytes = b""
    scale: Scale | None = None
    trained_on: str = ""
    library: str = ""
    """What it was trained by, as `river 0.26.1`."""
    marks: Sequence[float] = ()
    """Raw scores of some of the rows by the trees that have learnt all."""

    def __post_init__(self) -> None:
        settle(self, features=texts("features", self.features), quantile=share("quantile", self.quantile))
        whole("trees", self.trees, 1, 1000)
        whole("height", self.height, 1, 12)
        whole("window", self.window, 10, 100_000)
        whole("seed", self.seed, 0, 2**32 - 1)
        whole_rows(self.rows, self.features)
        settle(self, marks=tuple(number("marks", mark) for mark in self.marks))

    @property
    def name(self) -> str:
        """`half_space_trees(features)`."""
        return f"half_space_trees({','.join(self.features)})"

    @property
    def version(self) -> str:
        """Changes with the settings, and with what it was trained on."""
        return version_of(self)

    def train(self, steps: Sequence[Seen]) -> "HalfSpaceTrees":
        """Learn how normal steps look.

        Raises: CallerError, if they are too few; ConfigInvalid, without river.
        """
        least = self.window + 2 * steps_for(self.quantile)
        values = rows(steps, self.features, least, self.name)[-ROWS_MAX:]
        model = self._model(values)
        raws: list[float] = []
        for at, found in enumerate(_points(values, self.features)):
            # Each is scored before it is learnt.
            if at >= self.window:
                raws.append(float(model.score_one(found)))
            model.learn_one(found)
        return replace(
            self,
            rows=packed(values),
            scale=scale_of(raws, self.quantile),
            trained_on=trained_on(values, self.features),
            library=library("river"),
            marks=marks_of(self._scorer(model), values),
        )

    def begin(self) -> "_Trees":
        """Return trees that have learnt the training steps.

        Raises: CallerError, if there are none, or the library installed makes other trees of them than the one that
        they were trained by; ConfigInvalid, without river.
        """
        if self.scale is None:
            raise untrained(self.name)
        values = unpacked(self.rows, self.features)
        model = self._model(values)
        for found in _points(values, self.features):
            model.learn_one(found)
        refuse_another(self.marks, self._scorer(model), values, self.name, self.library, library("river"))
        return _Trees(self.features, model, self.scale)

    def _scorer(self, model: Any) -> Scorer:
        return lambda rows: np.array([model.score_one(found) for found in _points(rows, self.features)])

    def _model(self, values: Rows) -> Any:
        make = needed("river.anomaly", "HalfSpaceTrees", "detect").HalfSpaceTrees
        low, high = np.min(values, axis=0), np.max(values, axis=0)
        # Beyond the range seen, so that what lies outside has a part of space to itself.
        beyond = np.where(high > low, (high - low) * BEYOND, 1.0)
        ends = zip(self.features, (low - beyond).tolist(), (high + beyond).tolist(), strict=True)
        limits = {name: (start, end) for name, start, end in ends}
        return make(n_trees=self.trees, height=self.height, window_size=self.window, limits=limits, seed=self.seed)


class _Trees:
    def __init__(self, features: Sequence[str], model: Any, scale: Scale) -> None:
        self._features, self._model, self._scale = features, model, scale

    def see(self, step: Seen) -> Finding | None:
        values = row(step, self._features)
        if values is None:
            return None
        found = dict(zip(self._features, values, strict=True))
        score = self._scale.score(float(self._model.score_one(found)))
        if score < 1:
            self._model.learn_one(found)
        return Finding(score, {**found})


def _points(values: Rows, features: Sequence[str]) -> list[dict[str, float]]:
    return [dict(zip(features, line, strict=True)) for line in values.tolist()]
