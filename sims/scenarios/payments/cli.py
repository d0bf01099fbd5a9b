"""`ebbtide demo`: the main job on the command line."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from peer.backends import BACKENDS
from peer.config import checkpoint_limits
from peer.report import write_report, write_svg
from sims.options import writable
from sims.scenarios.payments.detached import end, note, noted_in
from sims.scenarios.payments.fault import KINDS
from sims.scenarios.payments.plan import Options, Progress, hosts_of
from sims.scenarios.payments.run import Report, resume, run

Watched = Annotated[
    bool, typer.Option("--watched", help="Detectors notice what is wrong, and the auditor confirms it. No branch then.")
]


def demo(
    payments: Annotated[int, typer.Option(help="How many real payments to settle.", min=1)] = 2000,
    agents: Annotated[int, typer.Option(help="How many agents; at least 5.", min=5)] = 12,
    seed: Annotated[int, typer.Option(help="Chooses the customers, and when and where the fault strikes.")] = 4,
    fault: Annotated[str, typer.Option(help="; ".join(f"{kind}: {text}" for kind, text in KINDS.items()))] = "lax",
    backend: Annotated[str, typer.Option(help="ray: each host a Ray actor. local: all in this process.")] = "ray",
    agents_per_actor: Annotated[int, typer.Option(help="How many agents share a host.", min=1)] = 1,
    kills: Annotated[int, typer.Option(help="Kill this many hosts at random while payments flow.", min=0)] = 0,
    durability: Annotated[
        str, typer.Option(help="When a step counts. local: fsynced here. replicated(k): with k other hosts, too.")
    ] = "local",
    lose_disks: Annotated[
        int,
        typer.Option(help="Delete this many hosts' folders in mid-run, and kill the hosts; replicated only.", min=0),
    ] = 0,
    checkpoint_every: Annotated[
        float, typer.Option(help="Seconds from one checkpoint of all agents to the next; 0: none.", min=0)
    ] = 1.0,
    restore: Annotated[
        bool, typer.Option("--restore", help="In the end, go back to a checkpoint of the middle, and prove that too.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(help="Keep the hosts' logs in this folder, to be asked by `ebbtide log`; it must be empty."),
    ] = None,
    detached: Annotated[
        bool,
        typer.Option("--detached", help="On Ray, with --folder: hosts outlive this command, and --resume goes on."),
    ] = False,
    branch: Annotated[
        bool, typer.Option(help="In the middle, try another decision in a branch, and compare; not with --restore.")
    ] = True,
    watched: Watched = False,
    resume_: Annotated[
        Path | None,
        typer.Option("--resume", metavar="FOLDER", help="Go on with a detached run whose command was killed."),
    ] = None,
    export: Annotated[Path | None, typer.Option(help="Keep the run's log here (docs/export.md).")] = None,
    report: Annotated[Path, typer.Option(help="Where to write the page with the space-time diagram.")] = Path(
        "out/report.html"
    ),
) -> None:
    """Settle real payments, undo a wrong scorer's every consequence, and prove it.

    A bank of agents settles purchases of CDNOW's customers (1997-98). In the middle one risk scorer goes wrong. The
    auditor notices, and proposes to undo the wrong steps. The agents agree on it among themselves. They undo all that
    followed from those steps and nothing else, and handle the inputs again. In the end accounts, exposures and holds
    must equal those of a run with no fault. Meanwhile all agents make checkpoints, and go on working. What is right is
    sent out for good once it is settled, what is much if the treasurer signs for it. Money moves between savings by
    sagas, some of which are called off. In the middle another decision is tried in a branch. It takes one or two
    minutes on Ray, and some twenty seconds with `--backend local`. Exits with 1 if any check fails.
    """
    for name, value, known in (("fault", fault, list(KINDS)), ("backend", backend, list(BACKENDS))):
        if value not in known:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(known)}", param_hint=f"--{name}")
    # Hosts on Ray have working folders of their own.
    logs = None if folder is None else folder.resolve()
    _check_durability(durability, checkpoint_every, hosts_of(agents, agents_per_actor), lose_disks)
    options = Options(
        payments, agents, seed, fault, backend, agents_per_actor, kills, checkpoint_every, restore, durability,
        lose_disks, logs, detached, branch, watched,
    )  # fmt: skip
    _check_detached(options)
    if resume_ is not None:
        folder = resume_.resolve()
        options = replace(msgspec.convert(noted_in(folder), Options), logs=folder)
    writable(report.parent, "--report")
    if export is not None:
        writable(export, "--export")
    if folder is not None and resume_ is None:
        writable(folder, "--folder")
        if any(folder.iterdir()):
            raise typer.BadParameter(
                f"{str(folder)!r} is not empty: agents would go on from logs that are there. Nothing was run.",
                param_hint="--folder",
            )
    _play(options, report, export, folder, resume_ is not None)


def _play(options: Options, report: Path, export: Path | None, folder: Path | None, is_again: bool) -> None:
    """Run, or go on with a run; write what is to be written of it. Raises: Exit, with 1, if a check fails."""
    console = Console(emoji=False)
    with tempfile.TemporaryDirectory(prefix="ebbtide-export-") as temporary:
        exported = export or Path(temporary)
        done = _done(options, exported, console, is_again)
        checks = [(check.name, check.passed, check.detail) for check in done.checks]
        title = f"Ebbtide: {options.payments} payments, {options.agents} agents"
        write_report(exported, report, done.summary, checks, title)
        picture = report.with_name("rollback.svg")
        if done.largest is not None:
            write_svg(done.before or exported, picture, focus=done.largest)
    _print(done, console)
    console.print(
        f"report: {report}"
        + (f", and a picture of its largest rollback: {picture}" if done.largest else f"\n{_why_nothing(done)}")
        + (f"\nexport: {export}" if export else "")
        + (f"\nlogs: {folder} (try: ebbtide log show {folder} --undone)" if folder else "")
    )
    if not done.passed:
        raise typer.Exit(1)


def _done(options: Options, exported: Path, console: Console, is_again: bool) -> Report:
    """Run, or go on with a run. Hosts that outlive this end with the run, and where this fails that has begun them."""
    if not options.detached or options.logs is None:
        return _with_progress(options, exported, console, run)
    if is_again:
        done = _with_progress(options, exported, console, resume)
    else:
        note(options.logs, {**asdict(options), "logs": None})
        try:
            done = _with_progress(options, exported, console, run)
        except BaseException:
            end(options.logs)
            raise
    end(options.logs)
    return done


def _check_durability(durability: str, checkpoint_every: float, hosts: int, lose_disks: int) -> None:
    """Refuse what nobody can keep to. Raises: CallerError, BadParameter."""
    copies = checkpoint_limits(checkpoint_every, 1, 0, 0.0, durability=durability).replicas
    if copies >= hosts:
        raise typer.BadParameter(
            f"{durability!r} wants {copies} other hosts for each, and of {hosts} hosts there are {hosts - 1} others."
            " Nothing was run. Ask for fewer, or run more hosts (--agents, --agents-per-actor).",
            param_hint="--durability",
        )
    if lose_disks and durability == "local":
        raise typer.BadParameter(
            "with --durability local a disk takes along what came after the last checkpoint, and the proof needs all"
            " payments; try --durability 'replicated(1)'.",
            param_hint="--lose-disks",
        )


def _check_detached(options: Options) -> None:
    """Refuse what a program that goes on with a run could not go on with. Raises: BadParameter."""
    if not options.detached:
        return
    if options.backend != "ray" or options.logs is None:
        raise typer.BadParameter("hosts outlive this command on Ray alone, and with --folder.", param_hint="--detached")
    if options.kills or options.lost_disks or options.restore:
        raise typer.BadParameter(
            "whoever goes on with a run does not know of --kills, --lose-disks and --restore. Nothing was run.",
            param_hint="--detached",
        )


def _with_progress(
    options: Options,
    folder: Path,
    console: Console,
    work: Callable[[Options, Path, Progress], Coroutine[Any, Any, Report]],
) -> Report:
    if not console.is_terminal:
        return asyncio.run(work(options, folder, _Lines(console).tell))
    columns = (SpinnerColumn(), TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, TimeElapsedColumn(), console=console) as bar:
        phases: dict[str, TaskID] = {}

        def progress(what: str, at: float, of: float) -> None:
            """Show a bar for each phase; the phase before is over when the next one begins."""
            if what not in phases:
                for before in phases.values():
                    bar.update(before, total=bar.tasks[before].total or 1, completed=bar.tasks[before].total or 1)
                    bar.stop_task(before)
                phases[what] = bar.add_task(what, total=of if of > 1 else None)
            bar.update(phases[what], completed=at)

        return asyncio.run(work(options, folder, progress))


def _why_nothing(done: Report) -> str:
    """Say why there is no rollback to draw."""
    if done.fault is None:
        return "nothing went wrong, as asked (--fault none): nothing was undone, and there is no picture of a rollback"
    number, fault = done.fault
    return (
        f"the fault hit nothing: from payment {fault.first} to {fault.last} risk-{number} decided all that it had to as"
        " it would have without it. Nothing was undone, and there is no picture of a rollback. Try more --payments,"
        " another --seed, or --fault strict, which strikes often."
    )


class _Lines:
    """Says what is going on where there is no terminal to draw bars on: a line a stage, and for each quarter of one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._told: set[tuple[str, int]] = set()

    def tell(self, what: str, at: float, of: float) -> None:
        """Print a line, if there is anything new to say."""
        quarter = int(4 * at / of) if of > 1 else 0
        if (what, quarter) not in self._told:
            self._told.add((what, quarter))
            far = f": {at:,.0f} of {of:,.0f}" if quarter else ""
            self._console.print(f"{time.monotonic() - self._began:5.1f} s  {what}{far}", highlight=False)


def _print(done: Report, console: Console) -> None:
    summary = Table(title="the run", show_header=False)
    for name, value in done.summary.items():
        summary.add_row(name, str(value))
    checks = Table("check", "", "seen", title="the proof")
    for check in done.checks:
        checks.add_row(check.name, "[green]holds[/]" if check.passed else "[bold red]FAILS[/]", check.detail)
    console.print(summary)
    console.print(checks)
    verdict = "[bold green]all checks hold[/]" if done.passed else "[bold red]some checks fail[/]"
    console.print(f"{verdict} (where order matters, the oracle takes the serial order of the surviving steps)")
