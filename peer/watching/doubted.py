"""What a watcher has doubted, as people look at it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

CASE = "case"
"""Begins the keys of a watcher's state that say what has come of a step."""


class Doubted(NamedTuple):
    """A step that a watcher has doubted, the first where it has doubted several at once."""

    step: str
    state: str
    """`open` or `over`."""
    what: str
    """What is under way (`confirm`, `escalate`, `undo`, `revise`), or what has come of it: `ignore`, `right`,
    `compensate`, `refused`, `N steps undone`, or what somebody has said in the end."""
    detector: str
    """Who doubted it."""
    score: float
    why: str

    @property
    def was_undone(self) -> bool:
        """Whether it was undone for that."""
        return self.what.endswith("steps undone")


def doubted(state: Mapping[Any, Any]) -> list[Doubted]:
    """Return what a watcher has doubted, by its state (`cluster.state(watcher)`), in the order of the steps."""
    cases = ((key[1], value) for key, value in state.items() if isinstance(key, tuple) and key[0] == CASE)
    return [Doubted(step, *value) for step, value in sorted(cases)]
