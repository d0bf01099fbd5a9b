"""A limit that learns beside fixed ones, on a chart over a stream in which what goes wrong drifts.

    python -m sims.studies.limits

A step reports a number; a Shewhart chart calls it wrong from three standard deviations on, its own limit. What a step
costs is reckoned as `peer.watching.Learned` has it. Whoever looks at a step finds the truth; the learner has a few of
those below its limit audited, and pays for that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, pi, sqrt
from random import Random
from statistics import mean, stdev

from msgspec.structs import replace

from peer.detectors import Seen, Shewhart
from peer.watching.limits import Labelled, Learned
from protocol.ids import StepId

STEPS = 20_000
SEEDS = 20
RATE = 0.02
"""Of wrong steps."""


@dataclass(frozen=True)
class Case:
    """How a stream behaves: of each moment from 0 to 1, by how many standard deviations what is wrong is off, and by
    how much normal steps spread."""

    name: str
    size: Callable[[float], float]
    spread: Callable[[float], float] = lambda at: 1.0


def _wave(low: float, high: float, turns: int = 1) -> Callable[[float], float]:
    return lambda at: low + (high - low) * (1 + cos(2 * pi * turns * at)) / 2


CASES = (
    Case("steady: off by 4", lambda at: 4.0),
    Case("drifting fault: off by 6, then 2.5, then 6", _wave(2.5, 6.0)),
    Case("drifting fault, twice", _wave(2.5, 6.0, 2)),
    Case("drifting normal: it spreads 1, then 2.2, then 1; off by 8", lambda at: 8.0, _wave(2.2, 1.0)),
    Case("both: spread 1 to 2 and off by 4 to 8", lambda at: 4.0 + 4.0 * at, lambda at: 1.0 + at),
)


@dataclass(frozen=True)
class Stream:
    """Scores of a chart, and the truth."""

    scores: tuple[float, ...]
    wrong: tuple[bool, ...]


def stream(case: Case, seed: int, steps: int = STEPS) -> Stream:
    """Draw a stream, and have the chart look at it."""
    chance = Random(f"{case.name}/{seed}")
    watch = Shewhart("value", limit=3.0, mean=0.0, sd=1.0).begin()
    scores: list[float] = []
    truth: list[bool] = []
    for number in range(steps):
        at = number / steps
        wrong = chance.random() < RATE
        off = case.size(at) * chance.choice((-1, 1)) if wrong else 0.0
        value = chance.gauss(off, case.spread(at))
        found = watch.see(Seen(StepId("a", 1, number + 1), "int", 0, scores={"value": value}))
        scores.append(0.0 if found is None else found.score)
        truth.append(wrong)
    return Stream(tuple(scores), tuple(truth))


def fixed(found: Stream, limit: float, costs: Learned) -> float:
    """Return what a limit costs that never moves, per 1,000 steps."""
    pairs = zip(found.scores, found.wrong, strict=True)
    return 1000 * sum(costs.cost(limit, Labelled(*pair)) for pair in pairs) / len(found.scores)


def learning(found: Stream, learned: Learned, seed: int) -> float:
    """Return what the learner costs, per 1,000 steps, its audits included."""
    chance = Random(f"audit/{seed}")
    limit, known, cost = learned.first, list[Labelled](), 0.0
    for score, wrong in zip(found.scores, found.wrong, strict=True):
        cost += learned.cost(limit, Labelled(score, wrong))
        if score >= limit:
            known.append(Labelled(score, wrong))
        elif chance.random() < (audit := learned.audit(score, limit)):
            known.append(Labelled(score, wrong, audit))
            # Somebody has looked, and what is found wrong does not stay.
            cost += learned.alarm - learned.miss * wrong
        else:
            continue
        known = known[-learned.keep :]
        limit = learned.next(limit, known)
    return 1000 * cost / len(found.scores)


@dataclass(frozen=True)
class Line:
    """One case: costs per 1,000 steps, means over seeds."""

    case: str
    own: float
    """Of the chart's own limit, by which its run length is as published."""
    best: float
    """Of the limit that was best for all seeds together, found in hindsight."""
    best_limit: float
    learned: float
    error: float
    """The standard error of the learner's regret."""
    blind: float
    """Of a learner that audits nothing."""

    @property
    def regret(self) -> float:
        """What the learner costs more than the best fixed limit; below 0: less."""
        return self.learned - self.best


def study(case: Case, seeds: Sequence[int], learned: Learned | None = None, steps: int = STEPS) -> Line:
    """Run one case."""
    learner = learned or Learned()
    streams = {seed: stream(case, seed, steps) for seed in seeds}
    by_limit = {limit: [fixed(each, limit, learner) for each in streams.values()] for limit in learner.limits()}
    best = min(by_limit, key=lambda limit: mean(by_limit[limit]))
    costs = [learning(each, learner, seed) for seed, each in streams.items()]
    blind = [learning(each, replace(learner, explore=0.0), seed) for seed, each in streams.items()]
    regrets = [cost - other for cost, other in zip(costs, by_limit[best], strict=True)]
    return Line(
        case.name, mean(fixed(each, 1.0, learner) for each in streams.values()), mean(by_limit[best]), best,
        mean(costs), stdev(regrets) / sqrt(len(regrets)) if len(regrets) > 1 else 0.0, mean(blind),
    )  # fmt: skip


def main() -> None:
    """Print the table."""
    print("| case | chart's own limit | best fixed (which) | learned | regret | learned, no audits |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for case in CASES:
        line = study(case, range(SEEDS))
        print(
            f"| {line.case} | {line.own:.0f} | {line.best:.0f} ({line.best_limit:.2f}) | {line.learned:.0f} |"
            f" {line.regret:+.0f} ± {line.error:.0f} | {line.blind:.0f} |"
        )


if __name__ == "__main__":
    main()
