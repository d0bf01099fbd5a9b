"""`ebbtide workflow`: what a rollback can reach, where it is too late for one, and who undoes whom."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from peer.audit import views
from peer.audit.console import PARTIAL, WRONG, Json, console, errors, print_json, progress
from peer.audit.gaps import Gap
from peer.audit.reader import read_trail
from peer.cli.screen import harmless
from peer.errors import CallerError
from peer.store.outside.keyring import KEY_FILE
from peer.workflows import drawing, telling
from peer.workflows.checking import check as checked
from peer.workflows.fold import folded
from peer.workflows.graph import Graph
from peer.workflows.livelock import TIMES_MIN, loops_in
from peer.workflows.markings import MARKINGS_MAX
from peer.workflows.source import Found, workflow_at

_HELP = """What a workflow lets happen: what a rollback can reach, where it is too late for one, who undoes whom.

SOURCE is the folder of a run, whose logs are read; a Python file with `workflow = Workflow(...)`, or with
`agents = {...}` as for `ebbtide up`, whose source is read, and nothing is started; or JSON that
`graph --json` has printed.

    ebbtide workflow graph run --reach risk-1
    ebbtide workflow check shop.py
    ebbtide workflow loops run

Exit codes: 0, all is well; 1, `check` found a problem, or `loops` a loop; 2, wrong usage or bad input; 3, logs are
damaged, and what was told is not all that there was.
"""

group = typer.Typer(
    name="workflow", help=_HELP, no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_short=True,
    add_completion=False, context_settings={"help_option_names": ["--help", "-h"]},
)  # fmt: skip
"""`ebbtide workflow` with its subcommands."""

Source = Annotated[Path, typer.Argument(metavar="SOURCE", help="A run's folder, a Python file, or JSON.")]
Fold = Annotated[bool, typer.Option("--fold", help="Take agents for one that differ only by the number at the end.")]
FORMATS = ("table", "mermaid")


@group.callback(help=_HELP)
def workflow(
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", envvar=KEY_FILE, help="The file with the key, if the logs are encrypted at rest."),
    ] = None,
) -> None:
    """Take what all subcommands need."""
    if key_file is not None:
        os.environ[KEY_FILE] = str(key_file)


@group.command()
def graph(
    source: Source,
    reach: Annotated[
        list[str] | None, typer.Option(help="What a wrong step there can undo: an agent, a kind, or agent.kind.")
    ] = None,
    format_: Annotated[str, typer.Option("--format", "-f", help="`table` or `mermaid`.")] = "table",
    fold: Fold = False,
    json_: Json = False,
) -> None:
    """Show who sends what to whom, and what a wrong step of each would undo: before anything is wrong.

    Activities that hang on each other fall together; what is only upstream is kept.

    Examples: `ebbtide workflow graph run`, `ebbtide workflow graph shop.py --format mermaid`
    """
    if format_ not in FORMATS:
        raise typer.BadParameter(f"{format_!r} is none of {', '.join(FORMATS)}", param_hint="--format")
    found = _read(source, fold)
    drawn = Graph(found.workflow)
    if json_:
        more = {"asked": drawing.reach_told(drawn.reach(*reach))} if reach else {}
        print_json(drawing.told(drawn) | more)
    elif reach:
        _print(drawing.reach_lines(drawn, reach))
    elif format_ == "mermaid":
        typer.echo(harmless(drawing.mermaid(drawn)))
    else:
        drawing.shown(drawn, console(), found.workflow.name)
    _end(found.gaps)


@group.command()
def check(
    source: Source,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings, too.")] = False,
    markings: Annotated[int, typer.Option(help="Markings looked at for each input from outside.")] = MARKINGS_MAX,
    each: Annotated[bool, typer.Option("--each", help="Tell which markings can be compensated, one by one.")] = False,
    fold: Fold = False,
    json_: Json = False,
) -> None:
    """Check where it is too late to undo, and whether a person is asked before; exits with 1 if nobody is.

    It warns of loops that no bound ends, of agents that undo each other, and of upstream that a shared key drags along.

    Examples: `ebbtide workflow check shop.py`, `ebbtide workflow check run --strict --json`
    """
    if markings < 1:
        raise CallerError(f"--markings {markings}: at least 1. Nothing was checked.")
    found = _read(source, fold)
    result = checked(found.workflow, markings)
    if json_:
        print_json(result.told())
    else:
        _print(telling.check_lines(result, each))
        bad, odd = len(result.problems), len(result.warnings)
        console().print(f"[bold {'red' if bad else 'green'}]{bad} problems[/], {odd} warnings", highlight=False)
    if result.problems or (strict and result.warnings):
        raise typer.Exit(WRONG)
    _end(found.gaps)


@group.command()
def loops(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A host's folder, or the folder of all hosts.")],
    times: Annotated[int, typer.Option(help="How often each must have undone the next.", min=1)] = TIMES_MIN,
    json_: Json = False,
) -> None:
    """Name agents that undo each other's steps again and again: which inputs, how often, and what has ended it.

    Exits with 1 if there are any.

    Example: `ebbtide workflow loops run`
    """
    with progress("reading logs") as tell:
        trail = read_trail(run, tell)
    views.noted(trail.notes, trail.gaps, errors())
    found = loops_in(trail, times)
    if json_:
        print_json({"loops": [loop.told() for loop in found]})
    else:
        _print(telling.loop_lines(found))
    if found:
        raise typer.Exit(WRONG)
    _end(trail.gaps)


def _read(source: Path, fold: bool) -> Found:
    with progress("reading logs") as tell:
        found = workflow_at(source, tell)
    views.noted((), found.gaps, errors())
    return found._replace(workflow=folded(found.workflow)) if fold else found


def _print(lines: Iterable[str]) -> None:
    out = console()
    for line in lines:
        out.print(escape(line), highlight=False, soft_wrap=True)


def _end(gaps: list[Gap]) -> None:
    """Raises: Exit, if what was told is not all that there was."""
    if gaps:
        raise typer.Exit(PARTIAL)
