"""State by key: a key's value is its last version whose writer is not retracted (ST-3). Undo only hides versions."""

from bisect import insort
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from protocol.ids import StepId
from protocol.retraction import Retraction
from protocol.step import OUTSIDE, Entry, Read, Write


class Version(NamedTuple):
    """A step's version of a key, and the epoch in which it ran; a value of None is a removal."""

    step: StepId
    value: bytes | None
    epoch: int


class Versions:
    """All versions of an agent's own keys, and of the shared keys that have reached it."""

    def __init__(self, retraction: Retraction) -> None:
        self._retraction = retraction
        self._own: dict[str, list[Version]] = {}
        self._unfolded: dict[str, None] = {}
        """Keys that `fold` may have to look at."""
        self._touched: dict[str, None] = {}
        """Keys whose value may have changed since `take_touched`."""
        self._shared: dict[str, list[Entry]] = {}
        self._seen: set[tuple[StepId, int]] = set()
        self._outside: dict[int, list[Entry]] = {}
        """By epoch, the entries that say what tools have written outside: behind the horizon nobody hangs on them."""

    def write(self, step: StepId, writes: Iterable[Write], epoch: int) -> None:
        """Add a step's versions; steps come in their order."""
        for key, value in writes:
            self._own.setdefault(key, []).append(Version(step, value, epoch))
            self._unfolded[key] = None
            self._touched[key] = None

    def touch(self, writes: Iterable[Write]) -> None:
        """Note that versions have been retracted or become final: their keys are to be folded, and kept anew."""
        for key, _ in writes:
            if key in self._own:
                self._unfolded[key] = None
                self._touched[key] = None

    def fold(self, horizon: int) -> None:
        """Forget what nobody will read again: versions under a surviving one of an epoch before `horizon` (CP-6).

        Those retracted before the horizon go too, and removals that are the last word on their key.
        """
        for key in list(self._unfolded):
            versions = self._own[key]
            kept = [v for v in versions if v.epoch >= horizon or v.step not in self._retraction]
            last = max((at for at, v in enumerate(kept) if v.epoch < horizon), default=0)
            kept = kept[last:]
            is_final = len(kept) == 1 and kept[0].epoch < horizon
            if is_final and kept[0].value is None:
                kept = []
            if kept:
                self._own[key] = kept
            else:
                del self._own[key]
            if is_final or not kept:
                del self._unfolded[key]
        for epoch in [epoch for epoch in self._outside if epoch < horizon]:
            for entry in self._outside.pop(epoch):
                self._forget(entry)

    def has_unfolded(self) -> bool:
        """Tell whether there is any key that `fold` may have to look at, or any shared entry."""
        return bool(self._unfolded or self._shared)

    def _forget(self, entry: Entry) -> None:
        self._seen.discard((entry.writer, entry.index))
        entries = self._shared[entry.key]
        entries.remove(entry)
        if not entries:
            del self._shared[entry.key]

    def take_touched(self) -> tuple[str, ...]:
        """Return the keys whose versions have changed since this was last called."""
        touched, self._touched = tuple(self._touched), {}
        return touched

    def keys(self) -> Iterable[str]:
        """Return every key that has any version."""
        return self._own.keys()

    def versions_of(self, key: str) -> tuple[Version, ...]:
        """Return all versions of an own key, retracted or not, oldest first."""
        return tuple(self._own.get(key, ()))

    def put_versions(self, key: str, versions: tuple[Version, ...]) -> None:
        """Set a key's versions, from a snapshot."""
        if versions:
            self._own[key] = list(versions)
            self._unfolded[key] = None
        else:
            self._own.pop(key, None)
            self._unfolded.pop(key, None)

    def read(self, key: str, until: StepId | None = None) -> tuple[bytes | None, StepId | None]:
        """Return the surviving value and its writer; a tombstone's writer with None; `(None, None)` if nobody's.

        With `until`, an own step that the horizon has not passed, later versions are passed over; those that are
        retracted by now stay hidden.
        """
        retraction = self._retraction
        for step, value, _ in reversed(self._own.get(key, ())):
            if step not in retraction and (until is None or step[1:] <= until[1:]):
                return value, step
        return None, None

    def read_all(self, until: StepId | None = None) -> Iterator[tuple[str, bytes | None, StepId]]:
        """Yield every key that has a surviving version, tombstones included, in order of first writing."""
        for key in self._own:
            value, step = self.read(key, until)
            if step is not None:
                yield key, value, step

    def merge(self, entry: Entry) -> bool:
        """Take in a shared entry; True if it was not here before."""
        name = (entry.writer, entry.index)
        if name in self._seen:
            return False
        self._seen.add(name)
        if entry.space.startswith(OUTSIDE):
            self._outside.setdefault(entry.epoch, []).append(entry)
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


def _order(entry: Entry) -> tuple[int, StepId, int]:
    # Hybrid time is after its causes, so sorting by it respects causal order.
    return entry.time_us, entry.writer, entry.index


def reads_of(key: str, entries: list[Entry]) -> tuple[Read, ...]:
    """Return the reads that looking at all of `entries` is; of nothing, if there are none."""
    writers = dict.fromkeys(entry.writer for entry in entries)
    return tuple(Read(key, writer) for writer in writers) or (Read(key, None),)
