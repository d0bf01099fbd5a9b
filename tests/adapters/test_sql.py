"""SQL tools on SQLite and PostgreSQL: rows and intent in one transaction, so each call and each undo is done once."""

import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from peer import Call, Happened, NotHappened
from peer.adapters import sql
from peer.adapters.postgres import Postgres
from peer.adapters.sqlite import SQLite
from peer.errors import ConfigInvalid, DeclarationRefused


class Books:
    """A database with a table of accounts."""

    def __init__(self, opens: Callable[[], Any]) -> None:
        self.opens = opens
        self.is_sqlite = opens.func is SQLite  # type: ignore[attr-defined]
        with opens() as base, base.transaction() as cursor:
            number = "INTEGER PRIMARY KEY" if self.is_sqlite else "INTEGER PRIMARY KEY GENERATED ALWAYS AS IDENTITY"
            cursor.execute(f"CREATE TABLE accounts (id {number}, name TEXT UNIQUE, cents INTEGER)")
            cursor.execute("INSERT INTO accounts (name, cents) VALUES ('ann', 100)")

    def named(self, text: str) -> str:
        """Write parameters by name, `:name`, as the database does."""
        if self.is_sqlite:
            return text
        words = [f"%({word[1:].rstrip(',)')})s{word[len(word.rstrip(',)')):]}" if word[0] == ":" else word
                 for word in text.replace("(:", "( :").split()]  # fmt: skip
        return " ".join(words)

    def impatient(self) -> Any:
        """Return the database for somebody who does not wait for locks."""
        (place,) = self.opens.args  # type: ignore[attr-defined]
        return SQLite(place, wait_s=0.0) if self.is_sqlite else Postgres(place[:-1] + " -clock_timeout=1'")

    def accounts(self, base: sql.Database) -> dict[str, int]:
        with base.transaction(is_read=True) as cursor:
            cursor.execute("SELECT name, cents FROM accounts ORDER BY id")
            return {row["name"]: row["cents"] for row in cursor.fetchall()}


def new_schema(conninfo: str) -> str:
    schema = f"s{uuid.uuid4().hex}"
    with psycopg.connect(conninfo, autocommit=True) as own:
        own.execute(f"CREATE SCHEMA {schema}")
    return schema


@pytest.fixture(params=["sqlite", "postgres"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    if request.param == "sqlite":
        yield Books(partial(SQLite, tmp_path / "books.db"))
        return
    conninfo = request.getfixturevalue("postgres")
    yield Books(partial(Postgres, f"{conninfo} options='-csearch_path={new_schema(conninfo)}'"))


@pytest.fixture
def base(books: Books) -> Iterator[sql.Database]:
    with books.opens() as base:
        yield base


@pytest.fixture
def pay(books: Books) -> Any:
    return sql.change(
        "pay", books.opens,
        books.named("UPDATE accounts SET cents = cents - :cents WHERE name = :name AND cents >= :cents"),
        books.named("UPDATE accounts SET cents = cents + :cents WHERE name = :name"), rows=1,
    )  # fmt: skip


def asked(intent: str = "a/1/0", *args: Any, **kwargs: Any) -> Call:
    return Call(intent, args, kwargs)


def test_a_call_that_is_repeated_is_done_once_and_answers_the_same(books: Books, base: Any, pay: Any) -> None:
    call = asked(name="ann", cents=30)
    assert isinstance(pay.check(call, database=base), NotHappened)
    assert [pay.function(intent="a/1/0", database=base, **call.kwargs) for _ in range(2)] == [1, 1]
    assert books.accounts(base) == {"ann": 70}
    assert pay.check(call, database=base) == Happened(1)
    for _ in range(2):
        pay.undo(call, database=base)
        assert books.accounts(base) == {"ann": 100}
    assert isinstance(pay.check(call, database=base), NotHappened)


def test_what_was_undone_before_it_came_is_refused(books: Books, base: Any, pay: Any) -> None:
    call = asked(name="ann", cents=30)
    pay.undo(call, database=base)
    with pytest.raises(NotHappened, match="comes too late"):
        pay.function(intent="a/1/0", database=base, **call.kwargs)
    assert books.accounts(base) == {"ann": 100}
    assert isinstance(pay.check(call, database=base), NotHappened)


def test_what_fails_leaves_neither_rows_nor_intent(books: Books, base: Any, pay: Any) -> None:
    with pytest.raises(NotHappened, match="0 rows were to be changed, not 1"):
        pay.function(intent="a/1/0", database=base, name="ann", cents=300)
    twice = sql.change(
        "open",
        books.opens,
        [books.named("INSERT INTO accounts (name, cents) VALUES ( :name, 0)")] * 2,
        kind="idempotent",
    )
    with pytest.raises(NotHappened, match=r"(?i)unique"):
        twice.function(intent="a/1/0", database=base, name="bob")
    assert books.accounts(base) == {"ann": 100}
    # A call that comes again with that intent finds nothing in its way.
    pay.function(intent="a/1/0", database=base, name="ann", cents=30)
    assert books.accounts(base) == {"ann": 70}


def test_an_undo_by_statements_knows_the_columns_that_were_returned(books: Books, base: Any) -> None:
    opened = sql.change(
        "open", books.opens, books.named("INSERT INTO accounts (name, cents) VALUES ( :name, 0) RETURNING id"),
        books.named("DELETE FROM accounts WHERE id = :id"),
    )  # fmt: skip
    closed = sql.change(
        "close", books.opens, books.named("DELETE FROM accounts WHERE cents < :most RETURNING name, cents"),
        books.named("INSERT INTO accounts (name, cents) VALUES ( :name, :cents)"),
    )  # fmt: skip
    for number, name in enumerate(("bob", "carl")):
        opened.function(intent=f"a/1/{number}", database=base, name=name)
    found = closed.function(intent="a/2/0", database=base, most=50)
    assert sorted(row["name"] for row in found) == ["bob", "carl"]
    assert books.accounts(base) == {"ann": 100}
    closed.undo(asked("a/2/0", most=50), database=base)
    assert books.accounts(base) == {"ann": 100, "bob": 0, "carl": 0}
    found = opened.check(asked("a/1/0", name="bob"), database=base)
    assert isinstance(found, Happened)
    assert list(found.result[0]) == ["id"]


def test_a_function_returns_what_its_undo_needs(books: Books, base: Any) -> None:
    update = books.named("UPDATE accounts SET name = :new WHERE name = :old")

    def rename(cursor: Any, old: str, new: str) -> str:
        cursor.execute(update, {"old": old, "new": new})
        return old

    def back(cursor: Any, call: Call) -> None:
        cursor.execute(update, {"old": call.args[1], "new": call.result})

    tool = sql.change("rename", books.opens, rename, back)
    assert tool.function("ann", "anna", intent="a/1/0", database=base) == "ann"
    assert books.accounts(base) == {"anna": 100}
    # Nobody but the database knows what it has returned: the process may have ended before.
    tool.undo(asked("a/1/0", "ann", "anna"), database=base)
    assert books.accounts(base) == {"ann": 100}


def test_an_undo_that_fails_is_undone_whole_and_can_be_tried_again(books: Books, base: Any, pay: Any) -> None:
    call = asked(name="ann", cents=30)
    pay.function(intent="a/1/0", database=base, **call.kwargs)
    with base.transaction() as cursor:
        cursor.execute("UPDATE accounts SET name = 'anna'")
    with pytest.raises(NotHappened, match="0 rows"):
        pay.undo(call, database=base)
    assert pay.check(call, database=base) == Happened(1)
    with base.transaction() as cursor:
        cursor.execute("UPDATE accounts SET name = 'ann'")
    pay.undo(call, database=base)
    assert books.accounts(base) == {"ann": 100}


def test_calls_with_one_intent_at_once_are_one(books: Books, base: Any, pay: Any) -> None:
    begin, results = threading.Barrier(4), list[Any]()

    def one() -> None:
        begin.wait()
        results.append(pay.function(intent="a/1/0", database=base, name="ann", cents=30))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1] * 4
    assert books.accounts(base) == {"ann": 70}


def test_a_check_waits_for_a_call_that_is_under_way(books: Books, base: Any) -> None:
    is_inside, may_go = threading.Event(), threading.Event()

    def slow(cursor: Any) -> int:
        is_inside.set()
        may_go.wait()
        return 7

    tool = sql.change("slow", books.opens, slow, kind="irreversible")
    calling = threading.Thread(target=lambda: tool.function(intent="a/1/0", database=base))
    calling.start()
    is_inside.wait()
    try:
        # Whoever has no patience finds out that it would have to wait; nobody is told that it has not happened.
        with books.impatient() as other, pytest.raises((sqlite3.OperationalError, psycopg.errors.LockNotAvailable)):
            tool.check(asked(), database=other)
    finally:
        may_go.set()
        calling.join()
    assert tool.check(asked(), database=base) == Happened(7)


def test_an_intent_of_another_cluster_is_told_apart(books: Books, base: Any, pay: Any) -> None:
    pay.function(intent="a/1/0", database=base, name="ann", cents=30)
    with pytest.raises(NotHappened, match=r"another cluster .* scope"):
        pay.function(intent="a/1/0", database=base, name="ann", cents=31)
    scoped = sql.change(
        "pay", books.opens, books.named("UPDATE accounts SET cents = 0"), kind="idempotent", scope="two"
    )
    scoped.function(intent="a/1/0", database=base)
    assert books.accounts(base) == {"ann": 0}


def test_looking_changes_nothing(books: Books, base: Any) -> None:
    look = sql.look("look", books.opens, books.named("SELECT cents FROM accounts WHERE name = :name"))
    assert look.function(database=base, name="ann") == [{"cents": 100}]
    with pytest.raises(DeclarationRefused, match="look"):
        sql.change("look", books.opens, "SELECT 1", kind="pure")
    if not books.is_sqlite:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            sql.look("zero", books.opens, "UPDATE accounts SET cents = 0").function(database=base)


def test_parameters_are_by_place_or_by_name_and_not_both(books: Books, base: Any) -> None:
    mark = base.mark
    tool = sql.change(
        "set", books.opens, f"UPDATE accounts SET cents = {mark} WHERE name = {mark}",
        f"UPDATE accounts SET cents = 100 - {mark} * 0 WHERE name = {mark}",
    )  # fmt: skip
    tool.function(5, "ann", intent="a/1/0", database=base)
    assert books.accounts(base) == {"ann": 5}
    tool.undo(asked("a/1/0", 5, "ann"), database=base)
    assert books.accounts(base) == {"ann": 100}
    with pytest.raises(NotHappened, match="either"):
        tool.function(5, intent="a/1/1", database=base, name="ann")


@pytest.mark.parametrize("way", ["commit", "script"])
def test_what_would_end_the_transaction_is_refused(books: Books, base: Any, way: str) -> None:
    def ends(cursor: Any) -> None:
        cursor.execute("UPDATE accounts SET cents = 0")
        if way == "script" and books.is_sqlite:
            cursor.executescript("SELECT 1")
        else:
            cursor.connection.commit()

    tool = sql.change("ends", books.opens, ends, kind="irreversible")
    with pytest.raises(NotHappened):
        tool.function(intent="a/1/0", database=base)
    assert books.accounts(base) == {"ann": 100}
    assert isinstance(tool.check(asked(), database=base), NotHappened)


def test_a_file_is_asked_for_and_one_that_can_not_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="Name a file"):
        SQLite(":memory:")
    with pytest.raises(sqlite3.OperationalError), SQLite(tmp_path / "none" / "books.db"):
        pass


def test_what_only_the_commit_refuses_is_known_by_the_check(postgres: str) -> None:
    books = Books(partial(Postgres, f"{postgres} options='-csearch_path={new_schema(postgres)}'"))
    late = sql.change(
        "late", books.opens,
        ["ALTER TABLE accounts ADD CHECK (cents > 0)", "CREATE TABLE late (n INT UNIQUE DEFERRABLE INITIALLY DEFERRED)",
         "INSERT INTO late VALUES (1), (1)"], kind="irreversible",
    )  # fmt: skip
    with books.opens() as base:
        with pytest.raises(psycopg.errors.UniqueViolation):
            late.function(intent="a/1/0", database=base)
        assert isinstance(late.check(asked(), database=base), NotHappened)  # type: ignore[misc]


def test_a_server_that_is_gone_has_not_done_it(postgres: str, tmp_path: Path) -> None:
    with pytest.raises(psycopg.OperationalError, match="No such file"), Postgres(f"host={tmp_path}"):
        pass
    books = Books(partial(Postgres, f"{postgres} options='-csearch_path={new_schema(postgres)}'"))

    def cut(cursor: Any) -> None:
        cursor.execute("UPDATE accounts SET cents = 0")
        with psycopg.connect(postgres, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 60000)", (cursor.connection.info.backend_pid,))

    tool = sql.change("cut", books.opens, cut, kind="irreversible")
    with books.opens() as base:
        with pytest.raises(NotHappened, match="terminat"):
            tool.function(intent="a/1/0", database=base)
        # The pool has another connection.
        assert books.accounts(base) == {"ann": 100}
        assert isinstance(tool.check(asked(), database=base), NotHappened)  # type: ignore[misc]
