"""From which score on a suspicion counts: a limit that learns from what came of earlier ones.

A bandit with the limits as its arms, in the context of one detector. What each arm would have cost is known for each
step of which the truth came out, so one such step teaches all arms. But it comes out for steps above the limit, and of
those below for the few that were audited by chance: each counts with one over the chance with which it came out
(inverse propensity: Horvitz and Thompson 1952; self-normalized: Swaminathan and Joachims 2015). The same estimates
tell what a limit would have cost on a log before it is let loose.
"""

from collections.abc import Sequence
from math import sqrt

from msgspec import Struct


class Labelled(Struct, frozen=True, array_like=True):
    """A step of which the truth has come out."""

    score: float
    wrong: bool
    propensity: float = 1.0
    """The chance with which it came out: 1 above the limit."""

    @property
    def weight(self) -> float:
        """How many steps of its kind it stands for."""
        return 1.0 / self.propensity


class Learned(Struct, frozen=True):
    """A limit that learns.

    Args:
        low, high: it never leaves these, in units of the detector's own limit.
        arms: limits that are tried, equally far apart by ratio.
        first: the one to begin with: the detector's own.
        explore: the chance with which a step just below the limit is audited; it falls with the square of the score,
            and below `low` none is, since no limit would have raised an alarm there. 0: none is, and it only rises.
        miss: what a wrong step costs that no alarm was raised for.
        alarm: what any alarm costs: somebody has to look.
        vain: what one costs besides that was false.
        patience: labelled steps before it moves at all.
        margin: it moves only where the better limit is better by so many standard errors: hysteresis.
        keep: labelled steps that it remembers; of these each counts `fade` times the next one.
        fade: how soon it forgets.
    """

    low: float = 0.5
    high: float = 4.0
    arms: int = 13
    first: float = 1.0
    explore: float = 0.3
    miss: float = 100.0
    alarm: float = 2.0
    vain: float = 10.0
    patience: int = 12
    margin: float = 1.0
    keep: int = 200
    fade: float = 0.98

    def limits(self) -> tuple[float, ...]:
        """Return the limits that are tried."""
        ratio = (self.high / self.low) ** (1 / max(1, self.arms - 1))
        return tuple(self.low * ratio**at for at in range(self.arms))

    def audit(self, score: float, limit: float) -> float:
        """Return the chance with which a step of a score below the limit is looked at all the same."""
        return self.explore * (score / limit) ** 2 if self.low <= score < limit else 0.0

    def cost(self, limit: float, step: Labelled) -> float:
        """Return what a step costs under a limit."""
        if step.score < limit:
            return self.miss * step.wrong
        return self.alarm + (0.0 if step.wrong else self.vain)

    def next(self, limit: float, known: Sequence[Labelled]) -> float:
        """Return the limit from now on.

        Args:
            limit: the one until now.
            known: labelled steps, oldest first.
        """
        known = known[-self.keep :]
        if len(known) < self.patience:
            return limit
        weights = [self.fade**age * step.weight for age, step in zip(reversed(range(len(known))), known, strict=True)]
        best, gain = limit, 0.0
        for arm in self.limits():
            saved = [
                weight * (self.cost(limit, step) - self.cost(arm, step))
                for weight, step in zip(weights, known, strict=True)
            ]
            error = sqrt(sum(each * each for each in saved))
            if sum(saved) > max(gain, self.margin * error):
                best, gain = arm, sum(saved)
        return best


class Estimate(Struct, frozen=True):
    """What a limit would have cost a step, and half the width of its 95 % confidence interval."""

    limit: float
    cost: float
    half: float


def off_policy(learned: Learned, known: Sequence[Labelled], limits: Sequence[float] = ()) -> list[Estimate]:
    """Return what each limit would have cost on a log, from the steps of which the truth came out under another one.

    Args:
        learned: has the costs.
        known: those steps, each with the chance with which it came out: audits below the limit must be among them.
        limits: which; none: those that the learner tries.
    """
    total = sum(step.weight for step in known)
    found: list[Estimate] = []
    for limit in limits or learned.limits():
        costs = [(step.weight, learned.cost(limit, step)) for step in known]
        mean = sum(weight * cost for weight, cost in costs) / total if total else 0.0
        spread = sqrt(sum((weight * (cost - mean)) ** 2 for weight, cost in costs)) / total if total else 0.0
        found.append(Estimate(limit, mean, 1.96 * spread))
    return found
