"""Policies of how many steps to go back when it is not known which one went wrong: by formula, or learned.

A fault shows some steps after it began. Too short a way back leaves it in, and has been in vain: it shows again, and
one goes back twice as far. Too long a way undoes innocent steps. `sims.studies.depths` does it in a world.
"""

from collections import deque
from math import log
from random import Random
from typing import Protocol

from msgspec import Struct

from peer.errors import ConfigInvalid
from peer.policies import Ladder

QUANTILES = 64
"""Points that stand for a distribution."""


class Found(Struct, frozen=True):
    """What became of one fault, once it is gone. All in steps of the agent."""

    depth: int
    """How far back one went at first."""
    age: int
    """How far back that would have had to be: how many steps old the fault was, the wrong one included."""
    cost: float
    """What it has cost: see `cost_of`."""


class DepthPolicy(Protocol):
    """Says how far to go back at first, and learns from what that has cost."""

    def depth(self) -> int:
        """Return how many steps to go back: at least 1."""
        ...

    def learn(self, found: Found) -> None:
        """A fault is gone."""
        ...


class DepthMaker(Protocol):
    """A policy as a value."""

    def begin(self, seed: int) -> DepthPolicy:
        """Return a policy that has learnt nothing yet; its chance comes from the seed."""
        ...


class Costs(Struct, frozen=True):
    """What going back costs besides innocent steps."""

    again: int = 4
    """Steps until a fault that was left in shows again: they are in vain, too."""
    miss: float = 10.0
    """What each way that was too short costs besides the steps that it has undone in vain, in steps: people, votes."""


def cost_of(depth: int, age: int, costs: Costs) -> float:
    """Return what going back `depth` steps at first costs for a fault of an age: steps undone that were not wrong.

    What is undone in vain counts, and at last the steps before the wrong one.
    """
    cost = 0.0
    while depth < age:
        cost += depth + costs.miss
        age += costs.again
        depth *= 2
    return cost + depth - age


class FixedDepth(Struct, frozen=True):
    """Always the same depth."""

    steps: int

    def begin(self, seed: int) -> DepthPolicy:
        """Return the policy."""
        return _Chosen(_at_least_one("steps", self.steps))


class ExpectedDepth(Struct, frozen=True):
    """The depth that costs least if faults show after a time of an exponential distribution.

    Args:
        mean_steps: its mean.
        costs: what going back costs.
    """

    mean_steps: float
    costs: Costs = Costs()

    def begin(self, seed: int) -> DepthPolicy:
        """Return the policy."""
        if not 0 < self.mean_steps < 1e6:
            raise ConfigInvalid(f"mean_steps={self.mean_steps}: more than 0. Nothing was started.")
        middles = [(at + 0.5) / QUANTILES for at in range(QUANTILES)]
        ages = [1 + round(-self.mean_steps * log(1 - middle)) for middle in middles]
        return _Chosen(_best(ages, self.costs))


class _Chosen:
    def __init__(self, steps: int) -> None:
        self._steps = steps

    def depth(self) -> int:
        return self._steps

    def learn(self, found: Found) -> None:
        """There is nothing to learn."""


class BanditDepth(Struct, frozen=True):
    """Learns from what each depth has cost, among those that double; see `peer.policies.Bandit`.

    Args:
        first: where it begins.
        most: the greatest that it tries.
        memory: faults after which what was learnt counts half; 0: it counts for good.
    """

    first: int = 8
    most: int = 1024
    memory: int = 0

    def begin(self, seed: int) -> DepthPolicy:
        """Return a learner that knows nothing yet."""
        first, most = _at_least_one("first", self.first), _at_least_one("most", self.most)
        arms = [1 << at for at in range(most.bit_length())]
        at = min(range(len(arms)), key=lambda at: abs(arms[at] - first))
        return _BanditDepth(Ladder(arms, at, self.memory, Random(seed)))


class _BanditDepth:
    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        self._at = ladder.first

    def depth(self) -> int:
        self._at = self._ladder.choose()
        return self._ladder.arms[self._at]

    def learn(self, found: Found) -> None:
        """Count what the depth has cost."""
        self._ladder.learn(self._at, found.cost, 1.0)


class HindsightDepth(Struct, frozen=True):
    """Chooses what would have cost least for the faults that it remembers: their ages come out in the end.

    Args:
        first: where it begins.
        remembers: how many faults, the newest: fewer follow a drift sooner.
        costs: what going back costs.
    """

    first: int = 8
    remembers: int = 64
    costs: Costs = Costs()

    def begin(self, seed: int) -> DepthPolicy:
        """Return a learner that knows nothing yet."""
        first, remembers = _at_least_one("first", self.first), _at_least_one("remembers", self.remembers)
        return _HindsightDepth(first, deque(maxlen=remembers), self.costs)


class _HindsightDepth:
    def __init__(self, first: int, ages: deque[int], costs: Costs) -> None:
        self._depth = first
        self._ages = ages
        self._costs = costs

    def depth(self) -> int:
        return self._depth

    def learn(self, found: Found) -> None:
        """Look at all depths anew."""
        self._ages.append(found.age)
        self._depth = _best(list(self._ages), self._costs)


def _best(ages: list[int], costs: Costs) -> int:
    """Return the depth that costs least for faults of these ages: that is one of them."""
    return min(sorted(set(ages)), key=lambda depth: sum(cost_of(depth, age, costs) for age in ages))


def _at_least_one(name: str, steps: int) -> int:
    if steps < 1:
        raise ConfigInvalid(f"{name}={steps}: at least 1. Nothing was started.")
    return steps
