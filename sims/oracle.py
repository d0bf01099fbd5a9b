"""The truth, seen from above: cones by plain graph search over an exported log. Shares no code with the protocol.

A step depends on the producer of its input and on the writers of what it read. Nothing else is known here.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LoggedStep:
    """One step as an export tells it; ids are texts such as `ledger-1/1/517`."""

    step: str
    producer: str | None
    writers: tuple[str, ...]
    """The steps whose writings it read."""


def dependents(steps: Iterable[LoggedStep]) -> dict[str, list[str]]:
    """Turn the edges round: step -> the steps that depend on it directly."""
    after: dict[str, list[str]] = {}
    for step in steps:
        for cause in dict.fromkeys((step.producer, *step.writers)):
            if cause is not None:
                after.setdefault(cause, []).append(step.step)
    return after


def cone(roots: Iterable[str], after: Mapping[str, list[str]]) -> set[str]:
    """Return the roots and everything that depends on them, transitively."""
    found = set(roots)
    todo = deque(found)
    while todo:
        for step in after.get(todo.popleft(), ()):
            if step not in found:
                found.add(step)
                todo.append(step)
    return found


def orphans(steps: Iterable[LoggedStep], retracted: set[str]) -> list[str]:
    """Return the surviving steps that depend on a retracted one."""
    return [
        step.step
        for step in steps
        if step.step not in retracted and any(cause in retracted for cause in (step.producer, *step.writers))
    ]
