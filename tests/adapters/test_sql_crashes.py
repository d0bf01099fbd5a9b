"""A process that is killed around a commit: brought up again, the row is there once, or undone once."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from peer import Agent, Cluster, Context, handles
from peer.adapters import sql
from peer.adapters.postgres import Postgres
from peer.adapters.sqlite import SQLite

PLACE: dict[str, str] = {}
"""Where the database is: a file's path, or what libpq takes."""
KILL: dict[str, int] = {}
"""At which transaction of a process it is killed, by `before` or `after` the commit."""


class Deadly:
    """A database whose process is killed at one of its commits."""

    def __init__(self, base: Any) -> None:
        self.base, self.mark, self.count = base, base.mark, 0

    def __enter__(self) -> "Deadly":
        self.base.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.base.__exit__(*error)

    @contextmanager
    def transaction(self, *, is_read: bool = False) -> Iterator[Any]:
        self.count += 1
        with self.base.transaction(is_read=is_read) as cursor:
            yield cursor
            self.die("before")
        self.die("after")

    def die(self, when: str) -> None:
        if KILL.get(when) == self.count:
            os.kill(os.getpid(), signal.SIGKILL)


def open_base() -> Deadly:
    return Deadly(SQLite(PLACE["file"]) if "file" in PLACE else Postgres(PLACE["conninfo"]))


# No parameters: both databases take these statements.
grow = sql.change("grow", open_base, "UPDATE counts SET n = n + 1", "UPDATE counts SET n = n - 1", rows=1)


class Grower(Agent):
    @handles(str)
    async def grow(self, message: str, ctx: Context) -> None:
        await ctx.call(grow)
        self.state["grown"] = self.state.get("grown", 0) + 1


@contextmanager
def base_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Any]:
    """Make a database, and open it for a look."""
    PLACE.clear()
    if kind == "sqlite":
        PLACE["file"] = str(folder / "counts.db")
        opens = partial(SQLite, PLACE["file"])
    else:
        schema = f"s{os.urandom(8).hex()}"
        with psycopg.connect(request.getfixturevalue("postgres"), autocommit=True) as own:
            own.execute(f"CREATE SCHEMA {schema}")
        PLACE["conninfo"] = f"{request.getfixturevalue('postgres')} options='-csearch_path={schema}'"
        opens = partial(Postgres, PLACE["conninfo"])
    with opens() as base, base.transaction() as cursor:
        cursor.execute("CREATE TABLE counts (n INTEGER)")
        cursor.execute("INSERT INTO counts VALUES (0)")
    yield opens


def count(opens: Any) -> tuple[int, int]:
    """Return what is counted, and how many intents there are."""
    with opens() as base, base.transaction(is_read=True) as cursor:
        cursor.execute("SELECT n, (SELECT count(*) FROM ebbtide_intents) AS intents FROM counts")
        row = cursor.fetchone()
        return row["n"], row["intents"]


async def live(folder: Path, *inputs: str, goes_back: bool = False) -> tuple[int, list[Any]]:
    """Bring a cluster up, hand in inputs, take the first step back if so wanted; return what stands and is pending."""
    async with Cluster("local", folder=folder) as cluster:
        await cluster.spawn("grower", Grower)
        if inputs:
            await cluster.submit("grower", *inputs)
        await cluster.quiet()
        if goes_back:
            await cluster.rollback("grower/1/1", inputs="discard")
            await cluster.quiet()
        state = await cluster.state("grower")
        return state.get("grown", 0), await cluster.effects()


def killed(folder: Path, when: str, transaction: int, **options: Any) -> None:
    """Live in a process that is killed."""
    child = os.fork()
    if not child:
        KILL[when] = transaction
        try:
            asyncio.run(live(folder, "go", **options))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it was not killed"
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_that_is_cut_short_is_done_once(
    kind: str, when: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with base_of(kind, request, tmp_path) as opens:
        killed(tmp_path / "run", when, 1)
        assert count(opens) == ((1, 1) if when == "after" else (0, 0))
        assert asyncio.run(live(tmp_path / "run")) == (1, [])
        assert count(opens) == (1, 1)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_undo_that_is_cut_short_is_done_once(
    kind: str, when: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with base_of(kind, request, tmp_path) as opens:
        killed(tmp_path / "run", when, 2, goes_back=True)
        assert count(opens)[0] == (0 if when == "after" else 1)
        assert asyncio.run(live(tmp_path / "run")) == (0, [])
        assert count(opens) == (0, 1)
