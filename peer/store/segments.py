"""The logs of a host's agents in segment files: what is appended together is made durable together.

One thread writes. It takes everything that waits, of whichever agents, and makes it one batch with one fsync; so the
more agents a host has, the less each of them waits. Knowing what a record means is left to the protocol.
"""

import errno
import logging
import os
import threading
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from peer.chain import FIRST_HASH
from peer.damage import Damage, Finding
from peer.errors import ConfigInvalid, LogCorrupt, LogFailed
from peer.keys import HostKeys
from peer.ports import Done
from peer.store.archive import FILE, FOLDER, Archive, Boundary, read_boundary
from peer.store.codec import Cipher, Codec
from peer.store.compacting import SHARE, ArchiveTerm, Compactor
from peer.store.files import Files
from peer.store.folder import REMEDY, Loader
from peer.store.frame import ANCHOR, CUT, FILL, LOST
from peer.store.importing import import_sqlite
from peer.store.jobs import Batch, Compacting, Job, Jobs, runs_of
from peer.store.lock import lock
from peer.store.records import Paths, Records
from peer.store.segment import segment_files
from peer.store.writing import Writer
from protocol.ids import AgentId

logger = logging.getLogger("ebbtide")

ROOM_S = 0.5
"""How often a full disk is tried again."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE)
"""No room on the disk, or no descriptor left: what passes by itself."""


class SegmentStore:
    """One host's logs, in `<folder>/log/`; implements `ports.LogStore`.

    Backpressure: an append to a full queue (`PENDING_RECORDS_MAX`, `PENDING_BYTES_MAX`) waits, and the event loop with
    it, until the writer has taken it. So all agents slow down to the pace of the disk, and memory stays bounded.

    A full disk stalls the store, and so does a process that has no descriptor left: nothing is acknowledged, `on_stall`
    is told why, and "" once there was room. After any other failed write the store appends nothing more, since a later
    record must never be durable without an earlier one: `on_failure` is told once, no further `done` is called, and
    `append` raises. Open the store anew.

    Args:
        folder: made if missing; held by one process at a time.
        loop: the host's event loop, on which `done`, `on_failure` and `on_stall` are called.
        on_failure: told of the write that failed; without one it goes to the loop's exception handler.
        keys: sign what is written; None: nothing is signed.
        on_stall: told that the disk is full, and that it is not any more.
        cipher: encrypts what is written.
        files: what is done to files.
        archive: address of the archive, as fsspec takes it; empty: in the folder.
        kept: how long the archive keeps segments; None: for good.
        held: the folder's lock, if the caller has it: it is released with the store.

    Raises: LogBusy, if somebody else holds the folder; LogFailed, if it can't be opened or read; ConfigInvalid, if
        another release wrote it; LogCorrupt, if it can't be told what belongs to it.
    """

    def __init__(
        self, folder: Path, loop: AbstractEventLoop, on_failure: Callable[[LogFailed], None] | None = None, *,
        keys: HostKeys | None = None, on_stall: Callable[[str], None] | None = None, cipher: Cipher | None = None,
        files: Files | None = None, held: int | None = None, archive: str = "", kept: ArchiveTerm | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder / "log"
        self._loop = loop
        self._on_failure = on_failure or _tell(loop)
        self._on_stall = on_stall or (lambda _: None)
        self._files = files or Files()
        self._jobs = Jobs(self.folder)
        self._tidied = 0
        """The newest segment when compacting was last tried: only with a new one is there more to put away."""
        self._finished: deque[Done] = deque()
        host = bytes(8) if keys is None else bytes.fromhex(keys.host_id)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock(folder) if held is None else held
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._open(folder, keys, host, Codec(cipher), Archive(folder, archive, host.hex()), kept or ArchiveTerm())
        except BaseException as error:
            if held is None:
                os.close(self._lock)
            if isinstance(error, OSError):
                raise self._unusable(error) from error
            raise
        self._thread = threading.Thread(target=self._write, name=f"log writer {folder.name}", daemon=True)
        self._thread.start()

    def _open(
        self, folder: Path, keys: HostKeys | None, host: bytes, codec: Codec, archive: Archive, kept: ArchiveTerm
    ) -> None:
        if not self.folder.exists():
            self.folder.mkdir()
            self._files.sync_folder(folder)
        try:
            boundary, wrong = read_boundary(self.folder), []
        except LogCorrupt as error:
            # What agents need to come back stands in the segments that are here.
            boundary, wrong = None, [Finding(self.folder, None, None, str(error), "")]
        if boundary is not None and boundary.address != archive.address:
            archive = _known(folder, boundary, archive, host)
        files = segment_files(self.folder)
        for file in files:
            if boundary is not None and int(file.stem) <= boundary.end.segment:
                # It is in the archive; a crash has kept it from being removed.
                self._files.remove(file)
        found = Loader(codec, host, boundary and boundary.end).load([file for file in files if file.exists()])
        found.findings[:0] = wrong
        self._index = found.index
        self.findings: list[Finding] = found.findings
        """What was wrong with the log when it was opened."""
        self.torn = found.torn
        """Bytes of a last write that a crash had torn: they had never been acknowledged."""
        self._records = Records(found.index, Paths(self.folder), codec)
        self._find_missing(boundary is not None)
        self._writer = Writer(self.folder, found, codec, self._files, keys, host)
        # The writer's thread reads by itself: what is decoded is not shared between threads.
        self._compactor = Compactor(
            self.folder, self._index, Records(found.index, Paths(self.folder), codec), self._writer, codec,
            self._files, archive, boundary, kept,
        )  # fmt: skip
        import_sqlite(folder, found.index, self._writer, self._files)

    def _find_missing(self, has_archive: bool) -> None:
        """Find the records that are here, and need something that is not."""
        path = self.folder / FILE
        for agent in self._index.find_gaps(path) if has_archive else ():
            damage = self._index.needed(agent)[0]
            self.findings.append(Finding(damage.file, agent, damage.first, damage.what, REMEDY))
        for agent in self._index.agents() if self.findings else ():
            # Pieces of large records may have gone with what is damaged.
            for first, end, file in self._records.unreadable(agent, self._index.anchor(agent)):
                what = "a piece of it is missing, or not as it was written"
                self._index.hurt(agent, first, end, file, what)
                self.findings.append(Finding(file, agent, first, what, REMEDY))

    def _unusable(self, error: OSError) -> LogFailed:
        return LogFailed(f"Can't open or read {self.folder}: {error}. Nothing was changed. Mend that and try again.")

    # -- the port, on the event loop ----------------------------------------------------------------------------

    def append(self, agent: AgentId, records: Sequence[bytes], done: Done, anchor: bool = False) -> None:
        """Queue for the next batch; `done` is called on the loop once durable, in the order of the appends.

        Raises: LogFailed, if the store has failed or is closed.
        """
        self._jobs.put(Job(agent, tuple(records), done, ANCHOR if anchor else 0))

    def mendable(self) -> "SegmentStore":
        """Return this store: every byte is under a check."""
        return self

    def mend(
        self, agent: AgentId, first: int, prev: bytes, records: Sequence[bytes], done: Done, anchor: bool = False
    ) -> None:
        """Put copies in the place of damaged records.

        Args:
            agent: whose log.
            first: the number of the first of them.
            prev: the hash of the record before it.
            records: as they were written.
            done: called once they are durable.
            anchor: reading may begin with the first of them.

        Raises: LogFailed.
        """
        self._jobs.put(Job(agent, tuple(records), done, FILL | (ANCHOR if anchor else 0), first, prev))

    def begin_at(
        self, agent: AgentId, first: int, prev: bytes, records: Sequence[bytes], done: Done, anchor: bool = False,
        *, lost: bool = False,
    ) -> None:  # fmt: skip
        """Begin a log with a record that has a number already; after a gap, or as an anchor, reading may begin here.

        A log that is here already ends before that record: what stood there stays in the file, and counts no more.
        With `lost`, what followed these records is nowhere any more.

        Raises: LogFailed.
        """
        flags = CUT | ANCHOR if anchor or (records and first > self.length(agent) + 1) else CUT
        self._jobs.put(Job(agent, tuple(records), done, flags | (LOST if lost else 0), first, prev))

    def failure(self) -> LogFailed | None:
        """Return what has ended the writing, if anything has: then no `done` comes any more."""
        return self._jobs.failure()

    def is_lost(self, agent: AgentId) -> bool:
        """Tell whether the end of a log was lost, and nothing was appended since."""
        return self._index.is_lost(agent)

    def reads_from(self, agent: AgentId) -> tuple[int, bytes]:
        """Return the record from which on a log suffices, and the hash that it follows.

        Raises: LogCorrupt.
        """
        first = self.begin_of(agent)
        return first, self._records.prev_of(agent, first) if first > 1 else FIRST_HASH

    def begin_of(self, agent: AgentId) -> int:
        """Return the record from which on a log suffices; nothing is read."""
        return self._index.anchor(agent)

    def read(self, agent: AgentId, first: int = 0) -> Iterator[bytes]:
        """Yield the agent's durable records, oldest first, as they are when the reading begins.

        Args:
            agent: whose.
            first: the number of the first; 0: the last anchor.

        Raises: LogCorrupt.
        """
        for stored in self._records.read(agent, first or self._index.anchor(agent)):
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

    def needed(self, agent: AgentId) -> list[Damage]:
        """Return the same, less what stands before the last anchor."""
        return self._index.needed(agent)

    def agents(self) -> list[AgentId]:
        """Return the agents that have a durable record, or had one that is damaged, in order of name."""
        return self._index.agents()

    def head(self) -> tuple[int, bytes]:
        """Number and digest of the last batch: they stand for everything that was ever written here."""
        return self._writer.head

    def tidy(self) -> None:
        """An epoch is committed: the host signs what is written, and puts away what no agent needs any more."""
        self._jobs.want_signature()
        if self._writer.number > self._tidied:
            self._tidied = self._writer.number
            self.compact()

    def compact(self, share: float = SHARE, done: Compacting = None) -> None:
        """Move what no agent needs any more into the archive, soon.

        Args:
            share: of a segment, the part that may still be needed for it to go; 1 with the newest segment, too.
            done: told on the loop what was done; not if it failed, which `on_failure` or the log of the process tells.
        """
        self._jobs.want_compacting(share, done)

    def close(self) -> None:
        """Write what is queued, then release the files; the last `done`s come with the loop's next turn."""
        self._jobs.close()
        self._thread.join()
        self._records.close()

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
            while (batch := self._jobs.take(self._writer.rest)) is not None:
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
            " A backup goes on with its agents, if there is one; else mend the disk, then start the host again."
        )
        failure.__cause__ = error
        self._jobs.fail(failure)
        self._call(lambda: self._on_failure(failure))

    def _commit(self, batch: Batch) -> None:
        runs = runs_of(batch.jobs)
        if runs:
            self._patiently(lambda: self._writer.commit(runs))
            if not self._writer.is_there():
                raise OSError(f"{self.folder} was deleted while it was in use")
        self._finished.extend(job.done for job in batch.jobs)
        self._call(self._finish)
        if batch.wants_signature:
            self._patiently(self._writer.sign)
        if self._writer.is_full:
            self._patiently(self._writer.roll)
        if batch.compacting is not None:
            self._compact(*batch.compacting)

    def _compact(self, share: float, done: Compacting) -> None:
        try:
            if share >= 1 and not self._writer.is_new:
                self._writer.roll()
            outcome = self._compactor.work(share)
        except (LogFailed, LogCorrupt, ValueError, OSError) as error:
            # The archive can't be reached, something old is damaged, or there is no room: the log itself goes on.
            if isinstance(error, OSError) and error.errno not in FULL:
                raise
            logger.error("%s was not compacted: %s", self.folder, error)
            if done is not None:
                failure = LogFailed(str(error))
                self._call(lambda: self._on_failure(failure))
            return
        if done is not None:
            self._call(lambda: done(outcome))

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
                if self._jobs.closes_within(ROOM_S):
                    raise
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


def _known(folder: Path, boundary: Boundary, given: Archive, host: bytes) -> Archive:
    """Return the archive that a folder has already."""
    if given.address:
        raise ConfigInvalid(
            f"The archive of {folder} is at {boundary.address or folder / FOLDER}, not at {given.address}. Nothing was"
            " changed. Give that address; an archive stays where it was begun."
        )
    return Archive(folder, boundary.address, host.hex())


def _tell(loop: AbstractEventLoop) -> Callable[[LogFailed], None]:
    return lambda failure: loop.call_exception_handler({"message": str(failure), "exception": failure})
