"""Drift detectors of one feature, by the library river: they learn what is normal as they go, and tell when it changed.

They say yes (1.0) or no (0.0): `peer.detectors.charts.Cusum` grades, and finds a shift of known size sooner. What these
have for them is that they need no mean. After an alarm they begin anew: what has come is the new normal.
"""

from collections import deque
from collections.abc import Sequence
from math import sqrt
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from peer.detectors.change_point import change_point
from peer.detectors.features import column
from peer.detectors.normal import STEPS_MIN, Normal, given, settle_normal
from peer.detectors.seen import Finding, Seen
from peer.detectors.settings import number, positive, settle, share, text, version_of, whole
from peer.errors import CallerError, ConfigInvalid
from peer.extras import needed
from protocol.ids import StepId

REMEMBERED = 512
"""Steps among which the change is looked for."""
BEYOND = 1.0
"""How far outside the usual range values count, in lengths of that range: one huge value must not be a drift."""


class Adwin(Struct, frozen=True):
    """ADWIN: a window that grows while its mean stays the same, and is cut where an older and a newer part differ.

    Args:
        delta: the chance of a false alarm at each look is below this; in practice far below.
        every: steps between looks.
        low, high: the range of the feature on normal steps; None: `train` learns them. The bound is one for values
            between 0 and 1, so values are brought there.

    Raises: ConfigInvalid.
    Source: Bifet and Gavalda 2007.
    """

    feature: str
    delta: float = 0.002
    every: int = 4
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        settle(self, feature=text("feature", self.feature), delta=share("delta", self.delta))
        whole("every", self.every, 1, 1024)
        if (self.low is None) != (self.high is None):
            raise ConfigInvalid(f"low={self.low!r}, high={self.high!r}: give both, or train. No detector was made.")
        if self.low is not None and self.high is not None:
            low, high = number("low", self.low), number("high", self.high)
            positive("high - low", high - low)
            settle(self, low=low, high=high)

    @property
    def name(self) -> str:
        """`adwin(feature)`."""
        return f"adwin({self.feature})"

    @property
    def version(self) -> str:
        """Changes with the settings, and the range."""
        return version_of(self)

    def train(self, steps: Sequence[Seen]) -> "Adwin":
        """Learn the feature's range. Raises: CallerError."""
        values = column(steps, self.feature, STEPS_MIN, self.name)
        low, high = min(values), max(values)
        if low == high:
            raise CallerError(
                f"{self.name}: {self.feature} is {low:g} on each of {len(values)} steps. It was not trained."
                " Give it low= and high=."
            )
        return replace(self, low=low, high=high)

    def begin(self) -> "_Drift":
        """Return a window that is empty. Raises: CallerError, if it knows no range; ConfigInvalid, without river."""
        if self.low is None or self.high is None:
            raise CallerError(
                f"{self.name} does not know the feature's range. Nothing was watched. Give low= and high=, or train it."
            )
        make = needed("river.drift", "Adwin", "detect", "Nothing was watched.").ADWIN
        return _Drift(self.feature, _Range(self.low, self.high).place, make(delta=self.delta, clock=self.every))


class _Range(Struct, frozen=True):
    low: float
    high: float

    def place(self, value: float) -> float:
        """Return where a value is between the low and the high end, as 0 and 1."""
        placed = (value - self.low) / (self.high - self.low)
        return min(max(placed, -BEYOND), 1 + BEYOND)


class PageHinkley(Struct, frozen=True):
    """Page and Hinkley's test: a sum of how far values are above their own mean so far, or below it.

    Args:
        delta: what is allowed for, in standard deviations.
        threshold: the limit of the sum, in standard deviations.
        settling: steps before the first alarm: the mean has to be known first.
        mean, sd: of normal steps; None: `train` learns them. Values are counted from that mean; the test itself goes by
            the mean of the steps that it sees.

    With the defaults a shift of one deviation is found after 24 steps, and an alarm comes in 10,000 normal ones
    (measured: `tests/unit/peer/detectors/test_drift_detectors.py`).

    Raises: ConfigInvalid.
    Source: Page 1954; Hinkley 1971; Sebastiao and Fernandes 2017 (both sides).
    """

    feature: str
    delta: float = 0.5
    threshold: float = 10.0
    settling: int = 30
    mean: float | None = None
    sd: float | None = None

    def __post_init__(self) -> None:
        settle_normal(self)
        settle(self, delta=number("delta", self.delta, 0.0), threshold=positive("threshold", self.threshold))
        whole("settling", self.settling, 1, 10_000)

    @property
    def name(self) -> str:
        """`page_hinkley(feature)`."""
        return f"page_hinkley({self.feature})"

    @property
    def version(self) -> str:
        """Changes with the settings, the mean and the deviation."""
        return version_of(self)

    def train(self, steps: Sequence[Seen]) -> "PageHinkley":
        """Learn the mean and the deviation. Raises: CallerError."""
        normal = Normal.of(steps, self.feature, self.name)
        return replace(self, mean=normal.mean, sd=normal.sd)

    def begin(self) -> "_Drift":
        """Return a test that has seen nothing. Raises: CallerError, if not trained; ConfigInvalid, without river."""
        place = given(self.mean, self.sd, self.name).deviations
        make = needed("river.drift", "PageHinkley", "detect", "Nothing was watched.").PageHinkley
        test = make(min_instances=self.settling, delta=self.delta, threshold=self.threshold)
        return _Drift(self.feature, place, test)


class _Drift:
    """Shows one feature to a drift detector of river's."""

    def __init__(self, feature: str, place: Any, test: Any) -> None:
        self._feature, self._place, self._test = feature, place, test
        self._seen: deque[tuple[StepId, float]] = deque(maxlen=REMEMBERED)

    def see(self, step: Seen) -> Finding | None:
        value = step.value(self._feature)
        if value is None:
            return None
        placed = self._place(value)
        self._seen.append((step.step, placed))
        self._test.update(placed)
        if not self._test.drift_detected:
            return Finding(0.0, {self._feature: value})
        placed_values = [placed for _, placed in self._seen]
        at = change_point(placed_values)
        before, after = placed_values[:at] or [placed], placed_values[at:]
        found: dict[str, float | int | str] = {
            self._feature: value,
            "before": sum(before) / len(before),
            "after": sum(after) / len(after),
            "deviation": _deviation(after),
        }
        since = self._seen[at][0]
        self._seen = deque(list(self._seen)[at:], maxlen=REMEMBERED)
        return Finding(1.0, found, since)


def _deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sqrt(sum((value - mean) * (value - mean) for value in values) / len(values))
