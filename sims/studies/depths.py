"""Going back when it is not known which step went wrong: in a world, and when learning how far pays.

`python -m sims.studies.depths` prints the table of docs/policies.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from peer.depths import (
    BanditDepth,
    Costs,
    DepthMaker,
    DepthPolicy,
    ExpectedDepth,
    FixedDepth,
    Found,
    HindsightDepth,
    cost_of,
)
from protocol.ids import AgentId, StepId
from sims.studies.sweeping import sweep
from sims.virtual.chance import stream

if TYPE_CHECKING:
    import pandas

    from sims.world import World

FAULTS = 400
"""How many a run has, one after the other."""
COSTS = Costs()


class GoingBack:
    """One fault of an agent, of which it is not known when it began: goes back, and twice as far if that was too short.

    Args:
        world: where the agent lives; no time passes in it but by `back`.
        agent: whose fault it is.
        policy: how far to go at first.
        costs: what going back costs.
    """

    def __init__(self, world: World, agent: AgentId, policy: DepthPolicy, costs: Costs = COSTS) -> None:
        self.world = world
        self.agent = agent
        self.first = self.depth = policy.depth()
        self._policy = policy
        self._costs = costs
        self._vain = 0.0
        self._last: tuple[StepId, ...] = ()

    def back(self, inputs: str = "retry", reason: str = "") -> tuple[StepId, ...]:
        """Roll the last steps back, with all that hangs on them, until the world is at rest; return what was undone.

        Called again, the way before was in vain, and this one is twice as long.
        """
        if self._last:
            self._vain += len(self._last) + self._costs.miss
            self.depth *= 2
        steps = self.world.steps_of(self.agent)[-self.depth :]
        outcome = self.world.rollback(*steps, inputs=inputs, reason=reason or f"{self.depth} steps back")
        self.world.settle()
        self._last = tuple(step for step in outcome.undone if step.agent == self.agent)
        return outcome.undone

    def over(self, wrong: StepId, age: int) -> Found:
        """The fault is gone, and this step was it, so many steps old when it first showed: tell the policy."""
        innocent = sum(step < wrong for step in self._last)
        found = Found(self.first, age, self._vain + innocent)
        self._policy.learn(found)
        return found


class Ages(Struct, frozen=True):
    """How many steps old faults are when they show."""

    mean: float = 8.0
    told: float = 8.0
    """The mean that the formula is told."""
    late: float = 0.0
    """Share of faults of another kind, that show after 50 to 70 steps."""
    then: float = 0.0
    """The mean of the second half of a run; 0: it stays."""

    def draw(self, rng: Random, count: int) -> Iterator[int]:
        """Yield as many."""
        for number in range(count):
            mean = self.then if self.then and number >= count // 2 else self.mean
            short = 1 + round(rng.expovariate(1 / mean))
            far = rng.randint(50, 70)
            yield far if rng.random() < self.late else short


CASES: dict[str, Ages] = {
    "well known": Ages(),
    "told 8, is 40": Ages(mean=40.0),
    "told 40, is 8": Ages(told=40.0),
    "two kinds": Ages(mean=3.0, late=0.25, told=0.75 * 3 + 0.25 * 60),
    "8, later 60": Ages(then=60.0),
}


def policies(case: Ages) -> dict[str, DepthMaker]:
    """Return the policies that are compared."""
    first = ExpectedDepth(case.told, COSTS).begin(0).depth()
    return {
        "formula": ExpectedDepth(case.told, COSTS),
        "bandit": BanditDepth(first),
        "hindsight": HindsightDepth(first, costs=COSTS),
    }


def run(case: Ages, policy: DepthPolicy, seed: int) -> float:
    """Return what a fault costs on average: steps undone that were not wrong."""
    total = 0.0
    for age in case.draw(stream(seed, "faults"), FAULTS):
        depth = policy.depth()
        cost = cost_of(depth, age, COSTS)
        policy.learn(Found(depth, age, cost))
        total += cost
    return total / FAULTS


def build(seed: int, case: str, policy: str) -> dict[str, float]:
    """One run of the sweep; `policy` is a name, or a fixed depth."""
    chosen = CASES[case]
    made = policies(chosen)[policy] if policy in policies(chosen) else FixedDepth(int(policy))
    return {"cost": run(chosen, made.begin(seed), seed)}


def depth_sweep(seeds: int = 20, processes: int = 1, progress: bool = False) -> pandas.DataFrame:
    """Compare the policies in every case: a row each, with the mean cost of a fault, in steps."""
    import pandas

    fixed = [str(depth) for depth in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 72, 96, 128)]
    names = list(policies(Ages()))
    rows = sweep(build, {"case": list(CASES), "policy": fixed + names}, range(seeds), processes, progress=progress)
    table = pandas.DataFrame(rows).groupby(["case", "policy"])["cost"].agg(["mean", "sem"]).reset_index()
    found: list[dict[str, Any]] = []
    for case in CASES:
        by_policy = table[table["case"] == case].set_index("policy")
        best = str(by_policy.loc[fixed, "mean"].astype(float).idxmin())
        row: dict[str, Any] = {"case": case, "best fixed": by_policy.loc[best, "mean"], "at": int(best)}
        for name in names:
            row[name], row[f"{name} ±"] = by_policy.loc[name, "mean"], by_policy.loc[name, "sem"]
        found.append(row)
    return pandas.DataFrame(found)


if __name__ == "__main__":
    import os

    print(depth_sweep(processes=os.cpu_count() or 1, progress=True).round(2).to_string(index=False))
