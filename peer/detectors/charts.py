"""Control charts of one feature: Shewhart's for single values, EWMA and CUSUM for shifts that creep in.

Each looks at how many standard deviations a value is from the mean of normal steps, at both sides. 1.0 is the chart's
own control limit. An alarm begins the chart anew, so that alarms of normal steps are as far apart as
`peer.detectors.run_lengths` says. Run lengths hold for independent, roughly normal values and a mean and deviation that
are known well: learnt from 100 steps they may be half as long, or twice (Jensen et al. 2006).
"""

from collections.abc import Sequence
from math import sqrt

from msgspec import Struct
from msgspec.structs import replace

from peer.detectors.normal import Normal, given, settle_normal
from peer.detectors.rules import SCORE_MAX
from peer.detectors.seen import Finding, Seen
from peer.detectors.settings import number, positive, settle, version_of
from protocol.ids import StepId


class Shewhart(Struct, frozen=True):
    """A single value farther than so many deviations from the mean is wrong. It finds large shifts at once.

    Args:
        limit: in standard deviations; 3: an alarm in 370 normal steps (`run_lengths.shewhart_arl`).
        mean, sd: of normal steps; None: `train` learns them.

    Raises: ConfigInvalid.
    Source: Shewhart 1931; Montgomery, Introduction to Statistical Quality Control, section 6.4 (individual values).
    """

    feature: str
    limit: float = 3.0
    mean: float | None = None
    sd: float | None = None

    def __post_init__(self) -> None:
        settle_normal(self)
        settle(self, limit=positive("limit", self.limit))

    @property
    def name(self) -> str:
        """`shewhart(feature)`."""
        return f"shewhart({self.feature})"

    @property
    def version(self) -> str:
        """Changes with the limit, the mean and the deviation."""
        return version_of(self)

    def train(self, steps: Sequence[Seen]) -> "Shewhart":
        """Learn the mean and the deviation. Raises: CallerError."""
        normal = Normal.of(steps, self.feature, self.name)
        return replace(self, mean=normal.mean, sd=normal.sd)

    def begin(self) -> "_Shewhart":
        """Return the chart. Raises: CallerError, if it is not trained."""
        return _Shewhart(self, given(self.mean, self.sd, self.name))


class _Shewhart:
    def __init__(self, chart: Shewhart, normal: Normal) -> None:
        self._chart, self._normal = chart, normal

    def see(self, step: Seen) -> Finding | None:
        value = step.value(self._chart.feature)
        if value is None:
            return None
        away = self._normal.deviations(value)
        score = min(abs(away) / self._chart.limit, SCORE_MAX)
        return Finding(score, {self._chart.feature: value, "deviations": away, "limit": self._chart.limit})


class Ewma(Struct, frozen=True):
    """An average of values, the newer the heavier, that is too far from the mean is wrong. Finds small, lasting shifts.

    Args:
        lambda_: the weight of the newest value; 1: Shewhart's chart.
        limit: in standard deviations of that average, as it is after many steps. The defaults: an alarm in 500 normal
            steps (`run_lengths.ewma_arl`).
        mean, sd: of normal steps; None: `train` learns them.

    A finding's `since` is the step after the last one at which the average was not on that side of the mean.

    Raises: ConfigInvalid.
    Source: Roberts 1959; Lucas and Saccucci 1990; for `since` Nishina 1992.
    """

    feature: str
    lambda_: float = 0.1
    limit: float = 2.814
    mean: float | None = None
    sd: float | None = None

    def __post_init__(self) -> None:
        settle_normal(self)
        settle(self, lambda_=positive("lambda_", self.lambda_, 1.0), limit=positive("limit", self.limit))

    @property
    def name(self) -> str:
        """`ewma(feature)`."""
        return f"ewma({self.feature})"

    @property
    def version(self) -> str:
        """Changes with the settings, the mean and the deviation."""
        return version_of(self)

    def train(self, steps: Sequence[Seen]) -> "Ewma":
        """Learn the mean and the deviation. Raises: CallerError."""
        normal = Normal.of(steps, self.feature, self.name)
        return replace(self, mean=normal.mean, sd=normal.sd)

    def begin(self) -> "_Ewma":
        """Return the chart. Raises: CallerError, if it is not trained."""
        return _Ewma(self, given(self.mean, self.sd, self.name))


class _Ewma:
    def __init__(self, chart: Ewma, normal: Normal) -> None:
        self._chart, self._normal = chart, normal
        self._limit = chart.limit * sqrt(chart.lambda_ / (2 - chart.lambda_))
        self._average = 0.0
        self._since: StepId | None = None

    def see(self, step: Seen) -> Finding | None:
        chart = self._chart
        value = step.value(chart.feature)
        if value is None:
            return None
        before, away = self._average, self._normal.deviations(value)
        self._average = average = before + chart.lambda_ * (away - before)
        if average * before <= 0:
            self._since = step.step
        score = min(abs(average) / self._limit, SCORE_MAX)
        found = Finding(score, {chart.feature: value, "average": average, "limit": self._limit}, self._since)
        if score >= 1:
            self._average, self._since = 0.0, None
        return found


class Cusum(Struct, frozen=True):
    """A sum of what values are above the mean, less an allowance, or below it, that grows too large is wrong.

    Of all charts it finds a lasting shift of twice the allowance soonest, and it tells since when.

    Args:
        k: the allowance, in standard deviations: half the shift that is to be found.
        h: the limit, in standard deviations. The defaults: an alarm in 465 normal steps, and a shift of 1 found after
            10.4 (`run_lengths.cusum_arl`).
        mean, sd: of normal steps; None: `train` learns them.

    A finding's `since` is the step after the last one at which the sum was zero.

    Raises: ConfigInvalid.
    Source: Page 1954; Montgomery, section 9.1 (the tabular CUSUM, and its estimate of when the shift came).
    """

    feature: str
    k: float = 0.5
    h: float = 5.0
    mean: float | None = None
    sd: float | None = None

    def __post_init__(self) -> None:
        settle_normal(self)
        settle(self, k=number("k", self.k, 0.0), h=positive("h", self.h))

    @property
    def name(self) -> str:
        """`cusum(feature)`."""
        return f"cusum({self.feature})"

    @property
    def version(self) -> str:
        """Changes with the settings, the mean and the deviation."""
        return version_of(self)

    def train(self, steps: Sequence[Seen]) -> "Cusum":
        """Learn the mean and the deviation. Raises: CallerError."""
        normal = Normal.of(steps, self.feature, self.name)
        return replace(self, mean=normal.mean, sd=normal.sd)

    def begin(self) -> "_Cusum":
        """Return the chart. Raises: CallerError, if it is not trained."""
        return _Cusum(self, given(self.mean, self.sd, self.name))


class _Cusum:
    def __init__(self, chart: Cusum, normal: Normal) -> None:
        self._chart, self._normal = chart, normal
        self._high, self._low = _Sum(chart.k), _Sum(chart.k)

    def see(self, step: Seen) -> Finding | None:
        chart = self._chart
        value = step.value(chart.feature)
        if value is None:
            return None
        away = self._normal.deviations(value)
        high, low = self._high.add(away, step.step), self._low.add(-away, step.step)
        side = self._high if high >= low else self._low
        score = min(side.sum / chart.h, SCORE_MAX)
        found = Finding(score, {chart.feature: value, "above": high, "below": low, "h": chart.h}, side.since)
        if score >= 1:
            self._high, self._low = _Sum(chart.k), _Sum(chart.k)
        return found


class _Sum:
    """One side of a CUSUM."""

    def __init__(self, k: float) -> None:
        self._k = k
        self.sum = 0.0
        self.since: StepId | None = None
        """The first step since the sum was zero; None: it is."""

    def add(self, away: float, step: StepId) -> float:
        if not self.sum:
            self.since = step
        self.sum = max(0.0, self.sum + away - self._k)
        if not self.sum:
            self.since = None
        return self.sum
