"""`ebbtide sim effects`: the fault matrix on the command line."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sims.studies.matrix.cases import cases
from sims.studies.matrix.page import BEGIN, END, Row, grouped, summary, table, write
from sims.studies.matrix.playing import runs

WIDTH_MIN = 150
SEEDS = 20
SEEDS_MAX = 10_000
FAILURES_MAX = 10
"""Failing seeds shown."""


def effects(
    seeds: Annotated[int, typer.Option(help="Runs of each row, under seeds from 0 on.", min=1, max=SEEDS_MAX)] = SEEDS,
    only: Annotated[
        str, typer.Option(help="Rows whose name has this text, such as 'overseen', 'the vote' or 'no check'.")
    ] = "",
    page: Annotated[
        Path | None, typer.Option("--write", help="Write the tables into this page, such as docs/effects.md.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; 0: one for each core.", min=0)] = 0,
    prints_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Kill at every point of an effect's life, and count what has become of the world outside.

    Each row is one point: before or after the intent, the call, the result, the step, the vote, the commit, the undo,
    the check, the release or a person's word is durable, or has taken effect. Killed is the agent's host, which comes
    back from its disk; the tool, which raises or hangs; or the person's tool, which dies, repeats itself or is late. A
    run is a world in virtual time with three orders: one stays, one is undone, one is done again or released. The seed
    draws which order is struck, for how long the host is down, and whether the network is bad besides.

    The judge looks at a ledger outside, which notes what tools did, and at what agents show; it knows what must stand
    from the scenario. docs/effects.md says what each column counts. Exits with 1 if anything is done twice, lost, left,
    stuck or broken, if a point was not reached, or if something is in doubt of which the tool could tell.

    First look: `ebbtide sim effects --seeds 2 --only overseen`. The whole takes two to four minutes on two cores.
    """
    rows = [case for case in cases() if only in case.name]
    if not rows:
        raise typer.BadParameter(f"no row's name has {only!r}; leave it out to see all", param_hint="--only")
    _check_page(page)
    found = [Row(case) for case in rows]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("worlds", total=len(rows) * seeds)
        for number, seed, verdict in runs(rows, seeds, jobs or os.cpu_count() or 1):
            found[number].take(seed, verdict)
            bar.advance(task)
    _print(found, prints_json)
    if page is not None:
        write(page, found, f"ebbtide sim effects --seeds {seeds}" + (f" --only {only!r}" if only else ""))
    if any(row.failures for row in found):
        raise typer.Exit(1)


def _check_page(page: Path | None) -> None:
    """Raises: BadParameter, if there is no place for the tables: told before minutes of work."""
    if page is None:
        return
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{page}: {error.strerror}. Nothing was run.", param_hint="--write") from error
    if BEGIN not in text or END not in text:
        raise typer.BadParameter(f"{page} has no lines {BEGIN} and {END}. Nothing was run.", param_hint="--write")


def _print(rows: list[Row], prints_json: bool) -> None:
    if prints_json:
        shown = [
            {"row": row.case.name, "runs": row.runs, "struck": row.struck, **row.counts, "failures": row.failures}
            for row in rows
        ]
        typer.echo(json.dumps(shown, indent=2))
        return
    console = Console(soft_wrap=True)
    console.width = max(console.width, WIDTH_MIN)
    for name, some in grouped(rows).items():
        console.print(table(name, some), "")
    failures = [f"{row.case.name}, {text}" for row in rows for text in row.failures]
    for text in failures[:FAILURES_MAX]:
        console.print(f"[bold red]fails[/]: {text}", highlight=False)
    console.print(summary(rows), highlight=False)
