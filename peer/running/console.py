"""What the commands on a running cluster have in common: which cluster, how they ask it, and how they print."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.table import Table

from peer.audit.console import WRONG, console, print_json
from peer.cli.main import tell
from peer.cli.screen import harmless
from peer.cluster.attached import Attached
from peer.cluster.cluster import Cluster
from peer.errors import AskTimeout, CallerError, RestoreRefused, RollbackTimeout
from peer.observing.json_lines import VARIABLE
from peer.people.person import Person
from peer.serving.remote import Remote

T = TypeVar("T")

FOLDER = "EBBTIDE_FOLDER"
Folder = Annotated[
    Path, typer.Option("--folder", envvar=FOLDER, help="The cluster's folder.", metavar="DIR", show_default="here")
]
Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Over HTTP, at `ebbtide people serve`; needs --as.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs: an object a line.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Agent = Annotated[str, typer.Argument(metavar="AGENT", help="An agent's name.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="How long to wait.", min=0.1)]
Log = Annotated[
    str,
    typer.Option("--log", envvar=VARIABLE, metavar="text|json", help="Log as text, or as JSON, an object a line."),
]
HERE = Path()
CHARS_MAX = 200
"""Of a value in a table."""


def asked(folder: Path, work: Callable[[Attached], Awaitable[T]]) -> T:
    """Attach to a cluster, have something asked, and leave.

    Raises: Exit, with 1, if what was asked may still be done, or was not agreed to; and what `work` raises.
    """

    async def run() -> T:
        async with Cluster.attach(folder) as cluster:
            return await work(cluster)

    try:
        return asyncio.run(run())
    except (AskTimeout, RollbackTimeout, RestoreRefused) as error:
        tell(error)
        raise typer.Exit(WRONG) from error


def asked_there(
    url: str | None, signer: Person | None, folder: Path, work: Callable[[Attached | Remote], Awaitable[T]]
) -> T:
    """Have something asked of a cluster by its folder; or over HTTP, if there is an address. Raises: as `asked`."""
    if url is None:
        return asked(folder, work)
    remote = Remote(url, signer)

    async def run() -> T:
        async with remote:
            return await work(remote)

    try:
        return asyncio.run(run())
    except (AskTimeout, RollbackTimeout) as error:
        tell(error)
        raise typer.Exit(WRONG) from error


def sure(what: str, yes: bool) -> None:
    """Ask whether something is to be done.

    Raises: Exit, with 1, if not; CallerError, if there is nobody to ask.
    """
    if yes:
        return
    try:
        is_sure = typer.confirm(harmless(what), err=True)
    except typer.Abort as error:
        raise CallerError(f"{what} Nobody has answered, and nothing was done. Say --yes.") from error
    if not is_sure:
        typer.echo("Nothing was done.", err=True)
        raise typer.Exit(WRONG)


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], empty: str) -> None:
    """Print rows as a table; where there are none, say so."""
    found = list(rows)
    if not found:
        console().print(empty, highlight=False, markup=False)
        return
    shown = Table()
    for name in columns:
        shown.add_column(name.replace("_", " "), overflow="fold")
    for row in found:
        shown.add_row(*(escape(_cell(row[name])) for name in columns))
    console().print(shown)


def lines(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows as JSON, one a line."""
    for row in rows:
        print_json(row)


def said(text: str) -> None:
    """Print a line for people."""
    console().print(text, highlight=False, markup=False, soft_wrap=True)


def _cell(value: object) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(_cut, value))
    return _cut(value)


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= CHARS_MAX else f"{text[:CHARS_MAX]}... ({len(text):,} characters)"
