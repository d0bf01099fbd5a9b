"""Tools that append to a queue, once for each call; an undo removes the entry, or tells those who have it.

`Queue` is the port to whatever keeps the entries: `peer.adapters.redis_queue` has one of Redis streams. `MemoryQueue`
keeps its promises in memory, for tests and simulated worlds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol, Unpack

from peer.adapters.options import Options, keyed
from peer.agents.tool import Call, Happened, NotHappened, Tool, tool

LATE = "it was cancelled before it came: it comes too late"


class Queue(Protocol):
    """A queue whose entries are known by keys. All of it may be called by several threads and processes at once.

    Whoever reads gets two sorts of entries: some with a body, and some that cancel another one, which they name.
    """

    def append(self, key: str, body: bytes) -> str:
        """Append an entry, unless that was done for this key before; return its name.

        Raises: NotHappened, if the key was cancelled; what the client raises, if nobody can tell.
        """
        ...

    def find(self, key: str) -> str | None:
        """Return the name of a key's entry; None, if there is none, or it was cancelled."""
        ...

    def cancel(self, key: str) -> None:
        """Remove a key's entry if nobody has got it yet, else append an entry that cancels it; once for each key.

        A key without an entry is cancelled too: one that comes later is refused.
        """
        ...


def publish(name: str, queue: Callable[[], Any], *, scope: str = "", **options: Unpack[Options]) -> Tool[..., Any]:
    """Return a tool that appends an entry, a str or bytes, and returns its name: `await ctx.call(publish, "tea")`.

    Args:
        name: what logs call the tool.
        queue: opens a `Queue`, kept in a variable of its module: `partial(RedisQueue, "redis://...", "orders")`.
        scope: set before the intent in the key: needed where several clusters share a queue.
        options: timeout (seconds), retry, concurrency: as of any tool.

    Raises: DeclarationRefused, as `tool` does.
    """

    def call(body: str | bytes, /, *, intent: str, queue: Queue) -> str:
        data = body.encode() if isinstance(body, str) else body
        if not isinstance(data, bytes):
            raise NotHappened(f"an entry of type {type(body).__name__}: give a str or bytes. Nothing was appended")
        return queue.append(keyed(scope, intent), data)

    def take_back(call: Call, *, queue: Queue) -> None:
        queue.cancel(keyed(scope, call.intent))

    def check(call: Call, *, queue: Queue) -> Happened | NotHappened:
        found = queue.find(keyed(scope, call.intent))
        return NotHappened() if found is None else Happened(found)

    return tool(undo=take_back, check=check, name=name, resources={"queue": queue}, **options)(call)


@dataclass(frozen=True)
class Entry:
    """An entry, as readers of a queue get it."""

    name: str
    body: bytes
    cancels: str = ""
    """The name of the entry that this one cancels; then it has no body."""


class MemoryQueue:
    """A queue in memory, which keeps the promises of `Queue` while the process lives. Also a resource, by itself."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: list[Entry] = []
        self._names: dict[str, str | None] = {}
        """By key, the name of its entry; None, if it was cancelled."""
        self._count = 0
        self._next = 0
        """How many entries were handed out, by place."""

    def __enter__(self) -> "MemoryQueue":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def append(self, key: str, body: bytes) -> str:
        """As of `Queue`."""
        with self._lock:
            if key not in self._names:
                self._names[key] = self._put(body).name
            name = self._names[key]
        if name is None:
            raise NotHappened(f"entry of {key}: {LATE}")
        return name

    def find(self, key: str) -> str | None:
        """As of `Queue`."""
        with self._lock:
            return self._names.get(key)

    def cancel(self, key: str) -> None:
        """As of `Queue`."""
        with self._lock:
            name, self._names[key] = self._names.get(key), None
            if name is None:
                return
            waiting = [entry.name for entry in self._entries[self._next :]]
            if name in waiting:
                del self._entries[self._next + waiting.index(name)]
            else:
                self._put(b"", name)

    def take(self) -> list[Entry]:
        """Return the entries that nobody has got yet: from now on somebody has."""
        with self._lock:
            found, self._next = self._entries[self._next :], len(self._entries)
            return found

    def _put(self, body: bytes, cancels: str = "") -> Entry:
        self._count += 1
        self._entries.append(Entry(str(self._count), body, cancels))
        return self._entries[-1]
