"""The work of experiments 1 and 2: an order that is paid once. What a trial is, and where it is killed.

Standard library only: peers import this as well.
"""

import json
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

BEFORE, BETWEEN, AFTER = "before the call", "between payment and record", "after the record"
POINTS = (BEFORE, BETWEEN, AFTER)
PHRASES = ("Payment of order", "Settling order", "For your order", "Invoice paid: order", "Transfer for order")
"""A language model's ways to say one thing."""

_TELLING = threading.Lock()


@dataclass(frozen=True)
class Trial:
    """One order: decide on a memo, pay, note. It may be found wrong after that, and is gone back to."""

    order: str
    amount: int
    memos: tuple[str, ...]
    """The words of the first run, and of the second."""
    is_wrong: bool = False
    """Its first run is gone back to."""
    is_withdrawn: bool = False
    """And the second run does not pay."""

    @property
    def expected(self) -> int:
        """How many payments should stand at the end."""
        return 0 if self.is_wrong and self.is_withdrawn else 1

    def pays(self, run: int) -> bool:
        """Whether a run pays."""
        return run == 1 or not self.is_withdrawn


@dataclass(frozen=True)
class Fault:
    """Where a trial's process is killed: in which run's call, and at which point of it."""

    run: int
    point: str


@dataclass(frozen=True)
class Plan:
    """What one process is to do; with the same seed, the same for each system."""

    batches: tuple[tuple[Trial, ...], ...]
    """Trials of one batch are in flight together."""
    faults: dict[str, Fault] = field(default_factory=dict)
    """By order."""


def share_of(rate: float, count: int) -> int:
    """Return how many of so many are struck; exactly, so that 1 % of 200 are 2 and not now 0, now 5."""
    return round(rate * count)


def memo(rng: random.Random, order: str, run: int) -> str:
    """Return what a run writes into its payment, worded as it comes."""
    return f"{rng.choice(PHRASES)} {order}, take {run}"


def run_of(words: str) -> int:
    """Return which run has written a memo."""
    return int(words.rpartition(" ")[2])


def plan_orders(seed: str, trials: int, rate: float, batch: int, goes_back: bool) -> Plan:
    """Draw orders and faults.

    Args:
        goes_back: whether a share of the orders is found wrong and gone back to (experiment 2): then kills strike that
            share of the second runs' calls, else of the first.
    """
    rng = random.Random(f"{seed}/{rate}/{goes_back}")
    wrong = set(rng.sample(range(trials), share_of(rate, trials))) if goes_back else set()
    made: list[Trial] = []
    for number in range(trials):
        order = f"order-{number}"
        is_wrong = number in wrong
        memos = (memo(rng, order, 1), memo(rng, order, 2))
        made.append(Trial(order, rng.randrange(1, 100), memos, is_wrong, is_wrong and rng.random() < 0.5))
    may = [trial for trial in made if trial.is_wrong and not trial.is_withdrawn] if goes_back else made
    struck = rng.sample(may, share_of(rate, len(may)))
    first = rng.randrange(len(POINTS))
    faults = {
        trial.order: Fault(2 if goes_back else 1, POINTS[(first + at) % len(POINTS)]) for at, trial in enumerate(struck)
    }
    return Plan(tuple(tuple(made[at : at + batch]) for at in range(0, trials, batch)), faults)


def as_json(plan: Plan) -> dict[str, Any]:
    """Return a plan for its file."""
    return asdict(plan)


def read_plan(found: dict[str, Any]) -> Plan:
    """Read a plan."""
    batches = [[Trial(**{**trial, "memos": tuple(trial["memos"])}) for trial in batch] for batch in found["batches"]]
    faults = {order: Fault(**fault) for order, fault in found["faults"].items()}
    return Plan(tuple(tuple(batch) for batch in batches), faults)


def tell(**said: Any) -> None:
    """Tell the benchmark's own process something: a line on stdout."""
    with _TELLING:
        print(json.dumps(said), flush=True)


class Traps:
    """Holds those calls that are to be killed, at their points: once all are there the process is killed."""

    def __init__(self, faults: dict[str, Fault]) -> None:
        self._faults = faults

    def is_here(self, order: str, run: int, point: str) -> bool:
        """Whether the process is to be killed here; the benchmark is told so."""
        if self._faults.get(order) != Fault(run, point):
            return False
        tell(stalled=order)
        return True

    def hold(self, order: str, run: int, point: str) -> None:
        """Go no further, if the process is to be killed here."""
        if self.is_here(order, run, point):
            threading.Event().wait()


def settle_all(batches: Sequence[Sequence[Trial]], first: int, settle: Callable[[Trial], None]) -> None:
    """Bring the orders of each batch to their end, each in a thread of its own; for systems that block."""
    for at, batch in enumerate(batches):
        if at < first:
            continue

        def one(trial: Trial) -> None:
            settle(trial)
            tell(ended=trial.order)

        with ThreadPoolExecutor(len(batch)) as threads:
            for done in [threads.submit(one, trial) for trial in batch]:
                done.result()
        tell(batch=at)
