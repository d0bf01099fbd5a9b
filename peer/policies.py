"""Policies of how often to make a checkpoint, and of how far to go back: fixed, by formula, or learned (CP-9).

    World(checkpoint_policy=YoungDaly(failure_s=600))  # or Cluster(...): a policy is a value, made anew for each host
    World(checkpoint_policy=Bandit(first_s=1.0))

A formula is best where its assumptions hold and its numbers are known: see docs/policies.md for when learning pays.
"""

from collections import deque
from math import log, sqrt
from random import Random

from msgspec import Struct

from peer.errors import ConfigInvalid
from protocol.checkpoints.pacing import young_daly_us
from protocol.policy import CheckpointPolicy, Observation, Period

ARMS_RATIO = 2.0
"""Neighbouring choices of a learner are so far apart: waste is flat near its least, so finer ones teach nothing."""
CONFIDENCE = 0.25
"""How eager a learner is to try what it does not know well (measured: docs/policies.md)."""
FINE_RATIO = sqrt(2.0)
"""The same for one that sees what all of them would have cost."""
FIT_KEEP = 0.99
"""By what a point of a fit counts less with each that comes after."""
ENOUGH = 8
"""Failures after which what was assumed of them before is left off."""
PATIENCE = 20
"""How often the best is used before its neighbours are tried: one that is best by luck is not climbed on from
(measured, too: without it a learner wastes twice as much where losses are dear)."""
USES_MIN = 0.5
"""A choice of which less than half a use is remembered is not known."""


class Fixed(Struct, frozen=True):
    """Always the same interval."""

    interval_s: float

    def begin(self, seed: int) -> CheckpointPolicy:
        """Return the policy."""
        return _Fixed(_positive("interval_s", self.interval_s))


class _Fixed:
    def __init__(self, interval_us: int) -> None:
        self._interval_us = interval_us

    def interval_us(self, seen: Observation) -> int:
        return self._interval_us

    def learn(self, period: Period) -> None:
        """There is nothing to learn."""


class YoungDaly(Struct, frozen=True):
    """Young and Daly's formula, from the measured cost of a cut and the mean time between failures.

    Args:
        failure_s: that mean, in seconds; None: measured, as time lived by failures seen, from one assumed at the start.
        first_s: the interval while nothing is known of the cost yet.
        assumed_s: with `failure_s=None`, the mean that is assumed before any failure: it counts as one failure seen.
    """

    failure_s: float | None = None
    first_s: float = 1.0
    assumed_s: float = 3600.0

    def begin(self, seed: int) -> CheckpointPolicy:
        """Return the policy."""
        told_us = None if self.failure_s is None else _positive("failure_s", self.failure_s)
        return _YoungDaly(told_us, _positive("first_s", self.first_s), _positive("assumed_s", self.assumed_s))


class _YoungDaly:
    def __init__(self, told_us: int | None, first_us: int, assumed_us: int) -> None:
        self._told_us, self._first_us, self._assumed_us = told_us, first_us, assumed_us

    def interval_us(self, seen: Observation) -> int:
        if not seen.cost_us:
            return self._first_us
        measured_us = (self._assumed_us + seen.lived_us) // (1 + seen.failures)
        return max(1, young_daly_us(seen.cost_us, self._told_us or measured_us))

    def learn(self, period: Period) -> None:
        """The host counts failures and measures the cost."""


class Bandit(Struct, frozen=True):
    """Learns the interval from what each has cost: a bandit over intervals that double.

    The waste of an interval (what its checkpoints cost, and the work lost, by time) falls and then rises with the
    interval. So only the best so far and its two neighbours are tried, by the lower end of what their waste may be; one
    loss of half its length is always thought possible. Model-free, and slow for that: see `Hindsight`.

    Args:
        first_s: where it begins: the formula's value, or a guess.
        least_s, most_s: bounds of what it tries.
        memory_s: seconds after which what was learnt counts half; 0: it counts for good. Rates that drift need it.

    Source: Combes and Proutiere 2014 (unimodal bandits: the best and its neighbours); Garivier and Moulines 2011
    (discounting); Audibert, Munos and Szepesvari 2009 (bounds from the measured variance).
    """

    first_s: float = 1.0
    least_s: float = 0.05
    most_s: float = 3600.0
    memory_s: float = 0.0

    def begin(self, seed: int) -> CheckpointPolicy:
        """Return a learner that knows nothing yet."""
        first, arms = _arms(self.first_s, self.least_s, self.most_s, ARMS_RATIO)
        return _Bandit(Ladder(arms, first, self.memory_s * 1e6, Random(seed)))


class _Bandit:
    def __init__(self, ladder: "Ladder") -> None:
        self._ladder = ladder
        self._at = ladder.first

    def interval_us(self, seen: Observation) -> int:
        self._at = self._ladder.choose()
        return self._ladder.arms[self._at]

    def learn(self, period: Period) -> None:
        """Count what a period has wasted, if this host had chosen its interval: others' say nothing of a choice."""
        if period.wanted_us:
            wasted_us = min(period.span_us, period.cost_us) + period.lost_us
            self._ladder.learn(self._at, wasted_us, period.span_us)


class Hindsight(Struct, frozen=True):
    """Learns the interval by asking, at each failure, what every other interval would have cost.

    When failures come does not hang on when checkpoints are made. So one gap between failures tells of all intervals at
    once, given what a checkpoint costs by its interval, and what is lost with a stretch of work beyond that stretch (by
    its square): two lines, fitted to what was paid. Nothing is assumed of how failures come, or of their rate.

    Args:
        first_s: where it begins: it counts as one failure seen, at the rate for which the formula would say so.
        least_s, most_s: bounds of what it chooses.
        remembers: gaps that it goes by, at most: the newest. Fewer follow a drift sooner.

    Source: prediction with expert advice, where every expert's loss is seen: follow the leader (Cesa-Bianchi and Lugosi
    2006, chapter 3).
    """

    first_s: float = 1.0
    least_s: float = 0.05
    most_s: float = 3600.0
    remembers: int = 64

    def begin(self, seed: int) -> CheckpointPolicy:
        """Return a learner that knows nothing yet."""
        first, arms = _arms(self.first_s, self.least_s, self.most_s, FINE_RATIO)
        if self.remembers < 1:
            raise ConfigInvalid(f"remembers={self.remembers}: at least 1. Nothing was started.")
        return _Hindsight(arms, first, self.remembers, Random(seed))


class _Hindsight:
    def __init__(self, arms: list[int], first: int, remembers: int, chance: Random) -> None:
        self._arms = arms
        self._first = first
        self._chance = chance
        self._gaps: deque[float] = deque(maxlen=remembers)
        self._gap = 0.0
        """Time since the last failure."""
        self._price = Line()
        self._harm = Line()
        """What is lost beyond the stretch itself, by its square."""
        self._best = first
        self._past: list[float] = []
        """What the gaps that are over would have cost, by interval; empty: one more is over."""

    def interval_us(self, seen: Observation) -> int:
        if self._price.is_known():
            self._past = self._past or [self._cost(interval) for interval in self._arms]
            # The gap that goes on has cost checkpoints, and no loss yet.
            costs = [past + self._made(at) for past, at in zip(self._past, self._arms, strict=True)]
            self._best = min(range(len(costs)), key=costs.__getitem__)
        # Now and then one beside it: what a checkpoint costs by its interval shows only if that varies.
        step = self._chance.choice((-1, 0, 0, 1))
        return self._arms[min(max(self._best + step, 0), len(self._arms) - 1)]

    def learn(self, period: Period) -> None:
        """Take in a period, whoever has begun it."""
        if not period.lost_us:
            self._gap += period.span_us
            self._price.add(max(0, period.span_us - period.cost_us), period.cost_us)
        else:
            self._gaps.append(self._gap + period.span_us)
            self._gap, self._past = 0.0, []
            self._harm.add(period.span_us**2, max(0, period.lost_us - period.span_us))

    def _cost(self, interval: float) -> float:
        price = self._price.at(interval)
        cost = 0.0
        for gap in (*self._assumed(), *self._gaps):
            made, left = divmod(gap, interval + price)
            cost += made * price + left + self._harm.at(left * left)
        return cost

    def _made(self, interval: float) -> float:
        price = self._price.at(interval)
        return self._gap // (interval + price) * price

    def _assumed(self) -> list[float]:
        """Return gaps like those at the rate for which the formula would begin where this does."""
        first = self._arms[self._first]
        mean = first * first / (2 * max(1.0, self._price.at(first)))
        # The quartiles' middles of an exponential distribution stand for one failure; left off once there are some.
        return [-mean * log(1 - part) for part in (0.125, 0.375, 0.625, 0.875)] if len(self._gaps) < ENOUGH else []


class Line:
    """A cost by a length, fitted by least squares: neither its start nor its slope is below 0."""

    def __init__(self) -> None:
        self._n = self._x = self._y = self._xx = self._xy = 0.0

    def add(self, x: float, y: float) -> None:
        """Take in a point; older ones count a little less."""
        keep = FIT_KEEP
        self._n, self._x, self._y = self._n * keep + 1, self._x * keep + x, self._y * keep + y
        self._xx, self._xy = self._xx * keep + x * x, self._xy * keep + x * y

    def is_known(self) -> bool:
        """Tell whether there is a point."""
        return self._n > 0

    def at(self, x: float) -> float:
        """Return the cost at a length; 0 while there is no point."""
        if not self._n:
            return 0.0
        spread = self._n * self._xx - self._x * self._x
        slope = (self._n * self._xy - self._x * self._y) / spread if spread > 1e-6 * self._n * self._xx else 0.0
        slope = min(max(slope, 0.0), self._y / self._x if self._x else 0.0)
        return max(0.0, (self._y - slope * self._x) / self._n) + slope * x


class Ladder:
    """What each of a row of choices has cost, by time or by use; the heart of the learners.

    Args:
        arms: the choices, rising. The cost of one is thought to fall and then rise along them.
        first: where to begin.
        half_life: in the unit of `span`: after so much of it what was learnt counts half; 0: never.
        chance: decides between neighbours of which nothing is known.
    """

    def __init__(self, arms: list[int], first: int, half_life: float, chance: Random) -> None:
        self.arms = arms
        self.first = first
        self._half_life = half_life
        self._chance = chance
        self._cost = [0.0] * len(arms)
        self._squares = [0.0] * len(arms)
        self._spans = [0.0] * len(arms)
        self._uses = [0.0] * len(arms)
        self._tries = [0] * len(arms)
        """The same without forgetting."""

    def learn(self, at: int, cost: float, span: float) -> None:
        """A choice was used for a span, and has cost so much."""
        if self._half_life:
            keep = 0.5 ** (span / self._half_life)
            for table in (self._cost, self._squares, self._spans, self._uses):
                table[:] = [value * keep for value in table]
        self._cost[at] += cost
        self._squares[at] += cost * cost
        self._spans[at] += span
        self._uses[at] += 1.0
        self._tries[at] += 1

    def best(self) -> int:
        """Return the choice that is surest to cost little, or the first while nothing is known."""
        known = [at for at, uses in enumerate(self._uses) if uses >= USES_MIN]
        # By the upper end: who was lucky once is not the best yet.
        return min(known, key=lambda at: (self._mean(at) + self._spread(at), at), default=self.first)

    def choose(self) -> int:
        """Return the best or one of its neighbours: whichever may cost least."""
        best = self.best()
        if self._tries[best] < PATIENCE:
            return best
        near = [at for at in (best - 1, best, best + 1) if 0 <= at < len(self.arms)]
        self._chance.shuffle(near)
        fresh = [at for at in near if self._uses[at] < USES_MIN]
        return fresh[0] if fresh else min(near, key=lambda at: self._mean(at) - self._spread(at))

    def _mean(self, at: int) -> float:
        return self._cost[at] / self._spans[at]

    def _spread(self, at: int) -> float:
        """Return how far from its mean a choice's cost may be; one cost of half its size is always thought possible."""
        squares = max(0.0, self._squares[at] - self._cost[at] ** 2 / self._uses[at]) + (self.arms[at] / 2) ** 2
        return sqrt(CONFIDENCE * log(1.0 + sum(self._uses)) * squares) / self._spans[at]


def _arms(first_s: float, least_s: float, most_s: float, ratio: float) -> tuple[int, list[int]]:
    """Return intervals in microseconds, each `ratio` times the one before, and where the first is among them.

    Raises: ConfigInvalid.
    """
    given = (("first_s", first_s), ("least_s", least_s), ("most_s", most_s))
    first, least, most = (_positive(name, value) for name, value in given)
    if not least <= first <= most:
        raise ConfigInvalid(f"first_s={first_s}: between least_s={least_s} and most_s={most_s}. Nothing was started.")
    down, up = (int(log(share, ratio)) for share in (first / least, most / first))
    return down, [round(first * ratio**at) for at in range(-down, up + 1)]


def _positive(name: str, value_s: float) -> int:
    """Return seconds as microseconds.

    Raises: ConfigInvalid.
    """
    if not 0 < value_s < 1e9:
        raise ConfigInvalid(f"{name}={value_s}: seconds, more than 0. Nothing was started.")
    return max(1, round(value_s * 1e6))
