"""An agent's state as its handlers see it: a mapping whose reads are tracked and whose writes are versions (ST-3)."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Protocol

from peer import errors
from peer.agents.past import as_step
from peer.values.codec import Values
from peer.values.declared import family
from peer.values.key_text import decode_key, encode_key
from protocol.agent.versions import Versions
from protocol.ids import StepId
from protocol.step import Read, Tolerated, Write

Wanted = Callable[[str], bool]
"""Tells of a key's text whether a look at all keys is to have it."""


class Tracked:
    """What one run has read and written so far."""

    def __init__(self, versions: Versions) -> None:
        self.versions = versions
        self.reads: dict[tuple[str, StepId | None], None] = {}
        self.writes: dict[str, bytes | None] = {}
        self.observed: dict[str, None] = {}
        self.tolerated: dict[Tolerated, None] = {}
        self.read_only = False
        """The handler was declared to look only (ST-7)."""

    def check_may(self, what: str) -> None:
        """Check that the run may do more than read.

        Raises: ReadOnly, naming what it wanted to do.
        """
        if self.read_only:
            raise errors.ReadOnly(
                f"a read_only handler wanted to {what}. Nothing changed. Leave out read_only, or that."
            )

    def write(self, key: str, value: bytes | None) -> None:
        """Write a key's next version; None removes it."""
        if self.read_only:
            self.check_may(f"write key {decode_key(key)!r}")
        self.writes[key] = value

    def read(self, key: str) -> bytes | None:
        """Return a key's surviving value, noting whose it is; of its own writes a run depends on nobody."""
        if key in self.writes:
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
        own = {key: value for key, value in self.writes.items() if wanted(key)}
        found: dict[str, bytes | None] = {**self.read_all_at(None, wanted), **own}
        return {key: value for key, value in found.items() if value is not None}

    def read_all_at(self, at: StepId | None, wanted: Wanted) -> dict[str, bytes]:
        """Return every wanted key that had a value right after a step, the run's own writes left out."""
        found: dict[str, bytes] = {}
        for key, value, writer in self.versions.read_all(at):
            if wanted(key):
                self.reads[key, writer] = None
                if value is not None:
                    found[key] = value
        return found

    def observe_all(self, wanted: Wanted) -> dict[str, bytes]:
        """Return every wanted key that has a value, noting the keys alone."""
        keys = dict.fromkeys((*(key for key, _, _ in self.versions.read_all()), *self.writes))
        return {key: value for key in keys if wanted(key) and (value := self.observe(key)) is not None}

    def draft(self) -> tuple[tuple[Read, ...], tuple[Write, ...]]:
        """Return the reads and writes for the step's record."""
        reads = tuple(Read(key, writer) for key, writer in self.reads)
        return reads, tuple(Write(key, value) for key, value in self.writes.items())


class Reads(Protocol):
    """Where a view's values come from."""

    def read(self, key: str) -> bytes | None:
        """Return a key's value, or None."""
        ...

    def read_all(self, wanted: Wanted) -> dict[str, bytes]:
        """Return every wanted key that has a value."""
        ...


class _Past:
    """Reads of a run, as things stood right after a step."""

    def __init__(self, run: Tracked, at: StepId) -> None:
        self._run, self._at = run, at

    def read(self, key: str) -> bytes | None:
        return self._run.read_at(key, self._at)

    def read_all(self, wanted: Wanted) -> dict[str, bytes]:
        return self._run.read_all_at(self._at, wanted)


class _Glance:
    """Reads of a run that depend on nobody."""

    def __init__(self, run: Tracked) -> None:
        self.read, self.read_all = run.observe, run.observe_all


def _everything(key: str) -> bool:
    return True


class View(Mapping[Any, Any]):
    """State to look at: a mapping that can't be written to, from wherever its values come.

    Derived keys are there to be read, and left out where keys are gone through: those are the keys that are stored.
    """

    def __init__(self, values: Values, reads: Callable[[], Reads], of: tuple[str, ...] | None = None) -> None:
        """Look at state.

        Args:
            values: how its values are kept.
            reads: returns where they come from, each time.
            of: the only keys that may be looked at, by first elements.
        """
        self._values = values
        self._reads = reads
        self._of = of

    def __getitem__(self, key: Any) -> Any:
        if self._of is not None:
            self._check_source(key, self._of)
        made = self._values.derived(key)
        if made is not None:
            return made.build(key, View(self._values, self._reads, made.of))
        data = self._reads().read(encode_key(key))
        if data is None:
            raise KeyError(key)
        return self._values.decode(key, data)

    def __contains__(self, key: Any) -> bool:
        if self._of is not None:
            self._check_source(key, self._of)
        if self._values.derived(key) is not None:
            return self.get(key, self) is not self
        return self._reads().read(encode_key(key)) is not None

    def __iter__(self) -> Iterator[Any]:
        return iter([decode_key(key) for key in self._all()])

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, bytes]:
        is_all_here = self._of is None and not self._values.has_derived
        return self._reads().read_all(_everything if is_all_here else self._is_here)

    def _is_here(self, text: str) -> bool:
        key = decode_key(text)
        # What an earlier release has stored under a key that is derived by now is not looked at any more.
        return self._values.derived(key) is None and (self._of is None or family(key) in self._of)

    def _check_source(self, key: object, of: tuple[str, ...]) -> None:
        if family(key) not in of:
            raise errors.CallerError(
                f"build looks at key {key!r}, and what it builds is derived of {', '.join(of)}. Add it there."
            )


class State(View, MutableMapping[Any, Any]):
    """A mapping from keys (str, int, bool, or tuples of these) to values.

    Reading a key makes the step depend on whoever wrote it, even if that was its removal. Iterating or counting reads
    the mapping whole. Values come back as copies: change one, and write it back.
    """

    def __init__(self, values: Values, check_past: Callable[[StepId], None]) -> None:
        """Make an agent's state.

        Args:
            values: how its values are kept.
            check_past: raises StepUnknown for a step that the state can't be read at.
        """
        super().__init__(values, lambda: self._bound)
        self._run: Tracked | None = None
        self._check_past = check_past

    def bind(self, run: Tracked | None) -> None:
        """Attach the mapping to a run; None between runs."""
        self._run = run
        self._values.begin()

    async def place(self) -> None:
        """Make durable what the run has written that does not go into the log."""
        await self._values.place(self._bound.writes.values())

    @property
    def _bound(self) -> Tracked:
        if self._run is None:
            raise errors.CallerError("state is only there inside a handler: outside, nobody could undo what it does")
        return self._run

    def observe(self, key: Any, default: Any = None) -> Any:
        """Return a key's value, or the default, without depending on whoever wrote it.

        What it shows may be undone later, and this step stays: good for logs, hints and dashboards, not for decisions.
        The step's record names the keys that it observed.
        """
        run = self._bound
        return View(self._values, lambda: _Glance(run)).get(key, default)

    async def fetch(self, key: Any, default: Any = None) -> Any:
        """Return a key's value, or the default, as `get` does; a bulky one is awaited, and the host goes on meanwhile.

        Raises: BlobLost, and what reading a key raises.
        """
        if self._values.derived(key) is None:
            data = self._bound.read(encode_key(key))
            if data is not None:
                await self._values.fetch(data)
        return self.get(key, default)

    def at(self, step: StepId | str) -> View:
        """Return the state as it stood right after a step of this agent's, to be read until the handler returns.

        What is undone by now is hidden. Reading a key of it depends on whoever wrote what is read, like any read.

        Args:
            step: one that the horizon has not passed, as a `StepId` or a text such as `risk-2/1/88`.

        Raises: StepUnknown, naming the step and the oldest that can be read at; CallerError, if it is no step's text.
        """
        run, at = self._bound, as_step(step)
        self._check_past(at)

        def reads() -> Reads:
            if self._run is not run:
                raise errors.CallerError(f"the state at {at} is only there until the handler that asked for it returns")
            # Again each time: while a handler awaits something the horizon may pass the step.
            self._check_past(at)
            return _Past(run, at)

        return View(self._values, reads)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._bound.write(encode_key(key), self._values.encode(key, value))

    def __delitem__(self, key: Any) -> None:
        run, text = self._bound, encode_key(key)
        self._values.check_stored(key)
        if run.read(text) is None:
            raise KeyError(key)
        run.write(text, None)
