"""What one run of a handler has looked at and done so far, and what it holds in its hands."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import RLock
from typing import Any, NamedTuple

import numpy as np

from peer import errors
from peer.values.key_text import decode_key, is_own
from peer.values.personal import Personal
from protocol.agent.versions import Versions
from protocol.ids import StepId
from protocol.step import Entry, Read, Tolerated, Write

logger = logging.getLogger("ebbtide")

Lock = AbstractContextManager[Any]
"""What keeps two threads apart."""
Wanted = Callable[[str], bool]
"""Tells of a key's text whether a look at all keys is to have it."""

_CONTAINERS = (list, dict, set, np.ndarray, Personal)


def may_change(value: object) -> bool:
    """Tell whether a value could be changed in place."""
    return isinstance(value, _CONTAINERS) or (isinstance(value, tuple) and any(map(may_change, value)))


class Held(NamedTuple):
    """A value of the state that a handler has in its hands, and might change in place."""

    key: Any
    value: Any
    data: bytes
    """What the state holds for it."""


class Lent(NamedTuple):
    """A value that a handler has been shown, and that no change in place could be kept of."""

    what: str
    value: Any
    """Kept, so that nothing else comes to stand in its place in memory."""
    has_changed: Callable[[], bool]


class Seen:
    """An agent's versions, as a run may look at them: as long as it lasts, from whichever thread it is in."""

    def __init__(self, run: "Tracked", versions: Versions, lock: Lock) -> None:
        self._run, self._versions, self._lock = run, versions, lock

    def read(self, key: str, at: StepId | None = None) -> tuple[bytes | None, StepId | None]:
        """Return a key's surviving value, and whose it is."""
        self._run.check_lives(f"read key {key}")
        with self._lock:
            return self._versions.read(key, at)

    def read_all(self, at: StepId | None = None) -> list[tuple[str, bytes | None, StepId]]:
        """Return every key's surviving value, and whose it is."""
        self._run.check_lives("read the state")
        with self._lock:
            return list(self._versions.read_all(at))

    def entries(self, key: str) -> list[Entry]:
        """Return the surviving entries of a shared key."""
        self._run.check_lives("read a space")
        with self._lock:
            return self._versions.entries(key)

    def shared_keys(self) -> list[str]:
        """Return the keys of spaces that have entries."""
        self._run.check_lives("read a space")
        with self._lock:
            return list(self._versions.shared_keys())


class Tracked:
    """What one run has read and written so far."""

    def __init__(self, versions: Versions, lock: Lock | None = None, name: str = "this run") -> None:
        """Begin a run.

        Args:
            versions: what it reads.
            lock: held whenever the versions are read here, and by whoever changes them in another thread.
            name: how people are told of it.
        """
        self.versions = Seen(self, versions, lock or RLock())
        self.name = name
        self.reads: dict[tuple[str, StepId | None], None] = {}
        self.writes: dict[str, bytes | None] = {}
        self.observed: dict[str, None] = {}
        self.tolerated: dict[Tolerated, None] = {}
        self.held: dict[str, Held] = {}
        """By key, values that the handler may have changed in place."""
        self._lent: dict[int, Lent] = {}
        """By identity."""
        self.read_only = False
        """The handler was declared to look only (ST-7)."""
        self._is_over = False

    def end(self) -> None:
        """The handler has returned: what it has left running has no part in the step."""
        self._is_over = True

    def check_lives(self, what: str) -> None:
        """Check that the handler has not returned yet.

        Raises: CallerError, naming what was wanted; it is logged too, since nobody may be there to hear it.
        """
        if self._is_over:
            text = f"{self.name} is over, and something that its handler left running wanted to {what}"
            logger.warning("%s: refused", text)
            raise errors.CallerError(
                f"{text}. Nothing changed. Await it in the handler; state and ctx belong to one step."
            )

    def check_may(self, what: str) -> None:
        """Check that the run may do more than read.

        Raises: ReadOnly, naming what it wanted to do; CallerError, if it is over.
        """
        self.check_lives(what)
        if self.read_only:
            raise errors.ReadOnly(
                f"a read_only handler wanted to {what}. Nothing changed. Leave out read_only, or that."
            )

    def write(self, key: str, value: bytes | None) -> None:
        """Write a key's next version; None removes it."""
        if self.read_only or self._is_over:
            self.check_may(f"write key {decode_key(key)!r}")
        self.writes[key] = value

    def lend(self, what: str, value: Any, has_changed: Callable[[], bool]) -> Any:
        """Return a value, and look again at the end whether it was changed in place, which nobody could keep."""
        if may_change(value):
            self._lent[id(value)] = Lent(what, value, has_changed)
        return value

    def given(self, value: Any) -> None:
        """A value has been assigned: whatever had become of it in place is kept there."""
        self._lent.pop(id(value), None)

    def check_lent(self) -> None:
        """Check that nothing that was only shown has been changed in place.

        Raises: CallerError, naming it.
        """
        for what, _, has_changed in self._lent.values():
            if has_changed():
                raise errors.CallerError(
                    f"{what} was changed in place, and that can't be kept. Nothing changed. Assign what is to be kept,"
                    " or work on a copy (copy.deepcopy)."
                )

    def read(self, key: str) -> bytes | None:
        """Return a key's surviving value, noting whose it is; of its own writes a run depends on nobody."""
        if key in self.writes:
            self.check_lives("read the state")
            return self.writes[key]
        return self.read_at(key, None)

    def read_at(self, key: str, at: StepId | None) -> bytes | None:
        """Return a key's surviving value, as it stood right after a step, noting whose it is."""
        value, writer = self.versions.read(key, at)
        self.reads[key, writer] = None
        return value

    def observe(self, key: str) -> bytes | None:
        """Return a key's value, noting the key alone: the run depends on nobody for it (SH-4)."""
        if key in self.writes:
            return self.writes[key]
        self.observed[key] = None
        return self.versions.read(key)[0]

    def read_all(self, wanted: Wanted) -> dict[str, bytes]:
        """Return every wanted key that has a value; that reads them all."""
        own = {key: value for key, value in self.writes.items() if wanted(key) and not is_own(key)}
        found: dict[str, bytes | None] = {**self.read_all_at(None, wanted), **own}
        return {key: value for key, value in found.items() if value is not None}

    def read_all_at(self, at: StepId | None, wanted: Wanted) -> dict[str, bytes]:
        """Return every wanted key that had a value right after a step, the run's own writes left out."""
        found: dict[str, bytes] = {}
        for key, value, writer in self.versions.read_all(at):
            if wanted(key) and not is_own(key):
                self.reads[key, writer] = None
                if value is not None:
                    found[key] = value
        return found

    def observe_all(self, wanted: Wanted) -> dict[str, bytes]:
        """Return every wanted key that has a value, noting the keys alone."""
        keys = dict.fromkeys((*(key for key, _, _ in self.versions.read_all()), *self.writes))
        seen = [key for key in keys if wanted(key) and not is_own(key)]
        return {key: value for key in seen if (value := self.observe(key)) is not None}

    def draft(self) -> tuple[tuple[Read, ...], tuple[Write, ...]]:
        """Return the reads and writes for the step's record."""
        reads = tuple(Read(key, writer) for key, writer in self.reads)
        return reads, tuple(Write(key, value) for key, value in self.writes.items())
