"""`ebbtide sim compare`: rollback protocols side by side, on the command line."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from sims.baselines import plots
from sims.baselines.compare import Case, as_json, cases, run_all, short, summaries, write_files
from sims.baselines.measures import Measured
from sims.baselines.protocols import PROTOCOLS
from sims.options import writable
from sims.topology import TOPOLOGIES

AGENTS_MAX = 1000
SEEDS_MAX = 1000

WIDTH_MIN = 148
"""Of a table, in characters: a narrower terminal wraps it."""

AGENTS = "10,30,100"
TOPOLOGIES_TAKEN = "ring,small-world,scale-free,all-to-all"
SEEDS = "0:10"
CONE_SWEEP = "20,50,200,350"
QUICK = {AGENTS: "10", TOPOLOGIES_TAKEN: "ring,small-world", SEEDS: "0:3", CONE_SWEEP: ""}
"""What `--quick` puts in place of what is not said otherwise."""

COLUMNS = {
    "efficiency": "efficiency",
    "cone": "cone",
    "innocent": "innocents\nundone",
    "lost_s": "work\nlost, s",
    "vain_s": "in\nvain, s",
    "held_agents": "agents\nheld",
    "held_s": "held, s",
    "rollback_messages": "rollback\nmessages",
    "rounds": "rounds",
    "undone_after_s": "undone\nafter, s",
    "redone_after_s": "redone\nafter, s",
    "overhead": "others\na step",
    "metadata_bytes": "bytes a\nmessage",
}
"""By figure of `Measured`, or `overhead`: its heading."""


def compare(
    agents: Annotated[str, typer.Option(help="How many agents, as one number or several with commas.")] = AGENTS,
    topologies: Annotated[
        str, typer.Option(help=f"Who writes to whom, with commas: {', '.join(TOPOLOGIES)}.")
    ] = TOPOLOGIES_TAKEN,
    seeds: Annotated[str, typer.Option(help="Seeds, as FIRST:LAST (LAST is left out).")] = SEEDS,
    protocols: Annotated[str, typer.Option(help=f"Which ones, with commas: {', '.join(PROTOCOLS)}.")] = ",".join(
        PROTOCOLS
    ),
    found_after: Annotated[int, typer.Option(help="Milliseconds until a wrong step is found out.", min=1)] = 100,
    cone_sweep: Annotated[
        str,
        typer.Option(
            help="More of these milliseconds, with commas, for cones of all sizes: at the middle number of agents, in"
            " the second topology (or the only one). An empty text: none."
        ),
    ] = CONE_SWEEP,
    keys: Annotated[
        int, typer.Option(help="Keys of each agent's state: the fewer, the more steps depend on each other.", min=1)
    ] = 3,
    jobs: Annotated[int, typer.Option(help="Processes; 0: one for each core.", min=0)] = 0,
    out: Annotated[Path, typer.Option(help="Where the runs, the medians and the plots go.")] = Path("out/compare"),
    quick: Annotated[bool, typer.Option("--quick", help="A few small runs, where not said otherwise.")] = False,
    draws: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the curves.")] = True,
    prints_json: Annotated[bool, typer.Option("--json", help="Print medians and spreads as JSON.")] = False,
) -> None:
    """Compare rollback protocols: the same agents, inputs and wrong step under each, in virtual time.

    In each run one step is wrong, and is found out a little later. A judge of its own then checks that nothing is left
    which depends on it, and that no innocent input is lost. The costs are innocent work repeated, time that agents were
    held up, messages, and the metadata that each message carries. The efficiency is the useful run time over all of
    these together. docs/baselines.md defines each figure, and names the source of each protocol.

    Try `ebbtide sim compare --quick` first: it takes a few seconds. The whole takes two or three minutes on two cores.
    """
    if quick:
        agents, topologies = QUICK.get(agents, agents), QUICK.get(topologies, topologies)
        seeds, cone_sweep = QUICK.get(seeds, seeds), QUICK.get(cone_sweep, cone_sweep)
    sizes = _numbers(agents, "--agents", 2, AGENTS_MAX)
    places = _names(topologies, "--topologies", list(TOPOLOGIES))
    chosen = _names(protocols, "--protocols", list(PROTOCOLS))
    numbers = _range(seeds)
    more = _numbers(cone_sweep, "--cone-sweep", 1, 10_000) if cone_sweep else []
    if draws:
        plots.pyplot()
    writable(out)
    wanted = cases(chosen, places, sizes, numbers, found_after * 1000, keys)
    swept = [
        case
        for milliseconds in more
        for case in cases(chosen, places[:2][-1:], [sizes[len(sizes) // 2]], numbers, milliseconds * 1000, keys)
    ]
    console = Console(soft_wrap=True)
    console.width = max(console.width, WIDTH_MIN)
    runs = _run([*wanted, *swept], jobs or os.cpu_count() or 1)
    runs, swept_runs = runs[: len(wanted)], runs[len(wanted) :]
    paths = write_files(out, runs, swept_runs)
    if draws:
        paths.extend(plots.draw(out, runs, swept_runs))
    if prints_json:
        typer.echo(json.dumps(as_json(runs, swept_runs), indent=1))
        return
    for topology in places:
        for size in sizes:
            _show(console, [run for run in runs if (run.topology, run.agents) == (topology, size)])
    many = f"{len(numbers)} seeds" if len(numbers) > 1 else "1 seed"
    console.print(f"Medians of {many} (least-most); {found_after} ms until a wrong step is found out.")
    console.print(f"Written: {', '.join(str(path) for path in paths)}", highlight=False)


def _run(wanted: Sequence[Case], jobs: int) -> list[Measured]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    runs: list[Measured] = []
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("runs", total=len(wanted))
        try:
            for run in run_all(wanted, jobs):
                runs.append(run)
                bar.update(task, advance=1, description=f"{run.topology}, {run.agents} agents")
        except AssertionError as error:
            bar.console.print(f"[bold red]judged wrong:[/] {error}", highlight=False)
            raise typer.Exit(1) from error
    return runs


def _show(console: Console, runs: Sequence[Measured]) -> None:
    found = summaries(runs)
    title = f"{found[0].topology}, {found[0].agents} agents"
    table = Table(
        "protocol",
        *COLUMNS.values(),
        title=title,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
        collapse_padding=True,
    )
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for summary in found:
        cells: list[str] = []
        for figure in COLUMNS:
            if figure == "overhead":
                cells.append(f"{_overhead(summary.runs):.2f}")
            else:
                found_spread = summary.of(figure)
                cells.append(str(found_spread) if figure == "efficiency" else short(found_spread.median))
        table.add_row(summary.protocol, *cells)
    console.print(table)


def _overhead(runs: Sequence[Measured]) -> float:
    """Return how many messages of the protocol a step costs when nothing is rolled back."""
    messages = sum(run.checkpoint_messages + run.report_messages + run.acknowledgments for run in runs)
    return messages / sum(run.steps for run in runs)


def _numbers(text: str, option: str, least: int, most: int) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not part.isdigit() or not least <= int(part) <= most:
            raise typer.BadParameter(f"{part!r} is not a number from {least} to {most}", param_hint=option)
    return sorted({int(part) for part in parts})


def _names(text: str, option: str, known: list[str]) -> list[str]:
    parts = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for part in parts:
        if part not in known:
            raise typer.BadParameter(f"{part!r} is none of {', '.join(known)}", param_hint=option)
    return parts


def _range(text: str) -> range:
    first, _, last = text.partition(":")
    if not first.isdigit() or not last.isdigit() or not int(first) < int(last) <= int(first) + SEEDS_MAX:
        raise typer.BadParameter(
            f"{text!r} is not FIRST:LAST, as in 0:10, of at most {SEEDS_MAX} seeds", param_hint="--seeds"
        )
    return range(int(first), int(last))
