"""Detectors side by side: trained on normal runs of some seeds, tried on faults in runs of others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import count
from typing import Any

import numpy as np

from peer.detectors import (
    Adwin,
    Bounds,
    Cusum,
    Ewma,
    HalfSpaceTrees,
    Outliers,
    PageHinkley,
    Seen,
    Shewhart,
    Threshold,
    Vae,
)
from peer.errors import CallerError
from sims.detection.injection import Injection
from sims.detection.judging import Judged, Row, judge, row, words
from sims.detection.scenarios import Played, Scenario

LIMITS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
"""At which an operating curve is drawn, in units of each detector's own limit."""
NORMAL = Injection("none")
Told = Callable[[str, int, int], None]
"""Told what is going on, how far it is, and of how much."""


def standard(features: Sequence[str], steps: Sequence[Seen], with_vae: bool = True) -> list[Any]:
    """Return detectors of every kind, trained on steps of normal runs.

    Args:
        features: what steps report; the first is what charts look at.
        steps: of normal runs.
        with_vae: train a variational autoencoder, too, where PyTorch is installed.
    """
    first = features[0]
    made: list[Any] = [
        Bounds(first, *_quantiles(steps, first, 0.002, 0.998)),
        Shewhart(first, limit=3.5).train(steps),
        Ewma(first).train(steps),
        Cusum(first).train(steps),
        Adwin(first).train(steps),
        PageHinkley(first).train(steps),
        HalfSpaceTrees(features).train(steps),
        *(Outliers(kind, features).train(steps) for kind in ("IForest", "ECOD", "KNN")),
    ]
    if any(step.confidence is not None for step in steps):
        made.insert(0, Threshold("confidence", below=_quantiles(steps, "confidence", 0.005, 0.5)[0]))
    if with_vae and find_spec("torch") is not None:
        made.append(Vae(features).train(steps))
    return made


def _quantiles(steps: Sequence[Seen], feature: str, low: float, high: float) -> tuple[float, float]:
    values = [value for step in steps if (value := step.value(feature)) is not None]
    if len(values) < 50:
        raise CallerError(f"{len(values)} normal steps report {feature}: at least 50 are needed.")
    lower, upper = np.quantile(values, (low, high))
    return float(lower), float(upper)


@dataclass(frozen=True)
class Evaluation:
    """What has come of it."""

    scenario: str
    train_seeds: tuple[int, ...]
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    """Of each detector on each kind, at its own limit."""
    curves: tuple[Row, ...]
    """The same at other limits."""


def evaluate(
    scenario: Scenario, train_seeds: Sequence[int], seeds: Sequence[int], kinds: Sequence[str] = (),
    told: Told = lambda what, done, of: None,
) -> Evaluation:  # fmt: skip
    """Train detectors and try them.

    Args:
        scenario: what they are tried on.
        train_seeds: of normal runs.
        seeds: of runs with faults, other ones.
        kinds: of faults; empty: all of the scenario.
        told: told how far it is.

    Raises: CallerError, if a seed is in both, or a kind is none of the scenario's.
    """
    both = set(train_seeds) & set(seeds)
    if both or not train_seeds or not seeds:
        raise CallerError(f"seeds {sorted(both)} are used both to train and to try. Use others for one of them.")
    wanted = tuple(kinds) or tuple(scenario.faults)
    unknown = [kind for kind in wanted if kind not in scenario.faults]
    if unknown:
        raise CallerError(f"{scenario.name} has no fault {unknown[0]!r}, but: {', '.join(scenario.faults)}.")
    total = len(train_seeds) + len(seeds) * (1 + len(wanted))
    done = count(1)

    def play(what: str, seed: int, fault: Injection) -> Played:
        told(f"{what}, seed {seed}", next(done), total)
        return scenario.play(seed, fault)

    steps = [step for seed in train_seeds for step in play("training", seed, NORMAL).seen]
    detectors = standard(scenario.features, steps)
    found: dict[tuple[str, str, float], list[Judged]] = {}
    for seed in seeds:
        clean = play("normal", seed, NORMAL)
        for kind in wanted:
            played = play(kind, seed, replace(scenario.faults[kind], seed=seed))
            for detector in detectors:
                known = words(detector, played)
                for limit in LIMITS:
                    judged = judge(detector, played, limit, clean, known)
                    found.setdefault((detector.name, kind, limit), []).append(judged)
    rows = [row(name, kind, limit, judged) for (name, kind, limit), judged in found.items()]
    at_own = tuple(sorted((each for each in rows if each.limit == 1.0), key=lambda each: wanted.index(each.kind)))
    return Evaluation(scenario.name, tuple(train_seeds), tuple(seeds), at_own, tuple(rows))
