"""Shelves of a history's agents: in some, what lies there can't be read each time that it is asked for (CL-5)."""

from random import Random

from protocol.agent.shelf import MemoryShelf
from protocol.ids import AgentId
from sims.histories.plan import Plan


class Shelf(MemoryShelf):
    """In memory, as if on a disk that does not always answer."""

    def __init__(self, rng: Random, unread: float) -> None:
        super().__init__()
        self._rng = rng
        self._unread = unread

    def get(self, place: int) -> bytes | None:
        """Return what was put there, or None."""
        return None if self._unread and self._rng.random() < self._unread else super().get(place)


def shelf_of(plan: Plan, agent: AgentId, life: int) -> Shelf:
    """Return the shelf of one life of an agent."""
    # A generator of its own: histories without a shelf that fails are what they were.
    return Shelf(Random(f"{plan.seed}/{agent}/{life}/shelf"), plan.unread)
