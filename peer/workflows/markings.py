"""The markings that a Petri net can reach, one by one, within a bound; and those at which nothing can happen.

Source: Murata 1989, sections IV.A and V.A; breadth first, so that the way to each marking is one of the shortest.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from peer.errors import CallerError
from peer.workflows.net import Marking, Net, Transition

MARKINGS_MAX = 10_000
"""Unless told otherwise: a second's work."""


class Way(NamedTuple):
    """How a marking was found first."""

    before: Marking
    by: Transition


@dataclass
class Reached:
    """Markings that a net can reach from its first."""

    net: Net
    ways: dict[Marking, Way | None] = field(default_factory=dict["Marking", "Way | None"])
    """Each marking, nearest first, and how it was found; None: the first."""
    after: dict[Marking, list[tuple[Transition, Marking]]] = field(
        default_factory=dict["Marking", "list[tuple[Transition, Marking]]"]
    )
    """What can happen at each, and where it leads; of those that were looked at."""
    is_whole: bool = True
    """False: it stopped at its bound, and there are more."""

    @property
    def deadlocks(self) -> list[Marking]:
        """Return the markings at which nothing can happen."""
        return [marking for marking, after in self.after.items() if not after]

    def path(self, marking: Marking) -> list[str]:
        """Return the transitions that lead to a marking, by name; one of the shortest ways.

        Raises: CallerError, if it was not reached.
        """
        if marking not in self.ways:
            raise CallerError(
                f"{self.net.shown(marking)} was not reached{'' if self.is_whole else ' within the bound'}."
            )
        found: list[str] = []
        while (way := self.ways[marking]) is not None:
            found.append(way.by.name)
            marking = way.before
        return found[::-1]


def reached(net: Net, markings_max: int = MARKINGS_MAX) -> Reached:
    """Return what a net can reach: at most so many markings, and then its `is_whole` is False.

    Raises: CallerError, for a bound below 1.
    """
    if markings_max < 1:
        raise CallerError(f"markings_max={markings_max}: at least 1. Nothing was looked at.")
    found = Reached(net, {net.initial: None})
    todo = deque([net.initial])
    while todo:
        marking = todo.popleft()
        found.after[marking] = after = []
        for number in net.enabled_at(marking):
            reaches = net.after(marking, number)
            if reaches not in found.ways:
                if len(found.ways) == markings_max:
                    found.is_whole = False
                    continue
                found.ways[reaches] = Way(marking, net.transitions[number])
                todo.append(reaches)
            after.append((net.transitions[number], reaches))
        if not after and net.enabled_at(marking):
            # All that it leads to lies beyond the bound: that is no deadlock.
            del found.after[marking]
    return found
