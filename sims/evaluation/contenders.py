"""What is compared: policies of watchers, no watcher at all, and an operator who goes back to the last checkpoint."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from peer.agents.agent import Agent, handles
from peer.agents.context import Context
from peer.detectors import Bounds, Cusum, Seen
from peer.detectors.suspicion import LookAgain
from peer.errors import CallerError
from peer.watching import Always, Case, ConfirmFirst, LeastCost, Policy, Ruling, Watcher
from peer.watching.case import IGNORE, REVISE, UNDO
from protocol.ids import StepId
from sims.detection.naming import attribute_of

GUARD, CHECKER = "guard", "checker"
"""The names of the watcher and of the agent that looks again."""
BOUND = 0.002
"""The share of normal steps outside each of two bounds."""


@dataclass(frozen=True)
class Contender:
    """Who watches, and what comes of a suspicion."""

    name: str
    policy: Policy | None = None
    """Of the watcher; None: there is none."""
    restores: bool = False
    """The watcher only raises alarms, and an operator goes back to the last checkpoint."""


class Alarms:
    """A policy that does nothing but to tell an operator, who looks on from outside."""

    def __init__(self) -> None:
        self.raised = 0

    def rule(self, case: Case) -> Ruling:
        """Count the alarm."""
        self.raised += 1
        return Ruling(IGNORE, why="an operator is told")


STANDARD: dict[str, Callable[[], Contender]] = {
    "none": lambda: Contender("none"),
    "revise": lambda: Contender("revise", Always(REVISE)),
    "undo": lambda: Contender("undo", Always(UNDO)),
    "confirm": lambda: Contender("confirm", ConfirmFirst()),
    "least-cost": lambda: Contender("least-cost", LeastCost()),
    "restore": lambda: Contender("restore", restores=True),
}
"""By name; in this order, if nobody names any."""


def contender_of(name: str) -> Contender:
    """Return a contender: one of `STANDARD`, or a policy of one's own as `FILE.py:NAME` or `module:NAME`.

    Raises: CallerError, naming what is not there, or is no policy.
    """
    if name in STANDARD:
        return STANDARD[name]()
    if ":" not in name:
        raise CallerError(
            f"there is no policy {name!r}: it is one of {', '.join(STANDARD)}, or one of yours, FILE.py:NAME."
            " Nothing was run."
        )
    found = attribute_of(name)
    made = found() if isinstance(found, type) else found
    if not callable(getattr(made, "rule", None)):
        raise CallerError(f"{name} is no policy: it has no method rule(case). See peer/watching/policy.py.")
    return Contender(name.rpartition(":")[2], made)


def detectors_of(features: Sequence[str], steps: Sequence[Seen]) -> tuple[Any, ...]:
    """Return the detectors of the watchers, trained on normal steps: bounds, which see what is far off at once, and
    CUSUM, which sees what creeps, both of the first feature.

    Raises: CallerError, if too few steps report it.
    """
    first = features[0]
    values = [value for step in steps if (value := step.value(first)) is not None]
    cusum = Cusum(first).train(steps)
    low, high = np.quantile(values, (BOUND, 1 - BOUND))
    return Bounds(first, float(low), float(high)), cusum


def watcher(policy: Policy, detectors: Sequence[Any], checker: str = CHECKER) -> type[Watcher]:
    """Return a class of watchers."""
    given = {"policy": policy, "detectors": tuple(detectors), "checker": checker}
    return type("Guard", (Watcher,), given)


@dataclass(frozen=True)
class Checking:
    """How an agent looks again."""

    delay_s: float = 0.2
    """How long it takes, in virtual seconds."""
    error: float = 0.1
    """The chance with which it says of a step the opposite of what is true."""

    def __post_init__(self) -> None:
        """Check what was given. Raises: CallerError."""
        if not (self.delay_s >= 0 and 0 <= self.error <= 1):
            raise CallerError(
                f"{self}: it takes 0 seconds or more, and errs with a chance from 0 to 1. Nothing was run."
            )


@dataclass(frozen=True)
class Late:
    """It is time to answer."""

    question: str
    wrong: tuple[str, ...]
    """The steps that are called wrong."""


def checker(truth: Collection[StepId], how: Checking, seed: int) -> type[Agent]:
    """Return a class of agents that look again at each step of a suspicion, and know the truth, but for some errors.

    Args:
        truth: the wrong steps; looked at when it is asked.
        how: how long it takes, and how often it errs.
        seed: of its errors.
    """

    class Checker(Agent):
        @handles(LookAgain)
        async def look(self, message: LookAgain, ctx: Context) -> None:
            steps = message.suspicion.steps
            errs = {step: Random(f"{seed}/{step}").random() < how.error for step in steps}
            assert ctx.question is not None
            ctx.after(how.delay_s, Late(ctx.question, tuple(str(s) for s in steps if (s in truth) is not errs[s])))

        @handles(Late)
        async def answer(self, message: Late, ctx: Context) -> None:
            ctx.reply(list(message.wrong) or True, to=message.question)

    return Checker
