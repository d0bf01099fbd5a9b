"""When learning how often to make a checkpoint beats Young and Daly's formula, and when not.

Run it with `python -m sims.studies.learning`.

A machine works, makes checkpoints as a policy says, and fails as a case says; what a failure undoes is done again. The
policies are those that hosts use (`peer.policies`), told what hosts tell them. What is counted is waste: checkpoints,
lost work and recoveries, by time. No world is simulated: a case takes days of its time, and only its costs matter.
"""

from collections.abc import Iterator
from math import inf, sqrt
from random import Random
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from peer.policies import Bandit, Fixed, Hindsight, YoungDaly
from protocol.policy import CheckpointPolicy, Observation, Period, PolicyMaker
from sims.studies.sweeping import sweep
from sims.virtual.chance import stream

if TYPE_CHECKING:
    import pandas

RECOVERY_S = 10.0
"""What a failure costs besides the work that it undoes: nobody can help that."""
FAILURES = 200
"""How long a run is: so many mean times between failures."""


class Case(Struct, frozen=True):
    """How a machine fails, what a checkpoint costs it, and what its owner thinks."""

    mtbf_s: float = 1800.0
    """Mean time between failures, in the long run."""
    told: float = 1.0
    """By what the mean that the formula is told is wrong."""
    swing: float = 1.0
    """How many times as often it fails in bad times as in good ones; they take turns."""
    regime_s: float = inf
    """How long either lasts."""
    burst: int = 1
    """How many failures come at once, a minute apart on average."""
    cost_s: float = 2.0
    """What a checkpoint costs, whatever it holds."""
    cost_share: float = 0.0
    """And by the length of its interval: differential snapshots hold what has changed."""
    spread_s: float = inf
    """After how long a wrong step has done as much harm elsewhere as here: lost work costs that much more."""

    def failures(self, rng: Random) -> Iterator[float]:
        """Yield the times of failures, in seconds."""
        at = 0.0
        # The mean of the two rates is the long run's.
        good = 2 / (1 + self.swing) / self.mtbf_s
        while True:
            for number in range(self.burst):
                if number:
                    at += rng.expovariate(1 / 60)
                    yield at
                    continue
                left = rng.expovariate(1.0) * self.burst
                while True:
                    is_bad = self.regime_s < inf and int(at // self.regime_s) % 2 == 1
                    rate = good * (self.swing if is_bad else 1.0) if self.regime_s < inf else 1 / self.mtbf_s
                    end = (at // self.regime_s + 1) * self.regime_s if self.regime_s < inf else inf
                    if at + left / rate <= end:
                        at += left / rate
                        break
                    left -= (end - at) * rate
                    at = end
                yield at

    def lost(self, span_s: float) -> float:
        """Return what a failure costs that undoes so much time's work."""
        return span_s * (1 + span_s / self.spread_s)


CASES: dict[str, Case] = {
    "steady, well known": Case(),
    "told 30 times too rare": Case(told=30.0),
    "told 30 times too often": Case(told=1 / 30),
    "good and bad hours": Case(swing=30.0, regime_s=4 * 3600.0),
    "bursts of 10": Case(burst=10),
    "differential snapshots": Case(cost_share=0.1),
    "harm that spreads": Case(spread_s=60.0),
    "harm, told 30 times too rare": Case(spread_s=60.0, told=30.0),
}
"""What the page shows: docs/policies.md."""


def policies(case: Case) -> dict[str, PolicyMaker]:
    """Return the policies that are compared, each as its owner would set it up for a case."""
    told_s = case.mtbf_s * case.told
    first_s = sqrt(2 * case.cost_s * told_s)
    least_s, most_s = first_s / 64, first_s * 64
    return {
        "formula, told": YoungDaly(failure_s=told_s, first_s=first_s),
        "formula, measured": YoungDaly(first_s=first_s, assumed_s=told_s),
        "bandit": Bandit(first_s, least_s, most_s),
        "hindsight": Hindsight(first_s, least_s, most_s),
    }


def run(case: Case, policy: CheckpointPolicy, seed: int) -> float:
    """Let a machine work for `FAILURES` mean times between failures; return the share of time that it has wasted."""
    failures = case.failures(stream(seed, "failures"))
    fails, end = next(failures), FAILURES * case.mtbf_s
    now = useful = cost = 0.0
    seen = 0
    while now < end:
        wanted_us = policy.interval_us(Observation(us(now), us(cost), seen, us(now)))
        wanted = wanted_us / 1e6
        price = case.cost_s + case.cost_share * wanted
        if now + wanted + price <= fails:
            cost = price
            useful += wanted
            now += wanted + price
            policy.learn(Period(wanted_us, us(wanted + price), us(price), 0))
            continue
        # Nothing since the last checkpoint counts, and harm elsewhere is made good in time that would be of use.
        lost = case.lost(fails - now)
        policy.learn(Period(wanted_us, max(1, us(fails - now)), 0, us(lost)))
        now += lost + RECOVERY_S
        seen += 1
        while fails <= now:
            fails = next(failures)
    return 1 - useful / now


def us(seconds: float) -> int:
    """Return seconds as microseconds."""
    return round(seconds * 1e6)


def build(seed: int, case: str, policy: str) -> dict[str, float]:
    """One run of the sweep; `policy` is a name, or the seconds of a fixed interval."""
    chosen = CASES[case]
    made = policies(chosen)[policy] if policy in policies(chosen) else Fixed(float(policy))
    return {"waste": 100 * run(chosen, made.begin(seed), seed)}


def learning_sweep(seeds: int = 20, processes: int = 1, progress: bool = False) -> "pandas.DataFrame":
    """Compare the policies in every case: a row each, with percent of time wasted, the mean over seeds.

    The first column is the best fixed interval, found with hindsight among those that double: no policy that stays
    with one interval can do better.
    """
    import pandas

    fixed = [str(round(10 * 2 ** (at / 2), 1)) for at in range(-4, 16)]
    names = list(policies(Case()))
    rows = sweep(build, {"case": list(CASES), "policy": fixed + names}, range(seeds), processes, progress=progress)
    table = pandas.DataFrame(rows).groupby(["case", "policy"])["waste"].agg(["mean", "sem"]).reset_index()
    found: list[dict[str, Any]] = []
    for case in CASES:
        by_policy = table[table["case"] == case].set_index("policy")
        best = by_policy.loc[fixed, "mean"].astype(float).idxmin()
        row: dict[str, Any] = {"case": case, "best fixed": by_policy.loc[best, "mean"], "at s": float(str(best))}
        for name in names:
            row[name], row[f"{name} ±"] = by_policy.loc[name, "mean"], by_policy.loc[name, "sem"]
        found.append(row)
    return pandas.DataFrame(found)


if __name__ == "__main__":
    import os

    table = learning_sweep(processes=os.cpu_count() or 1, progress=True)
    print(table.round(2).to_string(index=False))
