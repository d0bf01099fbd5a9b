"""The console command `ebbtide`: every entry point of group `ebbtide.commands` is a command of it, or a group."""

import os
import signal
import sys
import threading
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup
from typer.main import get_command, get_command_from_info
from typer.models import CommandInfo

from peer.cli.screen import Screen
from peer.errors import EbbtideError

GROUP = "ebbtide.commands"
_EPILOG = (
    "Try `ebbtide demo --backend local --payments 300` for a quick look, and `ebbtide COMMAND --help` for a command's"
    " options. `ebbtide up` starts a cluster of yours. Set EBBTIDE_DEBUG=1 to see where an error comes from.\n\n"
    "It exits with 0 if all is well, 1 if something is not as it should be (a check failed, a log is damaged), 2 if it"
    " was asked for what can't be done, 3 if what it printed is not all that there was, 130 if it was interrupted, 143"
    " if it was told to end."
)


class Commands(TyperGroup):
    """The commands that are installed; each is imported when it is used, or when the list is shown."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return sorted(found.name for found in entry_points(group=GROUP))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is none of that name."""
        found = next((entry for entry in entry_points(group=GROUP) if entry.name == cmd_name), None)
        return None if found is None else _load(found)


def _load(found: EntryPoint) -> Any:
    try:
        function = found.load()
    except ImportError as error:
        text = f"cannot be used: {error}"

        def broken() -> None:
            raise EbbtideError(f"command {found.name!r} {text}. Install what it needs, or remove {found.value}.")

        broken.__doc__ = f"({text})"
        function = broken
    if isinstance(function, typer.Typer):
        return get_command(function)
    info = CommandInfo(name=found.name, callback=function, context_settings={"help_option_names": ["--help", "-h"]})
    return get_command_from_info(info, pretty_exceptions_short=True, rich_markup_mode="markdown")


app = typer.Typer(cls=Commands, no_args_is_help=True, epilog=_EPILOG, rich_markup_mode="markdown")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ebbtide {version('ebbtide')}")
        raise typer.Exit


_Version = Annotated[
    bool, typer.Option("--version", help="Print the version and leave.", is_eager=True, callback=_show_version)
]


@app.callback()
def ebbtide(shows_version: _Version = False) -> None:
    """Agents that take a step back together: undo a wrong step everywhere it spread, and nowhere else."""


def terminated(number: int, frame: Any) -> None:
    """End a command on SIGTERM as on Ctrl-C, from the inside: what it has made for the while is removed."""
    sys.exit(128 + number)


def tell(error: Exception) -> None:
    """Say on stderr, in one line, what a command could not do."""
    where = Screen(stderr=True, soft_wrap=True, emoji=False)
    where.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; an error that is foreseen is one line on stderr, and exit code 2.

    SIGTERM ends it with 143, Ctrl-C with 130.
    """
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, terminated)
    try:
        return app(args=arguments)
    except (EbbtideError, ValueError, OSError) as error:
        # What is no error of ours, a file that can't be read for instance, names itself.
        if os.environ.get("EBBTIDE_DEBUG"):
            raise
        tell(error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
