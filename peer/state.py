"""An agent's state as its handlers see it: a mapping whose reads are tracked and whose writes are versions (ST-3)."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Protocol

from peer import errors, payload
from peer.past import as_step
from peer.state_key import decode_key, encode_key
from protocol.ids import StepId
from protocol.step import Read, Tolerated, Write
from protocol.versions import Versions


class Tracked:
    """What one run has read and written so far."""

    def __init__(self, versions: Versions) -> None:
        self.versions = versions
        self.reads: dict[tuple[str, StepId | None], None] = {}
        self.writes: dict[str, bytes | None] = {}
        self.observed: dict[str, None] = {}
        self.tolerated: dict[Tolerated, None] = {}

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

    def read_all(self) -> dict[str, bytes]:
        """Return every key that has a value; that reads the mapping whole."""
        found: dict[str, bytes | None] = {**self.read_all_at(None), **self.writes}
        return {key: value for key, value in found.items() if value is not None}

    def read_all_at(self, at: StepId | None) -> dict[str, bytes]:
        """Return every key that had a value right after a step, the run's own writes left out."""
        found: dict[str, bytes] = {}
        for key, value, writer in self.versions.read_all(at):
            self.reads[key, writer] = None
            if value is not None:
                found[key] = value
        return found

    def draft(self) -> tuple[tuple[Read, ...], tuple[Write, ...]]:
        """Return the reads and writes for the step's record."""
        reads = tuple(Read(key, writer) for key, writer in self.reads)
        return reads, tuple(Write(key, value) for key, value in self.writes.items())


class Reads(Protocol):
    """Where a view's values come from."""

    def read(self, key: str) -> bytes | None:
        """Return a key's value, or None."""
        ...

    def read_all(self) -> dict[str, bytes]:
        """Return every key that has a value."""
        ...


class _Past:
    """Reads of a run, as things stood right after a step."""

    def __init__(self, run: Tracked, at: StepId) -> None:
        self._run, self._at = run, at

    def read(self, key: str) -> bytes | None:
        return self._run.read_at(key, self._at)

    def read_all(self) -> dict[str, bytes]:
        return self._run.read_all_at(self._at)


class View(Mapping[Any, Any]):
    """State to look at: a mapping that can't be written to, from wherever its values come."""

    def __init__(self, reads: Callable[[], Reads]) -> None:
        self._reads = reads

    def __getitem__(self, key: Any) -> Any:
        data = self._reads().read(encode_key(key))
        if data is None:
            raise KeyError(key)
        return payload.decode(data)

    def __contains__(self, key: object) -> bool:
        return self._reads().read(encode_key(key)) is not None  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        return iter([decode_key(key) for key in self._reads().read_all()])

    def __len__(self) -> int:
        return len(self._reads().read_all())


class State(View, MutableMapping[Any, Any]):
    """A mapping from keys (str, int, bool, or tuples of these) to values.

    Reading a key makes the step depend on whoever wrote it, even if that was its removal. Iterating or counting reads
    the mapping whole. Values come back as copies: change one, and write it back.
    """

    def __init__(self, check_past: Callable[[StepId], None] = lambda step: None) -> None:
        super().__init__(lambda: self._bound)
        self._run: Tracked | None = None
        self._check_past = check_past

    def bind(self, run: Tracked | None) -> None:
        """Attach the mapping to a run; None between runs."""
        self._run = run

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
        data = self._bound.observe(encode_key(key))
        return default if data is None else payload.decode(data)

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

        return View(reads)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._bound.writes[encode_key(key)] = payload.encode(value)

    def __delitem__(self, key: Any) -> None:
        text = encode_key(key)
        if self._bound.read(text) is None:
            raise KeyError(key)
        self._bound.writes[text] = None
