"""State by key: a key's value is its last version whose writer is not retracted (ST-3). Undo only hides versions."""

from bisect import insort
from collections.abc import Iterator
from itertools import pairwise

from protocol.clock import covers
from protocol.ids import StepId
from protocol.retraction import Retraction
from protocol.step import Entry, Read, Write


class Versions:
    """All versions of an agent's own keys, and of the shared keys that have reached it."""

    def __init__(self, retraction: Retraction) -> None:
        self._retraction = retraction
        self._own: dict[str, list[tuple[StepId, bytes | None]]] = {}
        self._shared: dict[str, list[Entry]] = {}
        self._seen: set[tuple[StepId, int]] = set()

    def write(self, step: StepId, writes: tuple[Write, ...]) -> None:
        """Add a step's versions; steps come in their order."""
        for key, value in writes:
            self._own.setdefault(key, []).append((step, value))

    def read(self, key: str) -> tuple[bytes | None, StepId | None]:
        """Return the surviving value and its writer; a tombstone's writer with None; `(None, None)` if nobody's."""
        retraction = self._retraction
        for step, value in reversed(self._own.get(key, ())):
            if step not in retraction:
                return value, step
        return None, None

    def read_all(self) -> Iterator[tuple[str, bytes | None, StepId]]:
        """Yield every key that has a surviving version, tombstones included, in order of first writing."""
        for key in self._own:
            value, step = self.read(key)
            if step is not None:
                yield key, value, step

    def merge(self, entry: Entry) -> bool:
        """Take in a shared entry; True if it was not here before."""
        name = (entry.writer, entry.index)
        if name in self._seen:
            return False
        self._seen.add(name)
        insort(self._shared.setdefault(entry.key, []), entry, key=_order)
        return True

    def entries(self, key: str) -> list[Entry]:
        """Return the surviving entries of a shared key, in an order that every replica agrees on (SH-2).

        Causal order first, then hybrid time, then the writer's name.
        """
        retraction = self._retraction
        return [entry for entry in self._shared.get(key, ()) if entry.writer not in retraction]

    def all_entries(self) -> Iterator[Entry]:
        """Yield every shared entry that is here, retracted or not."""
        for entries in self._shared.values():
            yield from entries

    def shared_keys(self) -> list[str]:
        """Return the shared keys with any entry, in order."""
        return sorted(self._shared)

    def check(self) -> None:
        """Assert that entries which one replica orders by time are never ordered against their causes."""
        for key in self._shared:
            ordered = self.entries(key)
            for earlier, later in pairwise(ordered):
                assert (
                    later.writer == earlier.writer
                    or not covers(earlier.clock, later.writer)
                    or (earlier.writer.agent == later.writer.agent)
                )


def _order(entry: Entry) -> tuple[int, StepId, int]:
    # Hybrid time is after its causes, so sorting by it respects causal order.
    return entry.time_us, entry.writer, entry.index


def reads_of(key: str, entries: list[Entry]) -> tuple[Read, ...]:
    """Return the reads that looking at all of `entries` is; of nothing, if there are none."""
    writers = dict.fromkeys(entry.writer for entry in entries)
    return tuple(Read(key, writer) for writer in writers) or (Read(key, None),)
