"""Tools that change rows of a database: the rows and the call's intent in one transaction.

The database has a table of intents (`ebbtide_intents`). A call writes its intent and its rows, or neither; an undo
notes in the same row that it was done. So whatever crashes in between, each is done once.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from hashlib import sha256
from typing import Any, Protocol, Unpack

from peer.adapters.options import Options, keyed, told
from peer.agents.tool import PURE, Call, Happened, NotHappened, Tool, encode_args, tool
from peer.errors import DeclarationRefused
from peer.values import payload

Statements = str | Sequence[str]


class Database(Protocol):
    """What these tools need of a database; `peer.adapters.sqlite` and `peer.adapters.postgres` have one each."""

    mark: str
    """Stands for a parameter by place in a statement: `?` or `%s`."""

    def transaction(self, *, is_read: bool = False) -> AbstractContextManager[Any]:
        """Return a transaction, whose value is a cursor that gives rows as dicts.

        It is committed at the end and rolled back on an error. The body can't end it. One that only reads holds up no
        other.
        """
        ...


def change(
    name: str, database: Callable[[], Any], do: Statements | Callable[..., Any],
    undo: Statements | Callable[[Any, Call], Any] | None = None, *, kind: str | None = None, rows: int | None = None,
    scope: str = "", **options: Unpack[Options],
) -> Tool[..., Any]:  # fmt: skip
    """Return a tool that changes rows.

    Its arguments are the parameters of the statements, all by name or all by place. It returns what the last statement
    returns, a list of dicts, else the number of rows that it changed; of a function, what that returns.

    Args:
        name: what logs call the tool.
        database: opens the database, kept in a variable of its module: `partial(SQLite, "books.db")`.
        do: statements; or a function of a cursor and the call's arguments, which returns what its undo needs. It runs
            inside the transaction: it must not commit, and changes nothing but the database.
        undo: statements that reverse it. Those by name may use the columns that `do` has returned too, and run once for
            each row of them. Or a function of a cursor and the `Call`, whose `result` is what `do` has returned.
        kind: as of any tool, where there is no undo.
        rows: so many rows each statement has to change, of the undo too; else nothing has happened, or is undone.
        scope: set before the intent in the table: needed where several clusters share a database.
        options: timeout (seconds), retry, concurrency: as of any tool.

    Raises: DeclarationRefused, as `tool` does.
    """
    if kind == PURE:
        raise DeclarationRefused(f"tool {name}: what changes nothing is declared by look(), not by change()")

    def call(*args: Any, intent: str, database: Any, **kwargs: Any) -> Any:
        return _do(
            database, keyed(scope, intent), _asked(name, args, kwargs), lambda at: _ran(at, do, args, kwargs, rows)
        )

    def take_back(call: Call, *, database: Any) -> None:
        def back(cursor: Any, result: Any) -> None:
            seen = Call(call.intent, call.args, call.kwargs, result)
            if callable(undo):
                undo(cursor, seen)
                return
            for kwargs in _undo_names(seen):
                _ran(cursor, undo or (), call.args, kwargs, rows)

        _undo(database, keyed(scope, call.intent), _asked(name, call.args, call.kwargs), back)

    def check(call: Call, *, database: Any) -> Happened | NotHappened:
        return _check(database, keyed(scope, call.intent), _asked(name, call.args, call.kwargs))

    declare = tool(
        undo=take_back if undo is not None else None, check=check, kind=kind, name=name,
        resources={"database": database}, **options,
    )  # fmt: skip
    return declare(call)


def look(
    name: str, database: Callable[[], Any], do: Statements | Callable[..., Any], **options: Unpack[Options]
) -> Tool[..., Any]:
    """Return a pure tool that reads rows, a list of dicts, or what a function returns. Arguments are as of `change`."""

    def call(*args: Any, database: Any, **kwargs: Any) -> Any:
        found = None
        with suppress(_Back), database.transaction(is_read=True) as cursor:
            found = _ran(cursor, do, args, kwargs, None)
            raise _Back
        return found

    return tool(kind=PURE, name=name, resources={"database": database}, **options)(call)


class _Back(Exception):  # no error
    """Ends a transaction without a commit."""


def _asked(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return sha256(name.encode() + b"\0" + encode_args(args, kwargs)).hexdigest()


def _do(database: Database, key: str, asked: str, do: Callable[[Any], Any]) -> Any:
    """Do something and note the intent, once. Raises: NotHappened; what a commit raises, since nobody knows then."""
    result, is_whole = None, False
    try:
        with database.transaction() as cursor:
            # First: who comes with the same intent meanwhile waits here until this transaction has ended.
            if _is_taken(cursor, database.mark, key, asked):
                result = payload.encode(do(cursor))
                cursor.execute(_sql("UPDATE ebbtide_intents SET result = ? WHERE intent = ?", database), (result, key))
            else:
                row = _row(cursor, database, key, asked)
                if row["undone_at"] is not None:
                    raise NotHappened(f"intent {key} was undone before this call came: it comes too late")
                result = row["result"]
            is_whole = True
    except NotHappened:
        raise
    except Exception as error:
        if is_whole:
            raise
        raise NotHappened(told(error)) from error
    return payload.decode(bytes(result))


def _undo(database: Database, key: str, asked: str, undo: Callable[[Any, Any], None]) -> None:
    with database.transaction() as cursor:
        if _is_taken(cursor, database.mark, key, asked):
            # It never happened. What has its intent and comes yet is refused.
            cursor.execute(
                _sql("UPDATE ebbtide_intents SET undone_at = CURRENT_TIMESTAMP WHERE intent = ?", database), (key,)
            )
            return
        cursor.execute(
            _sql(
                "UPDATE ebbtide_intents SET undone_at = CURRENT_TIMESTAMP WHERE intent = ? AND undone_at IS NULL",
                database,
            ),
            (key,),
        )
        if cursor.rowcount == 1:
            row = _row(cursor, database, key, asked)
            undo(cursor, payload.decode(bytes(row["result"])))


def _check(database: Database, key: str, asked: str) -> Happened | NotHappened:
    found: Happened | NotHappened = NotHappened()
    with suppress(_Back), database.transaction() as cursor:
        # Who writes the intent just now, perhaps on behalf of a client that is dead, is waited for.
        if not _is_taken(cursor, database.mark, key, asked):
            row = _row(cursor, database, key, asked)
            if row["undone_at"] is None:
                found = Happened(payload.decode(bytes(row["result"])))
        raise _Back
    return found


def _is_taken(cursor: Any, mark: str, key: str, asked: str) -> bool:
    """Write an intent; tell whether it was not there before."""
    cursor.execute(
        f"INSERT INTO ebbtide_intents (intent, asked) VALUES ({mark}, {mark}) ON CONFLICT DO NOTHING", (key, asked)
    )
    return cursor.rowcount == 1


def _row(cursor: Any, database: Database, key: str, asked: str) -> dict[str, Any]:
    cursor.execute(_sql("SELECT asked, result, undone_at FROM ebbtide_intents WHERE intent = ?", database), (key,))
    row = cursor.fetchone()
    if row["asked"] != asked:
        raise NotHappened(
            f"intent {key} stands in the table for another call: another cluster with agents and inputs of the same"
            " names uses this database. Give each a scope=... of its own."
        )
    return row


def _sql(text: str, database: Database) -> str:
    return text.replace("?", database.mark)


def _ran(
    cursor: Any, do: Statements | Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], rows: int | None
) -> Any:
    """Run statements, or a function, and return what came of it."""
    if callable(do):
        return do(cursor, *args, **kwargs)
    if args and kwargs:
        raise NotHappened("parameters are given by place and by name: a statement takes either")
    result = None
    for statement in [do] if isinstance(do, str) else do:
        cursor.execute(statement, kwargs or args)
        if rows is not None and cursor.rowcount != rows and cursor.description is None:
            raise NotHappened(f"{cursor.rowcount} rows were to be changed, not {rows}, by: {statement}")
        result = cursor.rowcount if cursor.description is None else cursor.fetchall()
        if rows is not None and isinstance(result, list) and len(result) != rows:
            raise NotHappened(f"{len(result)} rows were to be changed, not {rows}, by: {statement}")
    return result


def _undo_names(call: Call) -> list[dict[str, Any]]:
    """Return the parameters by name of each run of an undo's statements."""
    if call.args or not isinstance(call.result, list):
        return [call.kwargs]
    return [{**call.kwargs, **row} for row in reversed(call.result)]
