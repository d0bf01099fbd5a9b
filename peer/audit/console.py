"""What the subcommands of `ebbtide log` have in common: where they print, and what they are given."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from peer.cli.screen import Screen

T = TypeVar("T")

WRONG, PARTIAL = 1, 3
"""Exit codes: something is not as it should be; what was printed is not all that there was (docs/guide/commands.md)."""
PIPED_WIDTH = 200
"""Columns of a table that goes into a file or a pipe."""

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A host's folder, or the folder of all hosts.")]
SHOWN = 50
"""Steps that are shown to people, unless they say how many."""
Undone = Annotated[bool, typer.Option("--undone", help="Show only steps that were undone.")]
Last = Annotated[
    int | None, typer.Option(help=f"Show the last so many; 0: all. [default: {SHOWN}; all with --json]", min=0)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr, where that is a terminal, once there is any progress."""
    on = Screen(stderr=True, emoji=False)
    columns = (TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=on, transient=True, disable=not on.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda at, of: bar.update(task, completed=at, total=of)


def newest(found: list[T], last: int | None, json_: bool) -> list[T]:
    """Return what is shown of what was found: see `Last`."""
    count = last if last is not None else 0 if json_ else SHOWN
    return found[-count:] if count else found


def console() -> Screen:
    """Return where to print for people; what goes into a file or a pipe is not cut to a terminal's width."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return Screen(width=width, emoji=False)


def errors() -> Screen:
    """Return where to print what is no part of the output: a note, a remedy."""
    return Screen(stderr=True, emoji=False)


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
