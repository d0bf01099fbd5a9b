"""`ebbtide sim scale`: what grows with the number of agents and hosts, and how."""

import json
import logging
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sims.options import sizes, writable
from sims.plotting import pyplot
from sims.scale import clocks, cones, conversations, crowd, spreads
from sims.scale.report import Found, Row, plain, tables, write

WIDTH = 110
DEPTHS = (0, 1, 2, 3, 4)
"""Of cones: 1, 4, 13, 40 and 121 steps."""
CLOCK_AGENTS = (50, 100, 200, 400, 800)
CLOCK_DEGREES = (2, 4, 8, 16)
CLOCK_EPOCHS_S = (0.125, 0.25, 0.5, 1.0, 2.0)
HOSTS_MAX = 10_000
AGENTS_MAX = 200_000
PARTS = ("crowd", "cones", "conversations", "clocks", "spreads", "cuts")
CROWD_VIRTUAL_S = 5.0
CROWD_VIRTUAL_S_LARGE = 1.5
"""Of more than `LARGE` agents."""
LARGE = 20_000

Job = tuple[str, str, Callable[..., list[Row]], tuple[object, ...]]
"""Its part, what it is for people, the function and its arguments."""


def scale(
    agents: Annotated[str, typer.Option(help="Agents of the crowd, and around a rollback.")] = "100,1000,10000",
    hosts: Annotated[str, typer.Option(help="Hosts whose machines spread news; 10000 take 11 GB.")] = "10,100,1000",
    arrays: Annotated[str, typer.Option(help="Hosts of which only arrays are kept.")] = (
        "10,100,1000,10000,100000,1000000,10000000"
    ),
    parts: Annotated[str, typer.Option(help=f"What is measured, of: {','.join(PARTS)}.")] = ",".join(PARTS),
    out: Annotated[Path, typer.Option(help="Where the rows and plots go.")] = Path("out/scale"),
    draws: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw the curves.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Measure what grows with the number of agents and hosts, print tables, write rows and plots.

    crowd: agents at steady work in one process, with a checkpoint every virtual second and rollbacks all the time.
    cones: messages of a rollback, against its cone (the steps that it undoes) and against all agents. conversations:
    messages, votes and time of a rollback, against the turns that two agents have taken. clocks: entries in each
    message, against agents, whom they write to, and the time from one checkpoint to the next. spreads: rounds until all
    hosts know of a forced retraction, by the hosts' own machines and by arrays. cuts: rounds of a checkpoint.

    All of it takes about five minutes and 2 GB; clocks are measured at sizes of their own, a minute or two whatever is
    given here. For a first look: --agents 100,1000 --parts crowd,cones. For more: --agents 100000 --parts crowd, or
    --hosts 10000 --parts spreads.
    """
    logging.getLogger("ebbtide").setLevel(logging.CRITICAL + 1)
    wanted = _parts(parts)
    jobs = _jobs(
        wanted, sizes(agents, "--agents", 10, AGENTS_MAX), sizes(hosts, "--hosts", 3, HOSTS_MAX),
        sizes(arrays, "--arrays", 3, 100_000_000),
    )  # fmt: skip
    if draws:
        pyplot()
    writable(out)
    found: Found = {part: [] for part in wanted}
    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(jobs))
        for part, about, function, arguments in jobs:
            bar.update(task, description=about)
            found[part].extend(_apart(function, arguments))
            bar.advance(task)
    files = write(found, out, draws)
    if as_json:
        typer.echo(json.dumps(plain(found), indent=2))
        return
    console = Console(soft_wrap=True)
    console.width = max(console.width, WIDTH)
    for table in tables(found):
        console.print(table, "")
    console.print("written: " + ", ".join(map(str, files)), highlight=False)


def _jobs(
    wanted: tuple[str, ...], agents: tuple[int, ...], hosts: tuple[int, ...], arrays: tuple[int, ...]
) -> list[Job]:
    all_jobs: list[Job] = []
    for count in agents:
        virtual_s = CROWD_VIRTUAL_S if count <= LARGE else CROWD_VIRTUAL_S_LARGE
        all_jobs.append(("crowd", f"{count:,} agents at work", _crowd, (count, virtual_s)))
    all_jobs.extend(("cones", f"rollbacks among {count:,} agents", _cones, (count,)) for count in agents)
    talks = conversations.TURNS
    all_jobs.extend(("conversations", f"a conversation of {turns:,} turns", _talk, (turns,)) for turns in talks)
    all_jobs.extend(("clocks", f"clocks, {what} {value:g}", _clocks, (what, value)) for what, value in _varied())
    all_jobs.extend(("spreads", f"news among {count:,} hosts", _exact, (count,)) for count in hosts)
    all_jobs.extend(("spreads", f"news in arrays of {count:,}", _modelled, (count,)) for count in arrays)
    all_jobs.extend(("cuts", f"checkpoints of {count:,} hosts", _cuts, (count,)) for count in hosts)
    return [job for job in all_jobs if job[0] in wanted]


def _varied() -> Iterator[tuple[str, float]]:
    for what, values in (("agents", CLOCK_AGENTS), ("degree", CLOCK_DEGREES), ("epoch", CLOCK_EPOCHS_S)):
        for value in values:
            yield what, value


def _apart(function: Callable[..., list[Row]], arguments: tuple[object, ...]) -> list[Row]:
    """Measure in a process of its own, so that one measurement's memory is not another's."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _crowd(agents: int, virtual_s: float) -> list[Row]:
    logging.getLogger("ebbtide").setLevel(logging.CRITICAL + 1)
    return [crowd.crowd(agents, virtual_s)]


def _cones(agents: int) -> list[Row]:
    return list(cones.cone_rows(agents, tuple(depth for depth in DEPTHS if cones.size(depth) <= agents)))


def _talk(turns: int) -> list[Row]:
    return [conversations.conversation(turns)]


def _clocks(what: str, value: float) -> list[Row]:
    agents, degree, epoch_s = clocks.AGENTS, clocks.DEGREE, clocks.EPOCH_S
    if what == "agents":
        agents = int(value)
    elif what == "degree":
        degree = int(value)
    else:
        epoch_s = value
    return [clocks.clocks(what, agents, degree, epoch_s)]


def _exact(hosts: int) -> list[Row]:
    return [spreads.exact(hosts)]


def _modelled(hosts: int) -> list[Row]:
    return [spreads.modelled(hosts)]


def _cuts(hosts: int) -> list[Row]:
    return [spreads.cuts(hosts)]


def _parts(text: str) -> tuple[str, ...]:
    named = tuple(part.strip() for part in text.split(","))
    unknown = [part for part in named if part not in PARTS]
    if unknown:
        raise typer.BadParameter(f"no part {unknown[0]!r}; there are: {', '.join(PARTS)}", param_hint="--parts")
    return tuple(part for part in PARTS if part in named)
