"""`ebbtide sim --world`: whole worlds on the command line, in virtual time."""

import time
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from sims import faults
from sims.runs.fleet import fleet, play_quietly
from sims.runs.replay import ReplayInvalid, read_replay, write_replay
from sims.runs.scenario import OLD_NAMES, PRESETS, Result, Scenario, play, preset, world_of
from sims.runs.shrink import shrunk_scenario
from sims.runs.story import story

FAILURES_MAX = 3
"""Failures shown, each shrunk; more seldom tell more."""
TRIES = 150
"""Scenarios played to make a failing one smaller."""


def list_worlds(console: Console) -> None:
    """Print the presets."""
    table = Table(box=None)
    table.add_column("world", style="bold")
    table.add_column("what goes wrong")
    for name, (about, _) in PRESETS.items():
        table.add_row(name, about)
    console.print(table)


def check_name(name: str) -> None:
    """Raises: BadParameter, if there is no such preset."""
    if name not in (*PRESETS, *OLD_NAMES):
        raise typer.BadParameter(f"no world {name!r}; there are: {', '.join(PRESETS)}", param_hint="--world")


def worlds(name: str, first: int, last: int, jobs: int, console: Console, hashes: bool, folder: Path) -> None:
    """Play many; explain those that fail, and write them down.

    Raises: Exit, with 1, if any fails.
    """
    check_name(name)
    failures: list[Result] = []
    steps = undone = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(f"{name} worlds", total=last - first)
        for result in fleet(name, first, last, jobs):
            bar.advance(task)
            steps, undone = steps + result.steps, undone + result.undone
            if hashes:
                console.print(f"{result.seed} {result.hash}", highlight=False)
            if result.failure:
                failures.append(result)
                bar.update(task, description=f"{name} worlds, {len(failures)} failed")
    for failure in failures[:FAILURES_MAX]:
        explain(failure, console, folder)
    if failures:
        console.print(f"[bold red]{len(failures)} of {last - first} seeds fail[/]")
        raise typer.Exit(1)
    console.print(f"[bold green]{last - first} seeds passed[/], {steps} steps, {undone} of them undone")


def explain(failure: Result, console: Console, folder: Path) -> None:
    """Print what broke, make it smaller, tell its story, and write it down."""
    console.print(f"\n[bold red]seed {failure.seed}[/] breaks: {failure.invariant}", highlight=False)
    console.print(f"  {failure.failure}", highlight=False, markup=False)
    small = shrunk_scenario(
        failure.scenario, lambda candidate: play_quietly(candidate).invariant == failure.invariant, TRIES
    )
    result = _show(small, console)
    path = folder / f"{small.preset}-{small.seed}.json"
    write_replay(path, result)
    console.print(f"  play it again: ebbtide sim --replay {path}", highlight=False)


def one_world(name: str, seed: int, console: Console, hashes: bool) -> None:
    """Play one, and tell what happened in it.

    Raises: Exit, with 1, if it fails.
    """
    check_name(name)
    scenario = preset(name, seed)
    console.print(scenario.to_json(), highlight=False, markup=False)
    began_s = time.perf_counter()
    result = _show(scenario, console)
    took_s = time.perf_counter() - began_s
    if hashes:
        console.print(f"{result.seed} {result.hash}", highlight=False)
    if result.failure:
        raise typer.Exit(1)
    console.print(
        f"[bold green]passes[/]: {result.steps} steps, {result.undone} undone, {result.events} events"
        f" in {took_s:.1f} s, {result.events / took_s:,.0f} a second"
    )


def replay(path: Path, console: Console) -> None:
    """Play a file again, and compare the traces.

    Raises: BadParameter, if it is no replay; Exit, with 1, if it fails or goes otherwise than before.
    """
    try:
        kept = read_replay(path)
    except ReplayInvalid as error:
        raise typer.BadParameter(str(error), param_hint="--replay") from error
    result = _show(kept.scenario, console)
    console.print(f"trace {result.hash}", highlight=False)
    if result.hash == kept.hash:
        console.print("[bold]the same trace as in the file[/]")
    else:
        console.print(f"[bold red]another trace[/]: the file has {kept.hash}; the code has changed", highlight=False)
    if result.failure or result.hash != kept.hash:
        raise typer.Exit(1)


def _show(scenario: Scenario, console: Console) -> Result:
    """Play a scenario, and print its story."""
    hosts, agents = scenario.hosts, scenario.hosts * scenario.agents_per_host
    world = world_of(scenario)
    try:
        result = play(scenario, world)
        if result.failure:
            console.print(f"  with {hosts} hosts, {agents} agents, {scenario.workload.inputs} inputs,", highlight=False)
            console.print(
                f"  {scenario.rollbacks} rollbacks, and faults {faults.to_json(scenario.faults)}:",
                highlight=False, markup=False,
            )  # fmt: skip
            console.print(f"  [bold red]{result.invariant}[/]", highlight=False)
            console.print(f"  {result.failure}", highlight=False, markup=False)
        for line in story(world, result.failure):
            console.print(f"  {line}", highlight=False, markup=False)
        return result
    finally:
        world.close()
