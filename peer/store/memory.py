"""The logs of a host's agents in memory, with the contract of the durable store: for tests and for hosts to try out."""

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Iterator, Sequence

from peer.errors import LogFailed
from peer.ports import Done
from protocol.agent.shelf import MemoryShelf
from protocol.ids import AgentId


class MemoryDisk(dict[AgentId, list[bytes]]):
    """What outlives a `MemoryStore`: hand it to the next one to open the same logs again."""

    def __init__(self) -> None:
        self.lost: dict[AgentId, int] = {}
        """By agent whose log's end was lost, what was left of it."""


class MemoryStore:
    """One host's logs; implements `ports.LogStore`. Appends become readable in the loop's next turn, as if fsynced.

    The queue is bounded by what one turn of the loop appends.
    """

    def __init__(self, loop: AbstractEventLoop, disk: MemoryDisk | None = None) -> None:
        self._loop = loop
        self._disk = MemoryDisk() if disk is None else disk
        self._queue: deque[tuple[AgentId, tuple[bytes, ...], Done]] = deque()
        self._finished: deque[Done] = deque()
        self._closed = False

    def append(self, agent: AgentId, records: Sequence[bytes], done: Done, anchor: bool = False) -> None:
        """Queue for the loop's next turn.

        Raises: LogFailed, if the store is closed.
        """
        if self._closed:
            raise LogFailed("The log in memory is closed. Nothing was appended. Append before close().")
        if not self._queue:
            self._loop.call_soon(self._commit)
        self._queue.append((agent, tuple(records), done))

    def begin_at(
        self, agent: AgentId, first: int, prev: bytes, records: Sequence[bytes], done: Done, *, lost: bool = False
    ) -> None:
        """Begin a log with its first record: this store has no archive, so its logs are whole.

        Raises: LogFailed, for a log that begins later.
        """
        if first > len(self._disk.get(agent, ())) + 1:
            raise LogFailed(f"The log in memory can't begin at record {first} of {agent}. Use the durable store.")
        del self._disk.setdefault(agent, [])[first - 1 :]
        if lost:
            self._disk.lost[agent] = first - 1 + len(records)
        self.append(agent, records, done)

    def is_lost(self, agent: AgentId) -> bool:
        """Tell whether the end of a log was lost, and nothing was appended since."""
        return self._disk.lost.get(agent) == self.length(agent)

    def reads_from(self, agent: AgentId) -> tuple[int, bytes]:
        """Return the first record: logs here have no archive."""
        return 1, b""

    def prev_of(self, agent: AgentId, number: int) -> bytes:
        """Nobody checks what is kept here."""
        return b""

    def hash_of(self, agent: AgentId, number: int) -> bytes:
        """Nobody checks what is kept here."""
        return b""

    def read(self, agent: AgentId, first: int = 0) -> Iterator[bytes]:
        """Yield the agent's records from number `first` on, as they are when the reading begins."""
        yield from tuple(self._disk.get(agent, ()))[max(0, first - 1) :]

    def length(self, agent: AgentId) -> int:
        """Return how many records the agent has."""
        return len(self._disk.get(agent, ()))

    def agents(self) -> list[AgentId]:
        """Return the agents that have a record, in order of name."""
        return sorted(self._disk)

    def head(self) -> tuple[int, bytes]:
        """Nobody audits what is kept here."""
        return 0, b""

    def tidy(self) -> None:
        """There is nothing to put away here."""

    def mendable(self) -> None:
        """Return None: memory is not damaged."""

    def close(self) -> None:
        """Write what is queued; its `done`s come with the loop's next turn."""
        self._closed = True
        self._write()

    def _commit(self) -> None:
        self._write()
        # One `done`'s exception goes to the loop's handler and must not keep the others from being called.
        try:
            while self._finished:
                self._finished.popleft()()
        finally:
            if self._finished:
                self._loop.call_soon(self._commit)

    def _write(self) -> None:
        while self._queue:
            agent, records, done = self._queue.popleft()
            if records:
                self._disk.setdefault(agent, []).extend(records)
            self._finished.append(done)


class MemoryShelves:
    """What waits far behind others stays in memory as well; implements `ports.Shelves`."""

    def of(self, agent: AgentId) -> MemoryShelf:
        """Begin an agent's shelf anew."""
        return MemoryShelf()

    def end(self, agent: AgentId) -> None:
        """An agent is gone from here."""
