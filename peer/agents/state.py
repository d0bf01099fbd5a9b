"""An agent's state as its handlers see it: a mapping whose reads are tracked and whose writes are versions (ST-3)."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

from peer import errors
from peer.agents.past import as_step
from peer.agents.tracked import Held, Tracked, Wanted, may_change
from peer.values import payload
from peer.values.codec import Values
from peer.values.declared import family
from peer.values.key_text import decode_key, encode_key
from protocol.ids import StepId

_CURRENT: ContextVar["tuple[State, Tracked] | None"] = ContextVar("ebbtide_run", default=None)
"""Whose handler this is: tasks and threads that it begins inherit it, and whoever comes after has another."""


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
            return self._made(key, made.build(key, View(self._values, self._reads, made.of)))
        data = self._reads().read(encode_key(key))
        if data is None:
            raise KeyError(key)
        return self._got(key, data)

    def _got(self, key: Any, data: bytes) -> Any:
        """Return a stored value to whoever looks."""
        return self._values.decode(key, data)

    def _made(self, key: Any, value: Any) -> Any:
        """Return a derived value to whoever looks."""
        return value

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


class _Lent(View):
    """A view for handlers: what it shows can't be changed in place, and whoever does so is told."""

    def __init__(self, values: Values, reads: Callable[[], Reads], run: Tracked, where: str) -> None:
        super().__init__(values, reads)
        self._run, self._where = run, where

    def _got(self, key: Any, data: bytes) -> Any:
        value = self._values.decode(key, data)
        changed = partial(self._values.has_changed, key, data, value)
        return self._run.lend(f"the value of key {key!r} {self._where}", value, changed)

    def _made(self, key: Any, value: Any) -> Any:
        return _lent_derived(self._run, key, value)


def _lent_derived(run: Tracked, key: Any, value: Any) -> Any:
    if may_change(value):
        try:
            before = payload.encode(value)
        except errors.CallerError:
            return value  # nothing that could be stored: nobody expects it to be kept
        run.lend(f"the value of the derived key {key!r}", value, lambda: payload.encode(value) != before)
    return value


class State(View, MutableMapping[Any, Any]):
    """A mapping from keys (str, int, bool, or tuples of these) to values.

    Reading a key makes the step depend on whoever wrote it, even if that was its removal. Iterating or counting reads
    the mapping whole. Within a handler it is as a dict is: a key gives the same object each time, and what has become
    of that in place by the time that the handler returns is written with the step.
    """

    def __init__(self, values: Values, check_past: Callable[[StepId], None]) -> None:
        """Make an agent's state.

        Args:
            values: how its values are kept.
            check_past: raises StepUnknown for a step that the state can't be read at.
        """
        super().__init__(values, lambda: self._bound)
        self._check_past = check_past

    def bind(self, run: Tracked) -> None:
        """Let what is done from here on, and in tasks and threads that begin here, belong to a run."""
        _CURRENT.set((self, run))
        self._values.begin()

    def settle(self, run: Tracked) -> None:
        """Write what the handler has changed in place; nothing more belongs to the run from now on.

        Raises: CallerError, if something was changed in place that can't be kept; PayloadTooLarge, PayloadUnsupported,
            naming the key; ReadOnly.
        """
        for text, (key, value, data) in run.held.items():
            try:
                if self._values.has_changed(key, data, value):
                    run.write(text, self._values.encode(key, value))
            except (errors.PayloadTooLarge, errors.PayloadUnsupported) as error:
                raise type(error)(f"The value of key {key!r} was changed in place: {error}") from error
        run.check_lent()
        run.end()

    async def place(self, run: Tracked) -> None:
        """Make durable what the run has written that does not go into the log."""
        await self._values.place(run.writes.values())

    @property
    def _bound(self) -> Tracked:
        current = _CURRENT.get()
        if current is None or current[0] is not self:
            raise errors.CallerError(
                "state is only there inside a handler: outside, nobody could undo what it does. Threads that a handler"
                " begins have it by asyncio.to_thread"
            )
        return current[1]

    def _got(self, key: Any, data: bytes) -> Any:
        run, text = self._bound, encode_key(key)
        held = run.held.get(text)
        if held is not None and held.data == data:
            return held.value
        return self._hold(run, text, Held(key, self._values.decode(key, data), data))

    def _made(self, key: Any, value: Any) -> Any:
        return _lent_derived(self._bound, key, value)

    def _hold(self, run: Tracked, text: str, held: Held) -> Any:
        if may_change(held.value):
            run.held[text] = held
        else:
            run.held.pop(text, None)
        return held.value

    def observe(self, key: Any, default: Any = None) -> Any:
        """Return a key's value, or the default, without depending on whoever wrote it.

        What it shows may be undone later, and this step stays: good for logs, hints and dashboards, not for decisions.
        The step's record names the keys that it observed.
        """
        run = self._bound
        return _Lent(self._values, lambda: _Glance(run), run, "that observe returned").get(key, default)

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
            run.check_lives(f"read the state at {at}")
            # Again each time: while a handler awaits something the horizon may pass the step.
            self._check_past(at)
            return _Past(run, at)

        return _Lent(self._values, reads, run, f"at {at}")

    def __setitem__(self, key: Any, value: Any) -> None:
        run, text = self._bound, encode_key(key)
        data = self._values.encode(key, value)
        run.write(text, data)
        run.given(value)
        self._hold(run, text, Held(key, value, data))

    def __delitem__(self, key: Any) -> None:
        run, text = self._bound, encode_key(key)
        self._values.check_stored(key)
        if run.read(text) is None:
            raise KeyError(key)
        run.write(text, None)
        run.held.pop(text, None)
