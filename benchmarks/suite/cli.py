"""`ebbtide bench`: what things cost at scale, on the command line."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Shown

from benchmarks.suite import drawing, report, running
from benchmarks.suite.catalog import BENCHMARKS, find
from benchmarks.suite.form import Benchmark, Setting, cells
from sims.options import writable
from sims.plotting import pyplot

WIDTH_MIN = 140
"""Of a table, in characters: a narrower terminal wraps it."""
OUT = Path("out/bench")
PAGE = Path("docs/benchmarks.md")
BACKENDS = ("local", "ray")

EPILOG = """
Examples:

`ebbtide bench list` says which benchmarks there are, and what each compares

`ebbtide bench run rollback --quick` runs one of them, small: under a minute

`ebbtide bench all --quick` runs all of them, small: a few minutes

`ebbtide bench run rollback` runs it whole, on a Ray of its own

`ebbtide bench run messages --address auto` runs it on the Ray cluster that runs here

`ebbtide bench report` puts the last runs into docs/benchmarks.md
"""

group = typer.Typer(
    name="bench", no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_short=True, add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]}, epilog=EPILOG,
)  # fmt: skip


@group.callback()
def bench() -> None:
    """Measure what things cost at scale, each beside an alternative in the same run.

    A run prints its tables, and writes JSON (with machine, versions and load) and a plot to out/bench. Times are those
    of this machine, so what counts are ratios within one run. Whatever is in virtual time is the same on every machine.
    """


_Quick = Annotated[bool, typer.Option("--quick", help="Small sizes: under a minute a benchmark.")]
_Address = Annotated[str, typer.Option(help="Run on the Ray cluster at this address (`auto`: the one that runs here).")]
_Backend = Annotated[
    str, typer.Option(help="What real clusters run on: local or ray. Left out: local with --quick, else ray.")
]
_Out = Annotated[Path, typer.Option(help="Folder for JSON and plots.")]
_Draws = Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the curves.")]
_Json = Annotated[bool, typer.Option("--json", help="Print what was found as JSON, an object a benchmark.")]


@group.command("list")
def list_(as_json: _Json = False) -> None:
    """List the benchmarks: the question of each, and what ours is compared with."""
    if as_json:
        for each in BENCHMARKS.values():
            typer.echo(json.dumps({"benchmark": each.name, "question": each.question, "beside": each.beside}))
        return
    table = Shown("benchmark", "question", "beside", box=None, title_justify="left", padding=(0, 2, 1, 0))
    for each in BENCHMARKS.values():
        table.add_row(each.name, each.question, each.beside)
    _console().print(table)


@group.command("run", epilog="Examples: `ebbtide bench run faults --quick`, `ebbtide bench run rollback --backend ray`")
def run(
    name: Annotated[str, typer.Argument(help="Which one: see `ebbtide bench list`.", metavar="NAME")],
    quick: _Quick = False, backend: _Backend = "", address: _Address = "", out: _Out = OUT, draws: _Draws = True,
    as_json: _Json = False,
) -> None:  # fmt: skip
    """Run one benchmark."""
    _run([find(name)], _setting(quick, backend, address), out, draws, as_json)


@group.command("all", epilog="Examples: `ebbtide bench all --quick`, `ebbtide bench all --quick --address auto`")
def all_(
    quick: _Quick = False, backend: _Backend = "", address: _Address = "", out: _Out = OUT, draws: _Draws = True,
    as_json: _Json = False,
) -> None:  # fmt: skip
    """Run all benchmarks, one after the other."""
    _run(list(BENCHMARKS.values()), _setting(quick, backend, address), out, draws, as_json)


@group.command("report", epilog="Example: `ebbtide bench all --quick && ebbtide bench report`")
def report_(
    out: _Out = OUT,
    page: Annotated[Path, typer.Option(help="The page, which has a place for each benchmark's tables.")] = PAGE,
) -> None:
    """Write the tables of the last runs into the page, and copy their plots beside it."""
    written, missing = report.write(BENCHMARKS, out, page)
    console = _console()
    console.print(f"written to {page}: {', '.join(written)}", highlight=False)
    if missing:
        console.print(f"no run yet, left as it was: {', '.join(missing)}", highlight=False)


def _setting(quick: bool, backend: str, address: str) -> Setting:
    if backend and backend not in BACKENDS:
        raise typer.BadParameter(f"{backend!r} is none of {', '.join(BACKENDS)}", param_hint="--backend")
    if address and backend == "local":
        raise typer.BadParameter(
            "an address is that of a Ray cluster, and not of --backend local", param_hint="--address"
        )
    chosen = "ray" if address else backend or ("local" if quick else "ray")
    return Setting("quick" if quick else "full", chosen, address)


def _run(wanted: list[Benchmark], setting: Setting, out: Path, draws: bool, as_json: bool) -> None:
    if draws:
        # Before the work: no minutes are lost if it can't be drawn.
        pyplot()
    writable(out)
    console, failed = _console(), list[str]()
    with _ray(setting):
        for benchmark in wanted:
            found = _measured(benchmark, setting)
            files = [running.keep(found, out)]
            if draws and drawing.draw(benchmark, found["rows"], out / f"{benchmark.name}.svg"):
                files.append(out / f"{benchmark.name}.svg")
            if as_json:
                typer.echo(json.dumps(found))
            else:
                _show(console, benchmark, found, files)
            failed += found["failed"]
    if failed:
        raise typer.Exit(1)


def _ray(setting: Setting) -> AbstractContextManager[None]:
    if setting.backend != "ray":
        return nullcontext()
    # Here, so that whoever never asks for Ray does not wait for its import.
    from benchmarks.suite.calls import joined

    return joined(setting)


def _measured(benchmark: Benchmark, setting: Setting) -> dict[str, Any]:
    columns = (TextColumn("{task.description:48}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        jobs = benchmark.plan(setting)
        task = bar.add_task(benchmark.name, total=len(jobs))
        told: Callable[[str], None] = lambda about: bar.update(task, description=f"{benchmark.name}: {about}")  # noqa: E731
        return running.measure(benchmark, setting, jobs, told, lambda: bar.advance(task))


def _show(console: Console, benchmark: Benchmark, found: dict[str, Any], files: list[Path]) -> None:
    for name, table in benchmark.tables.items():
        rows = found["rows"][name]
        if not rows:
            continue
        shown = Shown(title=table.title, title_justify="left", box=None)
        for key, heading in table.columns.items():
            is_text = any(isinstance(row.get(key), str) for row in rows)
            shown.add_column(heading, justify="left" if is_text else "right")
        for line in cells(table, rows):
            shown.add_row(*line)
        console.print(shown, "")
    for text in found["failed"]:
        console.print(f"[bold red]failed:[/] {text}", highlight=False)
    console.print(f"{found['seconds']:g} s; written: {', '.join(map(str, files))}", "", highlight=False)


def _console() -> Console:
    console = Console(soft_wrap=True)
    console.width = max(console.width, WIDTH_MIN)
    return console
