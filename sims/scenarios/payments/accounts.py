"""The bank's books: a real SQLite database, and the tools that post to it, and send money out of it.

A posting is undone by a reversing entry. What is sent out is gone: nobody can undo that.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from peer import Call, Happened, NotHappened, tool

_SCHEMA = """
create table if not exists entries (
    intent text primary key,
    payment integer not null,
    account text not null,
    cents integer not null,
    reverses text unique references entries (intent)
) without rowid
"""
_TRANSFERS = """
create table if not exists transfers (
    intent text primary key,
    payment integer not null,
    account text not null,
    cents integer not null
) without rowid
"""


def open_books(file: str) -> sqlite3.Connection:
    """Open the books; several ledgers' processes write to them at once."""
    books = sqlite3.connect(file, timeout=60, isolation_level=None)
    books.execute("pragma journal_mode=wal")
    books.execute("pragma synchronous=full")
    books.execute(_SCHEMA)
    books.execute(_TRANSFERS)
    return books


def reverse_entry(call: Call) -> None:
    """Post the opposite of an entry, once, if the entry is there."""
    file = call.args[0]
    with closing(open_books(file)) as books:
        books.execute(
            "insert or ignore into entries select 'undo:' || intent, payment, account, -cents, intent"
            " from entries where intent = ?",
            (call.intent,),
        )


def entry_stands(call: Call) -> Happened | NotHappened:
    """Look whether an entry is in the books and not reversed."""
    with closing(open_books(call.args[0])) as books:
        row = books.execute(
            "select 1 from entries e where intent = ? and not exists (select 1 from entries where reverses = e.intent)",
            (call.intent,),
        ).fetchone()
    return Happened(call.intent) if row else NotHappened()


@tool(undo=reverse_entry, check=entry_stands)
def post_entry(file: str, account: str, cents: int, payment: int, *, intent: str) -> str:
    """Post a payment to an account; the entry's number is the call's own name."""
    with closing(open_books(file)) as books:
        books.execute("insert into entries values (?, ?, ?, ?, null)", (intent, payment, account, cents))
    return intent


def transfer_stands(call: Call) -> Happened | NotHappened:
    """Look whether money was sent."""
    with closing(open_books(call.args[0])) as books:
        row = books.execute("select 1 from transfers where intent = ?", (call.intent,)).fetchone()
    return Happened(call.intent) if row else NotHappened()


@tool(kind="irreversible", check=transfer_stands, concurrency=8)  # a checkpoint lets hundreds go at once
def send_out(file: str, account: str, cents: int, payment: int, *, intent: str) -> str:
    """Send a payment's money to another bank; nobody can call it back."""
    with closing(open_books(file)) as books:
        books.execute("insert into transfers values (?, ?, ?, ?)", (intent, payment, account, cents))
    return intent


def transfers(file: Path) -> list[tuple[int, int]]:
    """Return what was sent out, in order: payment and cents."""
    with closing(open_books(str(file))) as books:
        return books.execute("select payment, cents from transfers order by payment").fetchall()


def balances(file: Path) -> dict[str, int]:
    """Return each account's balance in cents, those of 0 left out."""
    with closing(open_books(str(file))) as books:
        rows = books.execute("select account, sum(cents) from entries group by account").fetchall()
    return {account: cents for account, cents in rows if cents}


def entries(file: Path) -> list[tuple[str, int, str, int, str | None]]:
    """Return every entry: intent, payment, account, cents, and what it reverses."""
    with closing(open_books(str(file))) as books:
        return books.execute("select intent, payment, account, cents, reverses from entries order by intent").fetchall()
