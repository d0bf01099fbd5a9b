"""PostgreSQL databases, for the tools of `peer.adapters.sql`: by psycopg 3 and its pool (extra `postgres`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peer.extras import needed

_TABLE = """CREATE TABLE IF NOT EXISTS ebbtide_intents (
    intent TEXT PRIMARY KEY, asked TEXT NOT NULL, result BYTEA,
    done_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP, undone_at TIMESTAMPTZ
)"""
_LOCK = 0x65626274
"""Of those who make the table at the same time: `IF NOT EXISTS` alone lets two begin, and one fails."""


class Postgres:
    """A pool of connections: a resource of tools, as `partial(Postgres, "dbname=books")`.

    Args:
        conninfo: where the database is, as libpq takes it: `host=... dbname=...`, or a URL.
        connections: how many at once; who wants more waits.
        wait_s: seconds for which a connection is waited for.

    Raises: ConfigInvalid, if psycopg is not installed.
    """

    mark = "%s"

    def __init__(self, conninfo: str, *, connections: int = 4, wait_s: float = 30.0) -> None:
        self._rows = needed("psycopg.rows", "PostgreSQL", "postgres").dict_row
        pools = needed("psycopg_pool", "PostgreSQL", "postgres")
        self._connect = needed("psycopg", "PostgreSQL", "postgres").connect
        self._conninfo = conninfo
        self._wait_s = wait_s
        self._pool: Any = pools.ConnectionPool(
            conninfo, min_size=1, max_size=connections, timeout=wait_s, open=False,
            check=pools.ConnectionPool.check_connection,
        )  # fmt: skip

    def __enter__(self) -> "Postgres":
        """Connect, and make the table of intents if it is not there.

        Raises: psycopg.Error, if the server can't be reached, or the table can't be made.
        """
        # A pool says only that it has waited in vain; this says why.
        self._connect(self._conninfo, connect_timeout=max(2, int(self._wait_s))).close()
        self._pool.open(wait=True, timeout=self._wait_s)
        try:
            with self.transaction() as cursor:
                # Whoever may not make tables can use one that is there.
                cursor.execute("SELECT to_regclass('ebbtide_intents') AS found")
                if cursor.fetchone()["found"] is None:
                    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                    cursor.execute(_TABLE)
        except BaseException:
            self._pool.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self._pool.close()

    @contextmanager
    def transaction(self, *, is_read: bool = False) -> Iterator[Any]:
        """Begin a transaction, and end it. Raises: psycopg.Error; psycopg_pool.PoolTimeout, if all are in use."""
        with (
            self._pool.connection() as connection,
            connection.transaction(),
            connection.cursor(row_factory=self._rows) as cursor,
        ):
            if is_read:
                cursor.execute("SET TRANSACTION READ ONLY")
            yield cursor
