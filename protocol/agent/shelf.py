"""Where messages lie that are far from being sent, so that they take no memory; the log has them too (CL-5).

Nothing on it outlives the process. What can't be read for now is asked for again: it is not lost, for the log has it.
"""

from typing import Protocol


class Shelf(Protocol):
    """Bytes of one agent, by the place that they were given."""

    def put(self, data: bytes) -> int:
        """Keep bytes; return their place, from 0. It never fails: what the disk does not take stays in memory."""
        ...

    def get(self, place: int) -> bytes | None:
        """Return what was put there; None if it can't be read for now."""
        ...

    def drop(self, place: int) -> None:
        """Nobody asks for what is there any more."""
        ...


class MemoryShelf:
    """A shelf in memory, for machines that have no disk; implements `Shelf`."""

    def __init__(self) -> None:
        self.kept: dict[int, bytes] = {}
        self._next = 0

    def put(self, data: bytes) -> int:
        """Keep bytes; return their place."""
        self.kept[self._next] = data
        self._next += 1
        return self._next - 1

    def get(self, place: int) -> bytes | None:
        """Return what was put there."""
        return self.kept[place]

    def drop(self, place: int) -> None:
        """Nobody asks for what is there any more."""
        del self.kept[place]
