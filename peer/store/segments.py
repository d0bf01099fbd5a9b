"""The logs of a host's agents in segment files: what is appended together is made durable together.

One thread writes. It takes everything that waits, of whichever agents, and makes it one batch with one fsync; so the
more agents a host has, the less each of them waits. Knowing what a record means is left to the protocol.
"""

import errno
import os
import threading
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from peer.errors import LogCorrupt, LogFailed
from peer.keys import HostKeys
from peer.ports import Done
from peer.store.archive import read_boundary
from peer.store.codec import Cipher, Codec
from peer.store.files import Files
from peer.store.findings import Finding
from peer.store.folder import Loader
from peer.store.frame import ANCHOR, CUT, FILL
from peer.store.importing import import_sqlite
from peer.store.index import Damage
from peer.store.lock import lock
from peer.store.records import Records
from peer.store.segment import NAME, segment_files
from peer.store.writing import Run, Writer
from protocol.ids import AgentId

PENDING_RECORDS_MAX = 100_000
PENDING_BYTES_MAX = 64 << 20
"""What may wait for the writer; as much again may be in its hands. A host faster than its disk has to slow down."""

ROOM_S = 0.5
"""How often a full disk is tried again."""
REST_S = 0.05
"""How long nothing is written until the mark is brought up."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Job(NamedTuple):
    agent: AgentId
    records: tuple[bytes, ...]
    done: Done
    flags: int = 0
    first: int = 0
    prev: bytes = b""


class SegmentStore:
    """One host's logs, in `<folder>/log/`; implements `ports.LogStore`.

    Backpressure: an append to a full queue (`PENDING_RECORDS_MAX`, `PENDING_BYTES_MAX`) waits, and the event loop with
    it, until the writer has taken what was queued. So all agents of the host slow down to the pace of its disk, nothing
    is refused, and memory stays bounded.

    A full disk stalls the store: nothing is acknowledged, `on_stall` is told why, and "" once there was room. After any
    other failed write the store appends nothing more, since a later record must never be durable without an earlier
    one: `on_failure` is told once, no further `done` is called, and `append` raises. Open the store anew.

    Args:
        folder: made if missing; held by one process at a time.
        loop: the host's event loop, on which `done`, `on_failure` and `on_stall` are called.
        on_failure: told of the write that failed; without one it goes to the loop's exception handler.
        keys: sign what is written; None: nothing is signed.
        on_stall: told that the disk is full, and that it is not any more.
        cipher: encrypts what is written.
        files: what is done to files.
        held: the folder's lock, if the caller has it: it is released with the store.

    Raises: LogBusy, if somebody else holds the folder; LogFailed, if it can't be opened or read; ConfigInvalid, if
        another release wrote it; LogCorrupt, if it can't be told what belongs to it.
    """

    def __init__(
        self, folder: Path, loop: AbstractEventLoop, on_failure: Callable[[LogFailed], None] | None = None, *,
        keys: HostKeys | None = None, on_stall: Callable[[str], None] | None = None, cipher: Cipher | None = None,
        files: Files | None = None, held: int | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder / "log"
        self._loop = loop
        self._on_failure = on_failure or _tell(loop)
        self._on_stall = on_stall or (lambda _: None)
        self._files = files or Files()
        self._changed = threading.Condition()
        self._queue: deque[_Job] = deque()
        self._pending_records = 0
        self._pending_bytes = 0
        self._failure: LogFailed | None = None
        self._closing = False
        self._wants_signature = False
        self._finished: deque[Done] = deque()
        host = bytes(8) if keys is None else bytes.fromhex(keys.host_id)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock(folder) if held is None else held
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._open(folder, keys, host, Codec(cipher))
        except BaseException as error:
            if held is None:
                os.close(self._lock)
            if isinstance(error, OSError):
                raise self._unusable(error) from error
            raise
        self._thread = threading.Thread(target=self._write, name=f"log writer {folder.name}", daemon=True)
        self._thread.start()

    def _open(self, folder: Path, keys: HostKeys | None, host: bytes, codec: Codec) -> None:
        if not self.folder.exists():
            self.folder.mkdir()
            self._files.sync_folder(folder)
        try:
            boundary, wrong = read_boundary(self.folder), []
        except LogCorrupt as error:
            # What agents need to come back stands in the segments that are here.
            boundary, wrong = None, [Finding(self.folder, None, None, str(error), "")]
        found = Loader(codec, host, boundary).load(segment_files(self.folder))
        found.findings[:0] = wrong
        self._index = found.index
        self.findings: list[Finding] = found.findings
        """What was wrong with the log when it was opened."""
        self.torn = found.torn
        """Bytes of a last write that a crash had torn: they had never been acknowledged."""
        self._records = Records(found.index, _Paths(self.folder), codec)
        self._writer = Writer(self.folder, found, codec, self._files, keys, host)
        import_sqlite(folder, found.index, self._writer, self._files)

    def _unusable(self, error: OSError) -> LogFailed:
        return LogFailed(f"Can't open or read {self.folder}: {error}. Nothing was changed. Mend that and try again.")

    # -- the port, on the event loop ----------------------------------------------------------------------------

    def append(self, agent: AgentId, records: Sequence[bytes], done: Done, anchor: bool = False) -> None:
        """Queue for the next batch; `done` is called on the loop once durable, in the order of the appends.

        Raises: LogFailed, if the store has failed or is closed.
        """
        self._put(_Job(agent, tuple(records), done, ANCHOR if anchor else 0))

    def mend(self, agent: AgentId, first: int, prev: bytes, records: Sequence[bytes], done: Done) -> None:
        """Put copies in the place of damaged records.

        Args:
            agent: whose log.
            first: the number of the first of them.
            prev: the hash of the record before it.
            records: as they were written.
            done: called once they are durable.

        Raises: LogFailed.
        """
        self._put(_Job(agent, tuple(records), done, FILL, first, prev))

    def give_up(self, agent: AgentId, first: int, prev: bytes, records: Sequence[bytes], done: Done) -> None:
        """Let a log end before a damaged record, and go on with `records`; what stood there stays in the file.

        Raises: LogFailed.
        """
        self._put(_Job(agent, tuple(records), done, CUT, first, prev))

    def _put(self, job: _Job) -> None:
        size = sum(map(len, job.records))
        with self._changed:
            while self._is_full() and not self._ended():
                self._changed.wait()
            if ended := self._ended():
                raise ended
            self._queue.append(job)
            self._pending_records += max(1, len(job.records))
            self._pending_bytes += size
            self._changed.notify_all()

    def read(self, agent: AgentId, whole: bool = False) -> Iterator[bytes]:
        """Yield the agent's durable records, oldest first, as they are when the reading begins.

        Args:
            agent: whose.
            whole: from the first on that is not in the archive; else from the last anchor on.

        Raises: LogCorrupt.
        """
        first = 1 if whole else self._index.anchor(agent)
        for stored in self._records.read(agent, first):
            yield stored.body

    def length(self, agent: AgentId) -> int:
        """Return how many durable records the agent has, the archive included."""
        return self._index.tail(agent)[0]

    def tail(self, agent: AgentId) -> tuple[int, bytes]:
        """Return number and hash of the agent's last durable record."""
        return self._index.tail(agent)

    def hash_of(self, agent: AgentId, number: int) -> bytes:
        """Return the hash of a durable record.

        Raises: LogCorrupt.
        """
        return self._records.hash_of(agent, number)

    def prev_of(self, agent: AgentId, number: int) -> bytes:
        """Return the hash that a durable record says it follows.

        Raises: LogCorrupt, if its frame can't be read.
        """
        return self._records.prev_of(agent, number)

    def damages(self, agent: AgentId) -> list[Damage]:
        """Return which records of an agent are not there as they were written."""
        return self._index.damages(agent)

    def agents(self) -> list[AgentId]:
        """Return the agents that have a durable record, or had one that is damaged, in order of name."""
        return self._index.agents()

    @property
    def head(self) -> tuple[int, bytes]:
        """Number and digest of the last batch: they stand for everything that was ever written here."""
        return self._writer.head

    def sign(self) -> None:
        """Have the host's signature put on everything so far, soon."""
        with self._changed:
            self._wants_signature = True
            self._changed.notify_all()

    def close(self) -> None:
        """Write what is queued, then release the files; the last `done`s come with the loop's next turn."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._records.close()

    def _is_full(self) -> bool:
        return self._pending_records >= PENDING_RECORDS_MAX or self._pending_bytes >= PENDING_BYTES_MAX

    def _ended(self) -> LogFailed | None:
        if self._closing:
            return LogFailed(f"{self.folder} is closed. Nothing was appended. Append before close().")
        return self._failure and LogFailed(f"{self._failure} This append came after it.")

    def _finish(self) -> None:
        # One `done`'s exception goes to the loop's handler and must not keep the others from being called.
        try:
            while self._finished:
                self._finished.popleft()()
        finally:
            if self._finished:
                self._loop.call_soon(self._finish)

    # -- the writer, on its thread ------------------------------------------------------------------------------

    def _write(self) -> None:
        failed = False
        try:
            while (batch := self._take()) is not None:
                self._commit(batch)
        except Exception as error:  # noqa: BLE001 - whatever ends this thread, the host has to hear of it
            failed = True
            self._fail(error)
        finally:
            try:
                self._writer.close(sign=not failed)
            except OSError as error:
                # Everything acknowledged is durable; only the last signature is not there.
                if not failed:
                    self._fail(error)
            os.close(self._lock)

    def _fail(self, error: Exception) -> None:
        failure = LogFailed(
            f"Can't write {self.folder}: {error}. The last appends are not durable and were not acknowledged."
            " Mend the disk, then start the host again."
        )
        failure.__cause__ = error
        with self._changed:
            self._failure = failure
            self._queue.clear()
            self._changed.notify_all()
        self._call(lambda: self._on_failure(failure))

    def _take(self) -> list[_Job] | None:
        """Wait for something to write and take all of it; None once the store closes and nothing is left."""
        with self._changed:
            rested = False
            while not self._queue and not self._closing and not self._wants_signature:
                # What came while a wait ran out has notified nobody: it is looked for again before the next wait.
                if not self._changed.wait(None if rested else REST_S) and not self._queue:
                    self._writer.rest()
                    rested = True
            if self._closing and not self._queue:
                return None
            batch = list(self._queue)
            self._queue.clear()
            self._pending_records = self._pending_bytes = 0
            self._changed.notify_all()
        return batch

    def _commit(self, batch: list[_Job]) -> None:
        runs = _runs(batch)
        if runs:
            self._patiently(lambda: self._writer.commit(runs))
            if not self._writer.is_there():
                raise OSError(f"{self.folder} was deleted while it was in use")
        self._finished.extend(job.done for job in batch)
        self._call(self._finish)
        if self._wants_signature:
            self._wants_signature = False
            self._patiently(self._writer.sign)
        if self._writer.is_full:
            self._patiently(self._writer.roll)

    def _patiently(self, write: Callable[[], None]) -> None:
        """Write, again and again while the disk is full."""
        is_stalled = False
        while True:
            try:
                write()
                break
            except OSError as error:
                if error.errno not in FULL:
                    raise
                if not is_stalled:
                    is_stalled = True
                    self._say(f"Can't write {self.folder}: {error}. Agents wait; they go on once there is room.")
                with self._changed:
                    if self._closing:
                        raise
                    self._changed.wait(ROOM_S)
        if is_stalled:
            self._say("")

    def _say(self, why: str) -> None:
        self._call(lambda: self._on_stall(why))

    def _call(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            # The loop has ended, and with it whoever waited. What is durable is found by the next life.
            if not self._loop.is_closed():
                raise


class _Paths(dict[int, Path]):
    """Where each segment is."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, number: int) -> Path:
        return self._folder / NAME.format(number)


def _runs(batch: list[_Job]) -> list[Run]:
    """Put together what one agent has appended: one frame for it, unless reading may begin in between."""
    runs: list[Run] = []
    last: dict[AgentId, int] = {}
    for job in batch:
        if not job.records and not job.flags & CUT:
            continue
        at = last.get(job.agent)
        if job.flags or at is None or runs[at].flags & (CUT | FILL):
            last[job.agent] = len(runs)
            runs.append(Run(job.agent, list(job.records), job.flags, job.first, job.prev))
        else:
            runs[at].records.extend(job.records)
    return runs


def _tell(loop: AbstractEventLoop) -> Callable[[LogFailed], None]:
    return lambda failure: loop.call_exception_handler({"message": str(failure), "exception": failure})
