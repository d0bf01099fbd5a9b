"""SQLite databases, for the tools of `peer.adapters.sql`."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from peer.errors import ConfigInvalid

_TABLE = """CREATE TABLE IF NOT EXISTS ebbtide_intents (
    intent TEXT PRIMARY KEY, asked TEXT NOT NULL, result BLOB,
    done_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, undone_at TEXT
)"""


class SQLite:
    """A database in a file: a resource of tools, as `partial(SQLite, "books.db")`. Each transaction has a connection.

    Args:
        path: the file; it is made if it is not there.
        wait_s: seconds for which a transaction waits while another one writes.
        setup: called with each new connection, before it is used: pragmas, functions.
    """

    mark = "?"

    def __init__(
        self, path: str | Path, *, wait_s: float = 30.0, setup: Callable[[sqlite3.Connection], object] | None = None
    ) -> None:
        if str(path) in ("", ":memory:"):
            raise ConfigInvalid(
                f"SQLite({str(path)!r}): what is in memory is gone with its connection, the intents too. Name a file."
            )
        self._path = path
        self._wait_s = wait_s
        self._setup = setup

    def __enter__(self) -> "SQLite":
        """Make the table of intents. Raises: sqlite3.Error, if the file can't be opened or written."""
        with closing(self._connected()) as connection:
            connection.execute(_TABLE)
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open between transactions."""

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=self._wait_s, isolation_level=None)
        connection.row_factory = _as_dict
        if self._setup is not None:
            self._setup(connection)
        return connection

    @contextmanager
    def transaction(self, *, is_read: bool = False) -> Iterator[sqlite3.Cursor]:
        """Begin a transaction, and end it. Raises: sqlite3.Error."""
        with closing(self._connected()) as connection:
            # Who is to write says so first: two that read, and then want to write, would be in each other's way.
            connection.execute("BEGIN" if is_read else "BEGIN IMMEDIATE")
            # The body can't end the transaction: not by COMMIT, nor by what commits on its own, as executescript.
            connection.set_authorizer(_no_ends)
            try:
                yield connection.cursor()
            finally:
                connection.set_authorizer(None)
            # Without this the connection is closed, which rolls back.
            connection.execute("COMMIT")


def _no_ends(action: int, *_: Any) -> int:
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_TRANSACTION else sqlite3.SQLITE_OK


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}
