"""An agent's state as its handlers see it: a mapping whose reads are tracked and whose writes are versions (ST-3)."""

from collections.abc import Iterator, MutableMapping
from typing import Any

from peer import errors, payload
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
        value, writer = self.versions.read(key)
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
        found: dict[str, bytes | None] = {}
        for key, value, writer in self.versions.read_all():
            self.reads[key, writer] = None
            found[key] = value
        found.update(self.writes)
        return {key: value for key, value in found.items() if value is not None}

    def draft(self) -> tuple[tuple[Read, ...], tuple[Write, ...]]:
        """Return the reads and writes for the step's record."""
        reads = tuple(Read(key, writer) for key, writer in self.reads)
        return reads, tuple(Write(key, value) for key, value in self.writes.items())


class State(MutableMapping[Any, Any]):
    """A mapping from keys (str, int, bool, or tuples of these) to values.

    Reading a key makes the step depend on whoever wrote it, even if that was its removal. Iterating or counting reads
    the mapping whole. Values come back as copies: change one, and write it back.
    """

    def __init__(self) -> None:
        self._run: Tracked | None = None

    def bind(self, run: Tracked | None) -> None:
        """Attach the mapping to a run; None between runs."""
        self._run = run

    @property
    def _bound(self) -> Tracked:
        if self._run is None:
            raise errors.CallerError("state is only there inside a handler: outside, nobody could undo what it does")
        return self._run

    def __getitem__(self, key: Any) -> Any:
        data = self._bound.read(encode_key(key))
        if data is None:
            raise KeyError(key)
        return payload.decode(data)

    def observe(self, key: Any, default: Any = None) -> Any:
        """Return a key's value, or the default, without depending on whoever wrote it.

        What it shows may be undone later, and this step stays: good for logs, hints and dashboards, not for decisions.
        The step's record names the keys that it observed.
        """
        data = self._bound.observe(encode_key(key))
        return default if data is None else payload.decode(data)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._bound.writes[encode_key(key)] = payload.encode(value)

    def __delitem__(self, key: Any) -> None:
        text = encode_key(key)
        if self._bound.read(text) is None:
            raise KeyError(key)
        self._bound.writes[text] = None

    def __contains__(self, key: Any) -> bool:
        return self._bound.read(encode_key(key)) is not None

    def __iter__(self) -> Iterator[Any]:
        return iter([decode_key(key) for key in self._bound.read_all()])

    def __len__(self) -> int:
        return len(self._bound.read_all())
