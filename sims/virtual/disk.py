"""Disks in virtual time: a log is durable some time after it was written, and a crash may leave only a part of it.

Appends that wait while the disk is at work go together in its next write, as the real store's do.
"""

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from random import Random

from peer.errors import LogFailed
from peer.ports import Done
from protocol.ids import AgentId
from sims.virtual.chance import AnySpread, Uniform

Queued = tuple[AgentId, tuple[bytes, ...], Done, bool]


class Disk:
    """What outlives a host's crash: the log of each of its agents."""

    def __init__(self) -> None:
        self.logs: dict[AgentId, list[bytes]] = {}
        self.anchors: dict[AgentId, int] = {}
        """By agent, where the newest append stands that stands for everything before it: reading begins there."""
        self.lost: dict[AgentId, int] = {}
        """By agent whose log's end was lost, what was left of it."""

    def lose_end(self, agent: AgentId, keep: int) -> list[bytes]:
        """Forget all but the first `keep` records of an agent; return what is gone."""
        log = self.logs.get(agent, [])
        gone = log[keep:]
        del log[keep:]
        if self.anchors.get(agent, 0) >= len(log):
            self.anchors.pop(agent, None)
        return gone


class VirtualStore:
    """One life's logs on a `Disk`; implements `ports.LogStore`.

    Args:
        sync: how long a write takes until it is durable.
        failed: told when the disk has failed; without it the failure goes to the loop's handler.
        asked: sees what is about to be written, before it is.
        wrote: sees what is durable, before whoever wrote it is told.
    """

    def __init__(
        self, loop: AbstractEventLoop, disk: Disk, rng: Random | None = None, sync: AnySpread | None = None, *,
        failed: Callable[[Exception], None] | None = None,
        asked: Callable[[AgentId, Sequence[bytes]], None] | None = None,
        wrote: Callable[[AgentId, Sequence[bytes]], None] | None = None,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._disk = disk
        self._rng = rng or Random(0)
        self._sync: AnySpread = sync or Uniform(100, 400)
        self._failed = failed
        self._asked = asked
        self._wrote = wrote
        self._queue: deque[Queued] = deque()
        self._writing: deque[Queued] = deque()
        self._finished: deque[Done] = deque()
        self._busy = False
        self._closed = False
        self.slower = 1.0
        """By what the time of a write is multiplied."""
        self.fails = False
        """The next write fails, and nothing is written after it."""

    def append(self, agent: AgentId, records: Sequence[bytes], done: Done, anchor: bool = False) -> None:
        """Queue for the disk's next write.

        Raises: LogFailed, if the store is closed.
        """
        if self._closed:
            raise LogFailed("The virtual log is closed. Nothing was appended. Append before close().")
        self._queue.append((agent, tuple(records), done, anchor))
        if self._asked is not None:
            self._asked(agent, records)
        if not self._busy:
            self._begin()

    def begin_at(
        self, agent: AgentId, first: int, prev: bytes, records: Sequence[bytes], done: Done, *, lost: bool = False
    ) -> None:
        """Begin a log with its first record: virtual disks have no archive, so their logs are whole.

        Raises: LogFailed, for a log that begins later.
        """
        if first > len(self._disk.logs.get(agent, ())) + 1:
            raise LogFailed(f"The virtual log can't begin at record {first} of {agent}. Begin it at its end.")
        # What waits to be written of this log is cut off, too.
        for queue in (self._queue, self._writing):
            for at, (log, _, told, anchor) in enumerate(queue):
                if log == agent:
                    queue[at] = (log, (), told, anchor)
        self._disk.lose_end(agent, first - 1)
        if lost:
            self._disk.lost[agent] = first - 1 + len(records)
        self.append(agent, records, done)

    def is_lost(self, agent: AgentId) -> bool:
        """Tell whether the end of a log was lost, and nothing was appended since."""
        return self._disk.lost.get(agent) == self.length(agent)

    def begin(self, agent: AgentId) -> tuple[int, bytes]:
        """Return the first record: virtual disks have no archive."""
        return 1, b""

    def prev_of(self, agent: AgentId, number: int) -> bytes:
        """Nobody checks what is kept here."""
        return b""

    def hash_of(self, agent: AgentId, number: int) -> bytes:
        """Nobody checks what is kept here."""
        return b""

    def read(self, agent: AgentId, first: int = 0) -> Iterator[bytes]:
        """Yield the agent's records from number `first` on, as they are when the reading begins.

        Without a number from the last anchor (or the first) on.
        """
        begin = first - 1 if first else self._disk.anchors.get(agent, 0)
        yield from tuple(self._disk.logs.get(agent, ())[begin:])

    def length(self, agent: AgentId) -> int:
        """Return how many records the agent has."""
        return len(self._disk.logs.get(agent, ()))

    def agents(self) -> list[AgentId]:
        """Return the agents that have a record, in order of name."""
        return sorted(agent for agent, log in self._disk.logs.items() if log)

    def head(self) -> tuple[int, bytes]:
        """Nobody audits what is kept here."""
        return 0, b""

    def tidy(self) -> None:
        """There is nothing to put away here."""

    def close(self) -> None:
        """Write what is queued; its `done`s come with the loop's next turn."""
        if not self._closed:
            self._closed = True
            for agent, records, done, anchor in (*self._writing, *self._queue):
                self._finished.append(done)
                self._put(agent, records, anchor)
            self._writing.clear()
            self._queue.clear()
            if self._finished:
                self._loop.call_soon(self._tell)

    def unwritten(self) -> int:
        """Return how many appends are not durable."""
        return len(self._queue) + len(self._writing)

    def crash(self, torn: bool = False) -> int:
        """Stop dead: what is not durable is gone, but for a prefix of it if the write is torn; return how many stay."""
        waiting = [*self._writing, *self._queue]
        kept = waiting[: self._rng.randint(1, len(waiting))] if torn and waiting else []
        self._closed = True
        self._writing.clear()
        self._queue.clear()
        self._finished.clear()
        for agent, records, _, anchor in kept:
            self._put(agent, records, anchor)
        return len(kept)

    def _begin(self) -> None:
        self._busy = True
        self._loop.call_soon(self._take)

    def _take(self) -> None:
        """Take what has come in this turn of the loop into one write."""
        self._writing, self._queue = self._queue, deque()
        self._loop.call_later(self._sync.draw(self._rng) * self.slower / 1e6, self._write)

    def _write(self) -> None:
        if self.fails and self._writing:
            self._break()
            return
        while self._writing:
            agent, records, done, anchor = self._writing.popleft()
            self._finished.append(done)
            self._put(agent, records, anchor)
        self._tell()

    def _put(self, agent: AgentId, records: Sequence[bytes], anchor: bool) -> None:
        if records:
            log = self._disk.logs.setdefault(agent, [])
            if anchor:
                self._disk.anchors[agent] = len(log)
            log.extend(records)
            if self._wrote is not None:
                self._wrote(agent, records)

    def _tell(self) -> None:
        # One `done`'s exception goes to the loop's handler and must not keep the others from being called.
        try:
            while self._finished:
                self._finished.popleft()()
        finally:
            if self._finished:
                self._loop.call_soon(self._tell)
            elif self._queue and not self._closed:
                self._take()
            else:
                self._busy = False

    def _break(self) -> None:
        error = LogFailed("The virtual disk failed. What waited was not written. Start the host again.")
        self._closed = True
        self._writing.clear()
        self._queue.clear()
        if self._failed is None:
            self._loop.call_exception_handler({"message": str(error), "exception": error})
        else:
            self._failed(error)
