"""The logs of a host's agents in one SQLite file: what is appended together is made durable together.

One thread writes. It takes everything that waits, of whichever agents, and commits it in one transaction with one
fsync; so the more agents a host has, the less each of them waits. Every record carries a hash over the record before
it, which reading checks. Knowing what a record means is left to the protocol.
"""

import fcntl
import os
import sqlite3
import threading
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from peer.errors import ConfigInvalid, EbbtideError, LogBusy, LogCorrupt, LogFailed
from peer.ports import Done
from protocol.ids import AgentId

PENDING_RECORDS_MAX = 100_000
PENDING_BYTES_MAX = 64 << 20
"""What may wait for the writer; as much again may be in its hands. A host faster than its disk has to slow down."""

FORMAT = 1
"""Of the file, kept in its `user_version`."""

HASH_BYTES = 16
FIRST_HASH = bytes(HASH_BYTES)
"""What the first record of an agent follows."""

_SCHEMA = """CREATE TABLE IF NOT EXISTS records (
    agent TEXT NOT NULL, number INTEGER NOT NULL, prev_hash BLOB NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (agent, number))"""
# Where reading begins: what is before it is the archive, for audits only.
_ANCHORS = """CREATE TABLE IF NOT EXISTS anchors (
    agent TEXT NOT NULL PRIMARY KEY, number INTEGER NOT NULL, prev_hash BLOB NOT NULL)"""
# From one name to the next by the index: DISTINCT would read the whole of it.
_AGENTS = """WITH RECURSIVE names(name) AS (
    SELECT min(agent) FROM records
    UNION ALL SELECT (SELECT min(agent) FROM records WHERE agent > name) FROM names WHERE name IS NOT NULL)
    SELECT name FROM names WHERE name IS NOT NULL"""

_ANCHOR_OF = "SELECT number, prev_hash FROM anchors WHERE agent = ?"
_RECORDS_OF = "SELECT number, prev_hash, hash, body FROM records WHERE agent = ? AND number > ? ORDER BY number"

_Job = tuple[AgentId, tuple[bytes, ...], Done, bool]


class SqliteStore:
    """One host's logs, in `<folder>/log.db`; implements `ports.LogStore`.

    Backpressure: an append to a full queue (`PENDING_RECORDS_MAX`, `PENDING_BYTES_MAX`) waits, and the event loop with
    it, until the writer has taken what was queued. So all agents of the host slow down to the pace of its disk, nothing
    is refused, and memory stays bounded.

    After a failed write (disk full) the store appends nothing more, since a later record must never be durable without
    an earlier one: `on_failure` is told once, no further `done` is called, and `append` raises. Open the store anew.

    Args:
        folder: made if missing; held by one process at a time.
        loop: the host's event loop, on which `done` and `on_failure` are called.
        on_failure: told of the write that failed; without one it goes to the loop's exception handler.

    Raises: LogBusy, if somebody else holds the folder; LogCorrupt, if the file is no log; LogFailed, if it can't be
        opened; ConfigInvalid, if another release wrote it.
    """

    def __init__(
        self, folder: Path, loop: AbstractEventLoop, on_failure: Callable[[LogFailed], None] | None = None
    ) -> None:
        self.file = folder / "log.db"
        self._loop = loop
        self._on_failure = on_failure or _tell(loop)
        self._changed = threading.Condition()
        self._queue: deque[_Job] = deque()
        self._pending_records = 0
        self._pending_bytes = 0
        self._failure: LogFailed | None = None
        self._closing = False
        self._finished: deque[Done] = deque()
        self._tails: dict[AgentId, tuple[int, bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        try:
            self._writer = self._opened()
        except BaseException:
            os.close(self._lock)
            raise
        self._thread = threading.Thread(target=self._write, name=f"log writer {folder.name}", daemon=True)
        self._thread.start()

    # -- the port, on the event loop ----------------------------------------------------------------------------

    def append(self, agent: AgentId, records: Sequence[bytes], done: Done, anchor: bool = False) -> None:
        """Queue for the next commit; `done` is called on the loop once durable, in the order of the appends.

        Raises: LogFailed, if the store has failed or is closed.
        """
        bodies = tuple(records)
        size = sum(map(len, bodies))
        with self._changed:
            while self._is_full() and not self._ended():
                self._changed.wait()
            if ended := self._ended():
                raise ended
            self._queue.append((agent, bodies, done, anchor))
            self._pending_records += max(1, len(bodies))
            self._pending_bytes += size
            self._changed.notify_all()

    def read(self, agent: AgentId, whole: bool = False) -> Iterator[bytes]:
        """Yield the agent's durable records, oldest first, as they are when the reading begins.

        Args:
            agent: whose.
            whole: from the first on, the archive included; else from the last anchor on.

        Raises: LogCorrupt.
        """
        number, prev = 0, FIRST_HASH
        reader = self._reader()
        try:
            anchor = None if whole else reader.execute(_ANCHOR_OF, (agent,)).fetchone()
            if anchor is not None:
                number, prev = anchor[0] - 1, anchor[1]
            rows = reader.execute(_RECORDS_OF, (agent, number))
            for found, prev_hash, digest, body in rows:
                number += 1
                if found != number:
                    raise LogCorrupt.at(self.file, agent, number, f"the record is missing, the next is {found}")
                if prev_hash != prev:
                    raise LogCorrupt.at(self.file, agent, number, "it does not follow the record before it")
                if not isinstance(body, bytes) or digest != chain(prev, agent, number, body):
                    raise LogCorrupt.at(self.file, agent, number, "its hash does not fit its body")
                prev = digest
                yield body
        except sqlite3.DatabaseError as error:
            raise self._judged(error, agent, number + 1) from error
        finally:
            reader.close()

    def length(self, agent: AgentId) -> int:
        """Return how many durable records the agent has, the archive included."""
        reader = self._reader()
        try:
            return reader.execute("SELECT count(*) FROM records WHERE agent = ?", (agent,)).fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise self._judged(error, agent) from error
        finally:
            reader.close()

    def agents(self) -> list[AgentId]:
        """Return the agents that have a durable record, in order of name.

        Raises: LogCorrupt.
        """
        reader = self._reader()
        try:
            return [name for (name,) in reader.execute(_AGENTS)]
        except sqlite3.DatabaseError as error:
            raise self._judged(error) from error
        finally:
            reader.close()

    def close(self) -> None:
        """Write what is queued, then release the file; the last `done`s come with the loop's next turn."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _reader(self) -> sqlite3.Connection:
        try:
            return sqlite3.connect(self.file, isolation_level=None)
        except sqlite3.DatabaseError as error:
            raise self._judged(error) from error

    def _judged(
        self, error: sqlite3.DatabaseError, agent: AgentId | None = None, number: int | None = None
    ) -> EbbtideError:
        # Operational errors are the machine's (no space, no descriptor, no permission), the others are the file's.
        if isinstance(error, sqlite3.OperationalError):
            return LogFailed(f"Can't open or read {self.file}: {error}. Nothing was changed. Mend that and try again.")
        return LogCorrupt.at(self.file, agent, number, f"SQLite can't read it ({error})")

    def _is_full(self) -> bool:
        return self._pending_records >= PENDING_RECORDS_MAX or self._pending_bytes >= PENDING_BYTES_MAX

    def _ended(self) -> LogFailed | None:
        if self._closing:
            return LogFailed(f"{self.file} is closed. Nothing was appended. Append before close().")
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
        try:
            while batch := self._take():
                self._commit(batch)
                self._finished.extend(done for _, _, done, _ in batch)
                self._call(self._finish)
        except Exception as error:  # noqa: BLE001 - whatever ends this thread, the host has to hear of it
            failure = LogFailed(
                f"Can't write {self.file}: {error}. The last appends are not durable and were not acknowledged."
                " Make room or mend the disk, then start the host again."
            )
            failure.__cause__ = error
            with self._changed:
                self._failure = failure
                self._queue.clear()
                self._changed.notify_all()
            self._call(lambda: self._on_failure(failure))
        finally:
            self._writer.close()
            os.close(self._lock)

    def _take(self) -> list[_Job]:
        """Wait for something to write and take all of it; empty once the store closes and nothing is left."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            batch = list(self._queue)
            self._queue.clear()
            self._pending_records = self._pending_bytes = 0
            self._changed.notify_all()
        return batch

    def _commit(self, batch: list[_Job]) -> None:
        tails: dict[AgentId, tuple[int, bytes]] = {}
        rows: list[tuple[AgentId, int, bytes, bytes, bytes]] = []
        anchors: list[tuple[AgentId, int, bytes]] = []
        for agent, bodies, _, anchor in batch:
            number, prev = tails.get(agent) or self._tail(agent)
            if anchor:
                anchors.append((agent, number + 1, prev))
            for body in bodies:
                number += 1
                digest = chain(prev, agent, number, body)
                rows.append((agent, number, prev, digest, body))
                prev = digest
            tails[agent] = number, prev
        self._writer.execute("BEGIN IMMEDIATE")
        self._writer.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
        self._writer.executemany("INSERT OR REPLACE INTO anchors VALUES (?, ?, ?)", anchors)
        self._writer.execute("COMMIT")
        self._tails.update(tails)

    def _tail(self, agent: AgentId) -> tuple[int, bytes]:
        if agent not in self._tails:
            last = "SELECT number, hash FROM records WHERE agent = ? ORDER BY number DESC LIMIT 1"
            self._tails[agent] = self._writer.execute(last, (agent,)).fetchone() or (0, FIRST_HASH)
        return self._tails[agent]

    def _call(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            # The loop has ended, and with it whoever waited. What is durable is found by the next life.
            if not self._loop.is_closed():
                raise

    def _opened(self) -> sqlite3.Connection:
        writer = None
        try:
            writer = sqlite3.connect(self.file, isolation_level=None, check_same_thread=False)
            (version,) = writer.execute("PRAGMA user_version").fetchone()
            if version not in (0, FORMAT):
                raise ConfigInvalid(
                    f"{self.file} has format {version}; this release reads {FORMAT}. Nothing was changed."
                    " Use the release that wrote it."
                )
            writer.execute("PRAGMA journal_mode=WAL")
            writer.execute("PRAGMA synchronous=FULL")
            writer.execute(_SCHEMA)
            writer.execute(_ANCHORS)
            writer.execute(f"PRAGMA user_version={FORMAT}")
            _sync_folder(self.file.parent)
        except BaseException as error:
            if writer is not None:
                writer.close()
            if isinstance(error, sqlite3.DatabaseError):
                raise self._judged(error) from error
            raise
        return writer


def chain(prev: bytes, agent: AgentId, number: int, body: bytes) -> bytes:
    """Return the hash of a record that follows the one with hash `prev`."""
    name = agent.encode()
    head = prev + len(name).to_bytes(4, "big") + name + number.to_bytes(8, "big")
    return blake2b(head + body, digest_size=HASH_BYTES).digest()


def _tell(loop: AbstractEventLoop) -> Callable[[LogFailed], None]:
    return lambda failure: loop.call_exception_handler({"message": str(failure), "exception": failure})


def _locked(folder: Path) -> int:
    """Return the folder's lock file, open; the kernel releases the lock when it is closed or its owner dies.

    Raises: LogBusy, naming the holder's process.
    """
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(handle, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        raise LogBusy(
            f"The log in {folder} is in use by process {holder}. Nothing was changed."
            " Stop that process, or give this host a folder of its own."
        ) from error
    # Who holds it is for people to read. The file is never removed: that would let two in.
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle


def _sync_folder(folder: Path) -> None:
    """Make the names of the files in it durable: a synced file without a name is lost."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
