"""Calibration: from how sure an agent says it is to how often it is right; and how far apart the two are.

A model's confidence is seldom the share of its right answers. From pairs of a confidence reported and whether the step
turned out right, a map is fitted by scikit-learn; a few numbers are kept of it, so that using it needs nothing.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from hashlib import sha256
from math import exp, inf, isfinite, log, sqrt
from typing import Any, ClassVar

from msgspec import Struct

from peer.detectors.rules import Threshold
from peer.detectors.seen import Finding, Seen
from peer.detectors.settings import among, number, settle, text, version_of, whole
from peer.errors import CallerError
from peer.extras import needed

METHODS = ("isotonic", "platt")
PAIRS_MIN = {"isotonic": 50, "platt": 20}
"""A curve of any rising form needs more than one of two parameters."""
EDGE = 1e-6
"""Confidences are kept so far from 0 and 1 where their log-odds are taken."""
Z95 = 1.959963984540054
"""Standard deviations to either side that hold 95% of a normal distribution."""

Pair = tuple[float, bool]
"""How sure the agent was, from 0 to 1, and whether the step was right."""


class Calibration(Struct, frozen=True):
    """A map from confidence to the share of right steps; made by `Calibration.fit`.

    Source: Zadrozny and Elkan 2002 (isotonic); Platt 1999 (a logistic curve over log-odds).
    """

    method: str
    xs: Sequence[float] = ()
    ys: Sequence[float] = ()
    """Isotonic: the map at some points, between which it is straight."""
    slope: float = 1.0
    offset: float = 0.0
    """Platt: the line over log-odds."""
    pairs: int = 0
    """How many it was fitted to."""
    trained_on: str = ""
    """Their SHA-256, in hex."""

    def __post_init__(self) -> None:
        among("method", self.method, METHODS)
        xs = tuple(number("xs", x, 0.0, 1.0) for x in self.xs)
        ys = tuple(number("ys", y, 0.0, 1.0) for y in self.ys)
        if len(xs) != len(ys) or sorted(xs) != list(xs) or (self.method == "isotonic" and not xs):
            raise CallerError("xs, ys: points of a map, as many of both, rising. Make one by Calibration.fit(pairs).")
        settle(self, xs=xs, ys=ys, slope=number("slope", self.slope), offset=number("offset", self.offset))

    @classmethod
    def fit(cls, pairs: Iterable[Pair], method: str = "isotonic") -> "Calibration":
        """Return the calibration that fits these pairs best.

        Args:
            method: `isotonic`, any rising curve; or `platt`, two parameters, for fewer pairs.

        Raises: CallerError, if they are too few, one is no pair, or all were right, or none; ConfigInvalid, for an
        unknown method, or without scikit-learn.
        """
        among("method", method, METHODS)
        found = checked(pairs)
        if len(found) < PAIRS_MIN[method] or len({right for _, right in found}) < 2:
            raise CallerError(
                f"{len(found)} pairs, {sum(right for _, right in found)} of them right: {method} calibration needs"
                f" {PAIRS_MIN[method]} at least, right ones and wrong ones. Nothing was fitted."
            )
        fit = _isotonic if method == "isotonic" else _platt
        lines = "".join(f"{confidence!r} {right:d}\n" for confidence, right in found)
        return cls(method, pairs=len(found), trained_on=sha256(lines.encode()).hexdigest(), **fit(found))

    def calibrated(self, confidence: float) -> float:
        """Return the share of right steps among those of such confidence; what is below 0 or above 1 counts as that."""
        confidence = min(max(confidence, 0.0), 1.0)
        if self.method == "platt":
            return _logistic(self.slope * _log_odds(confidence) + self.offset)
        at = bisect_right(self.xs, confidence)
        if at == 0 or at == len(self.xs):
            return self.ys[0 if at == 0 else -1]
        left, right = self.xs[at - 1], self.xs[at]
        return self.ys[at - 1] + (self.ys[at] - self.ys[at - 1]) * (confidence - left) / (right - left)


class Calibrated(Struct, frozen=True):
    """A step that is right with less than some probability, by its confidence and a calibration, is wrong.

    Args:
        calibration: fitted to earlier steps of the same agent, or model.
        below: a probability.
        feature: where the confidence is reported.

    Raises: ConfigInvalid.
    """

    memoryless: ClassVar[bool] = True

    calibration: Calibration
    below: float = 0.5
    feature: str = "confidence"

    def __post_init__(self) -> None:
        settle(self, feature=text("feature", self.feature), below=number("below", self.below, 0.0, 1.0))

    @property
    def name(self) -> str:
        """`calibrated(feature)`."""
        return f"calibrated({self.feature})"

    @property
    def version(self) -> str:
        """Changes with the settings and the calibration."""
        return version_of(self)

    @property
    def trained_on(self) -> str:
        """The SHA-256 of the pairs that the calibration was fitted to."""
        return self.calibration.trained_on

    def begin(self) -> "Calibrated":
        """Return itself: what it says of a step hangs on that step alone."""
        return self

    def see(self, step: Seen) -> Finding | None:
        """Compare the calibrated confidence with the limit."""
        value = step.value(self.feature)
        if value is None:
            return None
        right = self.calibration.calibrated(value)
        score = Threshold(self.feature, below=self.below).judge(right).score
        return Finding(score, {self.feature: value, "calibrated": right, "below": self.below})


class Bin(Struct, frozen=True):
    """One bar of a reliability diagram: steps of like confidence, and how many were right."""

    low: float
    high: float
    """From which confidence to which; the upper end belongs to the next bin, and 1 to the last."""
    count: int
    confidence: float
    """The mean."""
    right: float
    """The share that was right."""
    least: float
    most: float
    """Within these the true share is, by 95%: Wilson's interval."""


def reliability(pairs: Iterable[Pair], bins: int = 10) -> list[Bin]:
    """Return the bins of a reliability diagram, of equal width, those without a step left out.

    Raises: CallerError, if one is no pair; ConfigInvalid, if `bins` is not from 1 to 1000.
    Source: DeGroot and Fienberg 1983; Guo et al. 2017, section 2.
    """
    whole("bins", bins, 1, 1000)
    members: dict[int, list[Pair]] = {}
    for confidence, right in checked(pairs):
        members.setdefault(min(int(confidence * bins), bins - 1), []).append((confidence, right))
    return [_bin(at, bins, members[at]) for at in sorted(members)]


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Return how far confidence is from the share that was right, on average over steps; 0 for no step.

    Source: Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017, equation 3.
    """
    steps = sum(one.count for one in bins)
    return sum(one.count * abs(one.right - one.confidence) for one in bins) / steps if steps else 0.0


def wilson(right: int, count: int, z: float = Z95) -> tuple[float, float]:
    """Return between which shares the true one is, given how many of how many were right; 0 and 1 for none.

    Source: Wilson 1927.
    """
    if not count:
        return 0.0, 1.0
    share, spread = right / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z * sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def checked(pairs: Iterable[Pair]) -> list[Pair]:
    """Return pairs in the form that all here take.

    Raises: CallerError, naming the first that is none.
    """
    found: list[Pair] = []
    for at, pair in enumerate(pairs):
        try:
            confidence, right = pair
            value, truth = float(confidence), {0: False, 1: True}[right]
        except (TypeError, ValueError, KeyError, OverflowError):
            value, truth = inf, False
        if not isfinite(value) or not 0 <= value <= 1:
            raise CallerError(
                f"pair {at}: {pair!r} is not a confidence from 0 to 1 and whether the step was right. Nothing was done."
            )
        found.append((value, truth))
    return found


def _bin(at: int, bins: int, pairs: list[Pair]) -> Bin:
    right = sum(right for _, right in pairs)
    least, most = wilson(right, len(pairs))
    mean = sum(confidence for confidence, _ in pairs) / len(pairs)
    return Bin(at / bins, (at + 1) / bins, len(pairs), mean, right / len(pairs), least, most)


def _isotonic(pairs: list[Pair]) -> dict[str, Any]:
    regression = needed("sklearn.isotonic", "Calibration.fit", "detect", "Nothing was fitted.").IsotonicRegression
    model = regression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    model.fit([confidence for confidence, _ in pairs], [float(right) for _, right in pairs])
    return {"xs": model.X_thresholds_.tolist(), "ys": model.y_thresholds_.tolist()}


def _platt(pairs: list[Pair]) -> dict[str, Any]:
    regression = needed("sklearn.linear_model", "Calibration.fit", "detect", "Nothing was fitted.").LogisticRegression
    right = sum(right for _, right in pairs)
    # Platt's targets: a little less than sure, so that few pairs do not make a wall of the curve. A pair whose target
    # is t stands for two: a right one of weight t, a wrong one of weight 1 - t.
    targets = {True: (right + 1) / (right + 2), False: 1 / (len(pairs) - right + 2)}
    odds = [[_log_odds(confidence)] for confidence, _ in pairs]
    weights = [targets[right] for _, right in pairs]
    model = regression(C=inf, max_iter=1000)
    model.fit(odds * 2, [1] * len(pairs) + [0] * len(pairs), weights + [1 - weight for weight in weights])
    return {"slope": float(model.coef_[0][0]), "offset": float(model.intercept_[0])}


def _log_odds(confidence: float) -> float:
    inner = min(max(confidence, EDGE), 1 - EDGE)
    return log(inner / (1 - inner))


def _logistic(value: float) -> float:
    return 1 / (1 + exp(-value)) if value >= 0 else exp(value) / (1 + exp(value))
