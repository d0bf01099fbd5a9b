"""Steps for detectors: normal ones by a seed, and with something wrong put in."""

from collections.abc import Iterable
from random import Random
from typing import Any

from peer.detectors import Finding, Seen
from protocol.ids import StepId

ODD_VALUES = (None, float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324, 0.0, -0.0)
"""What a feature may be at worst; None: it is not reported."""


def step(number: int, confidence: float | None = None, **scores: float) -> Seen:
    return Seen(StepId("worker", 1, number), "Order", number * 1_000_000, confidence=confidence, scores=scores)


def values(rows: Iterable[dict[str, float]]) -> list[Seen]:
    return [step(number, **row) for number, row in enumerate(rows, 1)]


def normal(seed: int, count: int, shift: float = 0.0) -> list[Seen]:
    """Return steps whose amount is normal around 100 with deviation 10; a shift is in deviations."""
    chance = Random(seed)
    return values({"amount": 100 + 10 * (chance.gauss(0, 1) + shift)} for _ in range(count))


def shifted(seed: int, before: int, after: int, shift: float) -> list[Seen]:
    """Return steps of which the last ones have another mean."""
    both = normal(seed, before) + normal(seed + 100_000, after, shift)
    return values(one.scores for one in both)


def joint(seed: int, count: int, odd: bool = False) -> list[Seen]:
    """Return steps of four features that are two numbers and a little noise; in odd ones, one is off by 10 of that."""
    chance = Random(seed)
    rows: list[dict[str, float]] = []
    for _ in range(count):
        a, b = chance.gauss(0, 1), chance.gauss(0, 1)
        row = [value + chance.gauss(0, 0.2) for value in (a, b, a + b, a - b)]
        if odd:
            row[chance.randrange(4)] += 2.0
        rows.append(dict(zip(("length", "amount", "cost", "delay"), row, strict=True)))
    return values(rows)


def scores(detector: Any, steps: Iterable[Seen]) -> list[float]:
    """Return the scores of all steps by a watch of their own."""
    watch = detector.begin()
    return [finding.score for one in steps if (finding := watch.see(one)) is not None]


def alarms(detector: Any, steps: Iterable[Seen]) -> int:
    return sum(score >= 1 for score in scores(detector, steps))


def first_alarm(detector: Any, steps: Iterable[Seen], after: int = 0) -> tuple[int, Finding]:
    """Return the number of the first step after some that is found wrong, and what was said of it."""
    watch = detector.begin()
    for one in steps:
        found = watch.see(one)
        if found is not None and found.score >= 1 and one.step.seq > after:
            return one.step.seq, found
    raise AssertionError("no alarm")
