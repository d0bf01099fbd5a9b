"""`ebbtide sim`: random histories and worlds on the command line."""

import json
import logging
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from protocol.errors import UNREADABLE
from protocol.event import Elapsed
from sims.baselines.cli import compare
from sims.cli import worlds
from sims.histories.history import History
from sims.histories.plan import Plan
from sims.histories.swarm import Result, play, swarm
from sims.runs.shrink import shrunk
from sims.scale.cli import scale
from sims.spread.demers_cli import demers
from sims.studies.matrix.cli import effects

FAILURES_MAX = 5
"""Failures shown, each shrunk; more seldom tell more."""

group = typer.Typer(
    name="sim",
    invoke_without_command=True, rich_markup_mode="markdown", pretty_exceptions_short=True, add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)  # fmt: skip
"""`ebbtide sim` with its subcommands: each is a function of its own module, added at the end of this one."""


@group.callback()
def sim(
    ctx: typer.Context,
    seeds: Annotated[str, typer.Option(help="Seeds to play, as FIRST:LAST (LAST is left out).")] = "0:1000",
    jobs: Annotated[int, typer.Option(help="Processes; 0: one for each core.", min=0)] = 0,
    seed: Annotated[int | None, typer.Option(help="Play one seed and print what happened.")] = None,
    plan: Annotated[str | None, typer.Option(help="Play one plan, given as JSON, and print what happened.")] = None,
    hash: Annotated[bool, typer.Option("--hash", help="Print a hash of each seed's trace.")] = False,
    world: Annotated[str | None, typer.Option(help="Play whole worlds of this kind instead: see --list.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the kinds of worlds.")] = False,
    replay: Annotated[Path | None, typer.Option(help="Play a world again that failed, from its file.")] = None,
    out: Annotated[Path, typer.Option(help="Where files of failing worlds go.")] = Path("out/replays"),
) -> None:
    """Play random histories of many peers, and judge each by graph search.

    With --world: whole worlds, with real agents, hosts, codec and handlers in virtual time, under every kind of fault.

    A seed decides all: who talks to whom, what is late, lost or doubled, who crashes, what is rolled back, who
    rejects it. Undone must be exactly the true cones: wrong steps, and all that depends on them. Nothing may be lost,
    doubled or left hanging. A failure prints the seed, what broke, and a smaller plan with the command that plays it.
    Exits with 1 if any fails.
    """
    if ctx.invoked_subcommand is not None:
        _check_none_given(ctx)
        return
    console = Console(soft_wrap=True)
    if list_:
        worlds.list_worlds(console)
        return
    if replay is not None:
        worlds.replay(replay, console)
        return
    if world is not None:
        _worlds(world, seed, seeds, jobs, console, hash, out)
        return
    if seed is not None or plan is not None:
        _one(_plan(seed, plan), console, hash)
        return
    first, last = _range(seeds)
    failures = _many(first, last, jobs or os.cpu_count() or 1, console, hash)
    for failure in failures[:FAILURES_MAX]:
        _explain(failure, console)
    if failures:
        console.print(f"[bold red]{len(failures)} of {last - first} seeds fail[/]")
        raise typer.Exit(1)


def _check_none_given(ctx: typer.Context) -> None:
    """Raises: BadParameter, if an option comes before a subcommand, which would never hear of it."""
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"it stands before {ctx.invoked_subcommand!r}, which does not take it from there: write it behind,"
                f" if it is one of 'ebbtide sim {ctx.invoked_subcommand} --help'",
                param_hint=parameter.opts[0],
            )


def _worlds(world: str, seed: int | None, seeds: str, jobs: int, console: Console, hashes: bool, out: Path) -> None:
    logging.getLogger("ebbtide").setLevel(logging.CRITICAL + 1)
    if seed is not None:
        worlds.one_world(world, seed, console, hashes)
        return
    first, last = _range(seeds)
    worlds.worlds(world, first, last, jobs or os.cpu_count() or 1, console, hashes, out)


def _many(first: int, last: int, jobs: int, console: Console, hashes: bool) -> list[Result]:
    failures: list[Result] = []
    steps = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("histories", total=last - first)
        for result in swarm(first, last, jobs):
            bar.advance(task)
            steps += result.steps
            if hashes:
                console.print(f"{result.seed} {result.hash}", highlight=False)
            if result.failure:
                failures.append(result)
                bar.update(task, description=f"histories, {len(failures)} failed")
    if not failures:
        console.print(f"[bold green]{last - first} seeds passed[/], {steps} steps")
    return failures


def _explain(failure: Result, console: Console) -> None:
    console.print(f"\n[bold red]seed {failure.seed}[/]: {failure.failure}", highlight=False)
    small = shrunk(Plan.random(failure.seed), lambda plan: bool(play(plan).failure))
    text = json.dumps(asdict(small))
    console.print(f"  it fails smaller, too: {play(small).failure}", highlight=False)
    console.print(f"  play it: ebbtide sim --plan {shlex.quote(text)}", highlight=False)


def _one(plan: Plan, console: Console, hashes: bool) -> None:
    """Play one plan, printing every event but timers, with its time in milliseconds."""
    history = History(plan)
    start_us = history.now_us
    console.print(f"{plan}", highlight=False)

    def watch(agent: str, event: object) -> None:
        if not isinstance(event, Elapsed):
            text = str(event)
            at_ms = (history.now_us - start_us) / 1000
            console.print(f"{at_ms:9.2f} {agent} {text[:400]}", highlight=False, markup=False)

    history.watch = watch
    result = play(plan, history)
    if hashes:
        console.print(f"{result.seed} {result.hash}", highlight=False)
    if result.failure:
        console.print(f"[bold red]fails[/]: {result.failure}", highlight=False)
        raise typer.Exit(1)
    console.print(f"[bold green]passes[/]: {result.steps} steps, {result.events} events")


def _plan(seed: int | None, plan: str | None) -> Plan:
    if plan is None:
        return Plan.random(seed or 0)
    try:
        made = msgspec.json.decode(plan, type=Plan)
    except UNREADABLE as error:
        raise typer.BadParameter(f"not a plan: {error}", param_hint="--plan") from error
    unknown = [name for name in json.loads(plan) if name not in asdict(made)]
    if unknown:
        raise typer.BadParameter(
            f"not a plan: it has no {unknown[0]!r}, only {', '.join(asdict(made))}", param_hint="--plan"
        )
    if made.agents < 1:
        raise typer.BadParameter(f"not a plan: agents is {made.agents}, and at least 1", param_hint="--plan")
    return made


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition(":")
    if not first.isdigit() or not last.isdigit() or int(first) >= int(last):
        raise typer.BadParameter(f"{text!r} is not FIRST:LAST, as in 0:1000", param_hint="--seeds")
    return int(first), int(last)


group.command("compare")(compare)
group.command("demers")(demers)
group.command("effects")(effects)
group.command("scale")(scale)
