"""Faults that are put into an agent of any class; each step that they strike is noted: by that detectors are judged.

    faulty = injected(RiskScorer, Injection("hallucination", field="cents"))
    world.spawn("risk-1", faulty)
    ...
    faulty.struck  # its wrong steps

What comes back from a rollback or a restore is handled rightly: the fault is in what the agent makes of an input the
first time.
"""

from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass, is_dataclass, replace
from functools import wraps
from random import Random
from typing import Any

import msgspec

from peer.agents.agent import Agent
from peer.agents.functions import is_async
from peer.errors import CallerError
from protocol.ids import StepId

KINDS = {
    "threshold": "a setting of the agent is multiplied, for a stretch of its inputs: a bad push of configuration",
    "drift": "a number in what it handles grows by a little more with each input of a stretch: slow drift",
    "hallucination": "a number in what it handles is far off, now and then: a made-up amount",
    "none": "nothing goes wrong",
}


@dataclass(frozen=True)
class Injection:
    """A fault.

    Args:
        kind: one of `KINDS`.
        field: of the messages, or for `threshold` the agent's attribute, which is multiplied: a number.
        handled: only messages of a class of this name; empty: all that have the field.
        first, last: the inputs during which it is there, counted from 1.
        size: by what at most: `drift` comes to it at the end, and `hallucination` draws from its square root to it.
        rate: the share of inputs that `hallucination` strikes.
        seed: of what is drawn.

    Raises: CallerError, naming the value.
    """

    kind: str
    field: str = ""
    handled: str = ""
    first: int = 1
    last: int = 1 << 30
    size: float = 10.0
    rate: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what was given."""
        if self.kind not in KINDS:
            raise CallerError(f"a fault of kind {self.kind!r}: it is one of {', '.join(KINDS)}.")
        if self.kind != "none" and not self.field:
            raise CallerError(f"a fault of kind {self.kind} needs the field that is wrong: field='cents'.")
        if not (self.size > 0 and 0 <= self.rate <= 1 and self.first >= 1):
            raise CallerError(f"{self}: size is above 0, rate from 0 to 1, and inputs are counted from 1.")

    def concerns(self, message: Any) -> bool:
        """Tell whether a message is one of those that are counted, and may be struck."""
        if self.handled and type(message).__name__ != self.handled:
            return False
        return self.kind in ("none", "threshold") or hasattr(message, self.field)

    def factor(self, number: int) -> float:
        """Return by what the field of an input is multiplied; 1: it is as it should be."""
        if self.kind == "none" or not self.first <= number <= self.last:
            return 1.0
        if self.kind == "threshold":
            return self.size
        if self.kind == "drift":
            return self.size ** ((number - self.first + 1) / max(1, self.last - self.first + 1))
        chance = Random(f"{self.seed}/{number}")
        return self.size ** chance.uniform(0.5, 1.0) if chance.random() < self.rate else 1.0


def injected(kind: type[Agent], fault: Injection) -> Any:
    """Return a class of agents that errs as the fault says; its `struck` has the steps in which it did.

    Raises: CallerError, when it handles a message whose field is no number, or has no attribute that is one.
    """
    struck: list[StepId] = []
    counts: dict[str, int] = {}
    known: set[tuple[str, str]] = set()
    """Who has handled which input. After a restore it comes as if for the first time."""

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        async def erring(self: Any, message: Any, ctx: Any) -> None:
            factor = 1.0
            came = self.name, ctx.input.lineage
            if ctx.attempt == 1 and came not in known and fault.concerns(message):
                known.add(came)
                counts[self.name] = counts.get(self.name, 0) + 1
                factor = fault.factor(counts[self.name])
            agent = self
            if factor != 1.0:
                struck.append(ctx.step)
                if fault.kind == "threshold":
                    agent = copy(self)  # only this run has the wrong setting
                    setattr(agent, fault.field, _times(getattr(self, fault.field, None), factor, fault))
                else:
                    message = _with(message, fault, factor)
            result: Any = method(agent, message, ctx)
            await (result if isinstance(result, Awaitable) else _done())

        return erring

    names = {name for name in kind.handlers.values() if is_async(getattr(kind, name))}
    made = type(f"Faulty{kind.__name__}", (kind,), {name: wrap(getattr(kind, name)) for name in sorted(names)})
    made.struck = struck  # type: ignore[attr-defined]
    return made


async def _done() -> None:
    pass


def _times(value: Any, factor: float, fault: Injection) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CallerError(
            f"{fault.field!r} is {value!r}, which is no number: a fault of kind {fault.kind} multiplies it."
        )
    return round(value * factor) if isinstance(value, int) else value * factor


def _with(message: Any, fault: Injection, factor: float) -> Any:
    wrong = {fault.field: _times(getattr(message, fault.field, None), factor, fault)}
    if isinstance(message, msgspec.Struct):
        return msgspec.structs.replace(message, **wrong)
    if is_dataclass(message) and not isinstance(message, type):
        return replace(message, **wrong)
    raise CallerError(f"a {type(message).__name__} has no fields that a fault could change.")
