"""Disks in virtual time: a log is durable some time after it was written, and a crash may leave only a part of it.

Appends that wait while the disk is at work go together in its next write, as the real store's do.
"""

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from peer.chain import FIRST_HASH, chained
from peer.damage import Damage, Finding
from peer.errors import LogCorrupt, LogFailed
from peer.ports import Done
from protocol.ids import AgentId
from sims.virtual.chance import AnySpread, Uniform

WHAT = "what stood there can't be read"


class Queued(NamedTuple):
    """An append that waits for the disk."""

    agent: AgentId
    records: tuple[bytes, ...]
    done: Done
    anchor: bool
    first: int = 0
    """The number of the first record, of those that stand in for damaged ones; 0: they follow the last."""
    again: bool = False
    """They were durable before."""


class Disk:
    """What outlives a host's crash: the log of each of its agents."""

    def __init__(self) -> None:
        self.logs: dict[AgentId, list[bytes]] = {}
        self.anchors: dict[AgentId, int] = {}
        """By agent, where the newest append stands that stands for everything before it: reading begins there."""
        self.lost: dict[AgentId, int] = {}
        """By agent whose log's end was lost, what was left of it."""
        self.rotten: dict[AgentId, dict[int, None]] = {}
        """By agent, the numbers of records that can't be read any more."""
        self.missing: dict[AgentId, int] = {}
        """By agent whose last records can't be read, the number of the last."""

    def rot(self, agent: AgentId, first: int, last: int) -> None:
        """Make records of an agent unreadable, as a bad sector does: the next life finds that out."""
        length = len(self.logs.get(agent, ()))
        last = min(last, length)
        if last == length and first <= last:
            self.missing[agent] = last
            self.lose_end(agent, first - 1)
        else:
            self.rotten.setdefault(agent, {}).update(dict.fromkeys(range(first, last + 1)))

    def damages(self, agent: AgentId) -> list[Damage]:
        """Return which records of an agent can't be read, in order."""
        found: list[tuple[int, int]] = []
        for number in sorted(self.rotten.get(agent, ())):
            if found and found[-1][1] == number - 1:
                found[-1] = (found[-1][0], number)
            else:
                found.append((number, number))
        length = len(self.logs.get(agent, ()))
        if self.missing.get(agent, 0) > length:
            found.append((length + 1, self.missing[agent]))
        return [Damage(first, end, Path(agent), WHAT) for first, end in found]

    def put(self, agent: AgentId, records: Sequence[bytes], first: int) -> None:
        """Write records after the last, or from number `first` on in the place of damaged ones."""
        log = self.logs.setdefault(agent, [])
        begin = first - 1 if first else len(log)
        log[begin : begin + len(records)] = records
        for number in range(begin + 1, begin + len(records) + 1):
            self.rotten.get(agent, {}).pop(number, None)
        if self.missing.get(agent, 0) <= len(log):
            self.missing.pop(agent, None)

    def lose_end(self, agent: AgentId, keep: int) -> list[bytes]:
        """Forget all but the first `keep` records of an agent; return what is gone."""
        log = self.logs.get(agent, [])
        gone = log[keep:]
        del log[keep:]
        for number in [number for number in self.rotten.get(agent, ()) if number > keep]:
            del self.rotten[agent][number]
        if self.anchors.get(agent, 0) >= len(log):
            self.anchors.pop(agent, None)
        return gone


class VirtualStore:
    """One life's logs on a `Disk`; implements `ports.Mendable`.

    Args:
        sync: how long a write takes until it is durable.
        failed: told when the disk has failed; without it the failure goes to the loop's handler.
        asked: sees what is about to be written, before it is.
        wrote: sees what is durable, before whoever wrote it is told; not what is mended, which was durable before.
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
        self._failure: LogFailed | None = None
        self.folder = Path("virtual")
        self.findings = [
            Finding(damage.file, agent, damage.first, damage.what, "It is mended from a copy, if there is one.")
            for agent in self.agents()
            for damage in disk.damages(agent)
        ]
        self.torn = 0

    def append(self, agent: AgentId, records: Sequence[bytes], done: Done, anchor: bool = False) -> None:
        """Queue for the disk's next write.

        Raises: LogFailed, if the store is closed.
        """
        if self._closed:
            raise LogFailed("The virtual log is closed. Nothing was appended. Append before close().")
        self._put_off(Queued(agent, tuple(records), done, anchor))

    def mendable(self) -> "VirtualStore":
        """Return this store: its disk may rot."""
        return self

    def mend(
        self, agent: AgentId, first: int, prev: bytes, records: Sequence[bytes], done: Done, anchor: bool = False
    ) -> None:
        """Put copies in the place of damaged records, with the disk's next write."""
        self._put_off(Queued(agent, tuple(records), done, anchor, first, again=True))

    def _put_off(self, what: Queued) -> None:
        self._queue.append(what)
        if self._asked is not None:
            self._asked(what.agent, what.records)
        if not self._busy:
            self._begin()

    def begin_at(
        self, agent: AgentId, first: int, prev: bytes, records: Sequence[bytes], done: Done, anchor: bool = False, *,
        lost: bool = False,
    ) -> None:  # fmt: skip
        """Begin a log with its first record: virtual disks have no archive, so their logs are whole.

        Raises: LogFailed, for a log that begins later.
        """
        if first > len(self._disk.logs.get(agent, ())) + 1:
            raise LogFailed(f"The virtual log can't begin at record {first} of {agent}. Begin it at its end.")
        # What waits to be written of this log is cut off, too.
        for queue in (self._queue, self._writing):
            for at, what in enumerate(queue):
                if what.agent == agent:
                    queue[at] = what._replace(records=())
        self._disk.lose_end(agent, first - 1)
        self._disk.missing.pop(agent, None)
        if lost:
            self._disk.lost[agent] = first - 1 + len(records)
        if self._closed:
            raise LogFailed("The virtual log is closed. Nothing was written. Write before close().")
        # Only who mends begins a log with an anchor that was in it.
        self._put_off(Queued(agent, tuple(records), done, anchor, again=anchor))

    def is_lost(self, agent: AgentId) -> bool:
        """Tell whether the end of a log was lost, and nothing was appended since."""
        return self._disk.lost.get(agent) == self.length(agent)

    def reads_from(self, agent: AgentId) -> tuple[int, bytes]:
        """Return the first record: virtual disks have no archive."""
        return 1, b""

    def prev_of(self, agent: AgentId, number: int) -> bytes:
        """Return the hash that a record follows. Raises: LogCorrupt, if it can't be read."""
        self._check(agent, number)
        return chained(FIRST_HASH, agent, 1, self._disk.logs.get(agent, ())[: number - 1])

    def hash_of(self, agent: AgentId, number: int) -> bytes:
        """Return the hash of a record. Raises: LogCorrupt, if it can't be read."""
        self._check(agent, number)
        return chained(FIRST_HASH, agent, 1, self._disk.logs.get(agent, ())[:number])

    def _check(self, agent: AgentId, number: int) -> None:
        if number in self._disk.rotten.get(agent, ()):
            raise LogCorrupt.at(Path(agent), agent, number, WHAT)

    def damages(self, agent: AgentId) -> list[Damage]:
        """Return which records of an agent can't be read."""
        return self._disk.damages(agent)

    def needed(self, agent: AgentId) -> list[Damage]:
        """Return the same, less what stands before the last anchor."""
        begin = self.begin_of(agent)
        return [damage for damage in self.damages(agent) if damage.end is None or damage.end >= begin]

    def begin_of(self, agent: AgentId) -> int:
        """Return the record from which on a log suffices."""
        return self._disk.anchors.get(agent, 0) + 1

    def tail(self, agent: AgentId) -> tuple[int, bytes]:
        """Return number and hash of the agent's last record."""
        log = self._disk.logs.get(agent, ())
        return len(log), chained(FIRST_HASH, agent, 1, log)

    def failure(self) -> LogFailed | None:
        """Return what has ended the writing, if anything has."""
        return self._failure

    def read(self, agent: AgentId, first: int = 0) -> Iterator[bytes]:
        """Yield the agent's records from number `first` on, as they are when the reading begins.

        Without a number from the last anchor (or the first) on.

        Raises: LogCorrupt, at a record that can't be read.
        """
        begin = first - 1 if first else self._disk.anchors.get(agent, 0)
        records = tuple(self._disk.logs.get(agent, ())[begin:])
        if not self._disk.rotten.get(agent):
            yield from records
            return
        for number, record in enumerate(records, begin + 1):
            self._check(agent, number)
            yield record

    def length(self, agent: AgentId) -> int:
        """Return how many records the agent has."""
        return len(self._disk.logs.get(agent, ()))

    def agents(self) -> list[AgentId]:
        """Return the agents that have a record, or had one that can't be read, in order of name."""
        return sorted(agent for agent, log in self._disk.logs.items() if log or agent in self._disk.missing)

    def head(self) -> tuple[int, bytes]:
        """Nobody audits what is kept here."""
        return 0, b""

    def tidy(self) -> None:
        """There is nothing to put away here."""

    def close(self) -> None:
        """Write what is queued; its `done`s come with the loop's next turn."""
        if not self._closed:
            self._closed = True
            for what in (*self._writing, *self._queue):
                self._finished.append(what.done)
                self._put(what)
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
        for what in kept:
            self._put(what)
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
            what = self._writing.popleft()
            self._finished.append(what.done)
            self._put(what)
        self._tell()

    def _put(self, what: Queued) -> None:
        agent, records = what.agent, what.records
        if records:
            if what.anchor:
                self._disk.anchors[agent] = what.first - 1 if what.first else len(self._disk.logs.get(agent, ()))
            self._disk.put(agent, records, what.first)
            if self._wrote is not None and not what.again:
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
        error = self._failure = LogFailed("The virtual disk failed. What waited was not written. Start the host again.")
        self._closed = True
        self._writing.clear()
        self._queue.clear()
        if self._failed is None:
            self._loop.call_exception_handler({"message": str(error), "exception": error})
        else:
            self._failed(error)
