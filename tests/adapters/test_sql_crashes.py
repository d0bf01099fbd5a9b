"""A process that is killed around a commit: brought up again, the row is there once, or undone once."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from peer.adapters.postgres import Postgres
from peer.adapters.sqlite import SQLite
from tests.adapters.growing import PLACE, live, live_and_die

# Processes are forked from one that has all modules, and no threads.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.adapters.growing"])


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


def killed(folder: Path, when: str, transaction: int, goes_back: bool = False) -> None:
    """Live in a process that is killed."""
    child = PROCESSES.Process(target=live_and_die, args=(dict(PLACE), {when: transaction}, folder, goes_back))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL, "it was not killed"


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
