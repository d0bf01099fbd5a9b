"""What waits to be written, between a host's event loop and the thread that writes."""

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from peer.errors import LogFailed
from peer.ports import Done
from peer.store.compacting import Compacted
from peer.store.frame import CUT, FILL
from peer.store.writing import Run
from protocol.ids import AgentId

PENDING_RECORDS_MAX = 100_000
PENDING_BYTES_MAX = 64 << 20
"""What may wait for the writer; as much again may be in its hands. A host faster than its disk has to slow down."""

REST_S = 0.05
"""How long nothing is written until the writer may rest."""

Compacting = Callable[[Compacted], None] | None


class Job(NamedTuple):
    """Records of one agent to be made durable."""

    agent: AgentId
    records: tuple[bytes, ...]
    done: Done
    flags: int = 0
    first: int = 0
    prev: bytes = b""


class Batch(NamedTuple):
    """What the writer takes at a time."""

    jobs: list[Job]
    wants_signature: bool
    compacting: tuple[float, Compacting] | None


class Jobs:
    """A bounded queue: whoever puts something in waits while it is full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed = threading.Condition()
        self._queue: deque[Job] = deque()
        self._records = 0
        self._bytes = 0
        self._failure: LogFailed | None = None
        self._closing = False
        self._wants_signature = False
        self._compacting: tuple[float, Compacting] | None = None

    def put(self, job: Job) -> None:
        """Add a job; waits while the queue is full.

        Raises: LogFailed, if writing has failed or the log is closed.
        """
        size = sum(map(len, job.records))
        with self._changed:
            while self._is_full() and not self._ended():
                self._changed.wait()
            if ended := self._ended():
                raise ended
            self._queue.append(job)
            self._records += max(1, len(job.records))
            self._bytes += size
            self._changed.notify_all()

    def want_signature(self) -> None:
        """Have the writer sign, soon."""
        with self._changed:
            self._wants_signature = True
            self._changed.notify_all()

    def want_compacting(self, share: float, done: Compacting) -> None:
        """Have the writer compact, soon."""
        with self._changed:
            self._compacting = share, done
            self._changed.notify_all()

    def take(self, rest: Callable[[], None]) -> Batch | None:
        """Wait for something to do and take all of it; None once the log closes and nothing is left.

        Args:
            rest: called when there has been nothing to do for a while.
        """
        rested = False
        while True:
            with self._changed:
                if not self._has_work():
                    self._changed.wait(None if rested else REST_S)
                if self._has_work():
                    return self._taken()
            # Not under the lock: it may take a sync of the disk. What comes meanwhile is found before the next wait.
            if not rested:
                rest()
                rested = True

    def _has_work(self) -> bool:
        return bool(self._queue or self._closing or self._wants_signature or self._compacting)

    def _taken(self) -> Batch | None:
        if self._closing and not self._queue and self._compacting is None:
            return None
        batch = Batch(list(self._queue), self._wants_signature, self._compacting)
        self._queue.clear()
        self._records = self._bytes = 0
        self._wants_signature, self._compacting = False, None
        self._changed.notify_all()
        return batch

    def closes_within(self, seconds: float) -> bool:
        """Wait, but no longer than until the log is to close; tell whether it is."""
        with self._changed:
            if not self._closing:
                self._changed.wait(seconds)
            return self._closing

    def close(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def fail(self, failure: LogFailed) -> None:
        """Nothing more is written."""
        with self._changed:
            self._failure = failure
            self._queue.clear()
            self._changed.notify_all()

    def failure(self) -> LogFailed | None:
        """Return why nothing more is written."""
        return self._failure

    def __len__(self) -> int:
        return len(self._queue)

    def _is_full(self) -> bool:
        return self._records >= PENDING_RECORDS_MAX or self._bytes >= PENDING_BYTES_MAX

    def _ended(self) -> LogFailed | None:
        if self._closing:
            return LogFailed(f"{self._folder} is closed. Nothing was appended. Append before close().")
        return self._failure and LogFailed(f"{self._failure} This append came after it.")


def runs_of(jobs: list[Job]) -> list[Run]:
    """Put together what one agent has appended: one frame for it, unless reading may begin in between."""
    runs: list[Run] = []
    last: dict[AgentId, int] = {}
    for job in jobs:
        if not job.records and not job.flags & CUT:
            continue
        at = last.get(job.agent)
        if job.flags or at is None or runs[at].flags & (CUT | FILL):
            last[job.agent] = len(runs)
            runs.append(Run(job.agent, list(job.records), job.flags, job.first, job.prev))
        else:
            runs[at].records.extend(job.records)
    return runs
