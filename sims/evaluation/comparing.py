"""Contenders side by side: the same faults, over the same seeds, and what each came to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

from peer.errors import CallerError
from peer.evaluation import Measures, Utility
from peer.evaluation.utility import worth
from sims.evaluation.contenders import Checking, Contender, detectors_of
from sims.evaluation.intervals import Interval, interval, paired
from sims.evaluation.playing import normal_steps, played
from sims.evaluation.settings import Setting

TRAIN_SEEDS = (1001, 1002, 1003)
"""Of the normal runs that detectors are trained on."""
Told = Callable[[int, int], None]
"""Told how many runs are over, of how many."""


@dataclass(frozen=True)
class Run:
    """One contender, one fault, one seed."""

    kind: str
    contender: str
    seed: int
    measures: Measures
    worth: float | None


@dataclass(frozen=True)
class Comparison:
    """What has come of it."""

    setting: str
    contenders: tuple[str, ...]
    kinds: tuple[str, ...]
    seeds: tuple[int, ...]
    detectors: tuple[str, ...]
    utility: str
    runs: tuple[Run, ...]

    def values(self, kind: str, contender: str, name: str) -> list[float | None]:
        """Return a measure, or `utility`, of each run, in the order of seeds."""
        found = [run for run in self.runs if (run.kind, run.contender) == (kind, contender)]
        return [run.worth if name == "utility" else getattr(run.measures, name) for run in found]

    def of(self, kind: str, contender: str, name: str) -> Interval | None:
        """Return a measure's mean over the runs in which it is known; None: in none."""
        known = [value for value in self.values(kind, contender, name) if value is not None]
        return interval(known) if known else None

    def difference(self, kind: str, contender: str, name: str) -> Interval | None:
        """Return by how much it is above the first contender's, over the seeds at which both are known."""
        pairs = zip(self.values(kind, contender, name), self.values(kind, self.contenders[0], name), strict=True)
        known = [(own, first) for own, first in pairs if own is not None and first is not None]
        return paired([own for own, _ in known], [first for _, first in known]) if known else None


def compare(
    setting: Setting, contenders: Sequence[Contender], seeds: Sequence[int], kinds: Sequence[str], utility: Utility,
    checking: Checking, minutes: float, train_seeds: Sequence[int] = TRAIN_SEEDS, told: Told = lambda done, of: None,
) -> Comparison:  # fmt: skip
    """Play every contender against every kind of fault with every seed.

    Args:
        setting: the agents at work.
        contenders: who watches; differences are to the first.
        seeds: of the runs.
        kinds: of faults; empty: all of the setting.
        utility: says what a run was worth.
        checking: how another agent looks again.
        minutes: a person's, for a question or a restore.
        train_seeds: of the normal runs that detectors are trained on.
        told: told how far it is.

    Raises: CallerError, for a kind that the setting does not have, a contender or a seed that is there twice, or what
        the utility can't say.
    """
    wanted = tuple(kinds) or tuple(setting.faults)
    unknown = [kind for kind in wanted if kind not in setting.faults]
    if unknown:
        raise CallerError(f"{setting.name} has no fault {unknown[0]!r}, but: {', '.join(setting.faults)}.")
    names = [each.name for each in contenders]
    for what, given in (("policies", names), ("seeds", [*seeds, *train_seeds]), ("kinds", wanted)):
        twice = [each for each in given if list(given).count(each) > 1]
        if twice or not given:
            raise CallerError(f"{what} {list(given)}: name each once, and at least one. Nothing was run.")
    total = len(train_seeds) + len(wanted) * len(seeds) * len(names)
    done = count(1)
    steps = []
    for seed in train_seeds:
        steps += normal_steps(setting, seed)
        told(next(done), total)
    detectors = detectors_of(setting.features, steps)
    runs: list[Run] = []
    for kind in wanted:
        for seed in seeds:
            fault = replace(setting.faults[kind], seed=seed)
            for contender in contenders:
                found = played(setting, seed, fault, contender, detectors, checking, minutes)
                runs.append(Run(kind, contender.name, seed, found, worth(utility, found)))
                told(next(done), total)
    return Comparison(
        setting.name, tuple(names), wanted, tuple(seeds), tuple(each.name for each in detectors), name_of(utility),
        tuple(runs),
    )  # fmt: skip


def name_of(utility: Utility) -> str:
    """Return what people call a utility: a function's name, or a value as it shows itself."""
    return getattr(utility, "__name__", None) or repr(utility)
