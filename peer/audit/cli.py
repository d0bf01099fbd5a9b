"""`ebbtide log`: what the logs in hosts' folders tell, on the command line."""

import os
import sys
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from peer.audit import upkeep, views
from peer.audit.console import PARTIAL, WRONG, Folder, Json, Last, Undone, console, errors, newest, print_json, progress
from peer.audit.edges import Edges
from peer.audit.events import Encoder
from peer.audit.follow import Follower
from peer.audit.formats import FORMATS, write
from peer.audit.gaps import Gap
from peer.audit.reader import read_trail
from peer.audit.telling import coned, explained, told
from peer.audit.trail import Trail
from peer.audit.verifying import Verified, verified
from peer.damage import Finding
from peer.store.outside.keyring import KEY_FILE

"""Steps in a table, unless more are asked for."""
LOOK_EVERY_S = 0.2
"""How often logs are looked at that are followed."""

_HELP = """What the logs of a run tell: whole or damaged, who did what, why, and what followed from it.

FOLDER is a host's folder (`run/host-1`) or the folder of all hosts (`run`): a trail joins all that are in it. Nothing
there is locked or changed, and the hosts may be running.

    ebbtide demo --backend local --payments 300 --folder run
    ebbtide log verify run
    ebbtide log show run ledger-1 --undone
    ebbtide log why ledger-1/1/20 run
    ebbtide log export run out --format parquet

Exit codes: 0, all is told and well; 1, `verify` found damage; 2, wrong usage or bad input, and nothing was done; 3,
logs are damaged, and what was told is not all that there was (stderr says what is missing); 130, interrupted.
"""

group = typer.Typer(
    name="log", help=_HELP, no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_short=True,
    add_completion=False, context_settings={"help_option_names": ["--help", "-h"]},
)  # fmt: skip
"""`ebbtide log` with its subcommands."""

Name = Annotated[str, typer.Argument(metavar="STEP", help="A step, as agent/incarnation/seq: `ledger-1/1/20`.")]


@group.callback(help=_HELP)
def log(
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", envvar=KEY_FILE, help="The file with the key, if the logs are encrypted at rest."),
    ] = None,
) -> None:
    """Take what all subcommands need."""
    if key_file is not None:
        os.environ[KEY_FILE] = str(key_file)


@group.command()
def verify(folder: Folder, json_: Json = False) -> None:
    """Check that all is there, and as it was written, that a cluster would start from here.

    That is every host that the folder's list or a mark names, its key, and each record: that none was altered, dropped
    or reordered. Names what is wrong at each host, the first bad record of each log and the remedy, and exits with 1 if
    there is any. What each host has kept of the others' signed heads is compared as well: so a log that its owner has
    rewritten is found.

    Example: `ebbtide log verify run`
    """
    with progress("checking logs") as tell:
        found = verified(folder, tell)
    findings = found.all_findings
    if json_:
        rows = [
            {"folder": str(at), "agents": report.agents, "records": report.records, "signed": report.signed}
            | {"findings": [_finding(finding) for finding in report.findings]}
            for at, report in found.hosts
        ]
        beside = [_finding(finding) for finding in found.findings]
        print_json({"is_intact": not findings, "hosts": rows, "findings": beside, "notes": found.notes})
    else:
        _print_verified(found)
    if findings:
        raise typer.Exit(WRONG)


def _finding(finding: Finding) -> dict[str, Any]:
    return finding._asdict() | {"file": str(finding.file)}


def _print_verified(found: Verified) -> None:
    out = console()
    table = Table("folder", "logs", "records", "signed", "")
    for at, report in found.hosts:
        counts = (report.agents, report.records, report.signed)
        table.add_row(escape(str(at)), *map(str, counts), _verdict(report.findings, "as written"))
    for file, findings in groupby(found.findings, lambda finding: finding.file):
        table.add_row(escape(str(file)), "", "", "", _verdict(tuple(findings), ""))
    out.print(table)
    for finding in found.all_findings:
        agent = "" if finding.agent is None else f", agent {finding.agent}"
        number = "" if finding.number is None else f", record {finding.number}"
        text = f"{finding.file}{agent}{number}: {finding.what.rstrip('.')}. {finding.remedy}".strip()
        out.print(f"[bold red]damaged:[/] {escape(text)}", highlight=False, soft_wrap=True)
    views.noted(found.notes, (), out)
    whole = [report for _, report in found.hosts]
    records, signed = sum(report.records for report in whole), sum(report.signed for report in whole)
    bad = len(found.all_findings)
    places = "one place is" if bad == 1 else f"{bad} places are"
    verdict = f"[bold red]{places} not as written[/]" if bad else "[bold green]every record is as written[/]"
    out.print(f"{verdict}: {records} records in {sum(r.agents for r in whole)} logs, {signed} of them signed")


def _verdict(findings: Sequence[Finding], whole: str) -> str:
    return f"[bold red]{len(findings)} damaged[/]" if findings else f"[green]{whole}[/]"


@group.command()
def show(
    folder: Folder,
    agent: Annotated[str | None, typer.Argument(metavar="AGENT", help="Show this agent's steps alone.")] = None,
    undone: Undone = False,
    last: Last = None,
    json_: Json = False,
) -> None:
    """Show the steps of all agents, or of one, in the order of time; undone ones too, and who has paused whom.

    With --json, a line is one of steps.jsonl (docs/export.md) with sizes and hashes of values, and with who undid it.

    Examples: `ebbtide log show run`, `ebbtide log show run ledger-1 --undone --last 10`
    """
    trail = _read(folder)
    steps = list(trail.steps.values()) if agent is None else trail.of(agent)
    found = [step for step in steps if step.undone is not None] if undone else steps
    chosen = newest(found, last, json_)
    if json_:
        for step in chosen:
            print_json(told(trail, step))
        _end(trail.gaps)
        return
    out = console()
    title = f"{len(found)} {'undone ' if undone else ''}steps" + (f" of {agent}" if agent else "")
    views.shown(trail, chosen, out, title if len(chosen) == len(found) else f"{title}, the last {len(chosen)}")
    if len(chosen) < len(found):
        out.print("--last 0 shows all, --last N the last N")
    views.words([word for word in trail.words if agent in (None, word.agent)], out)
    _end(trail.gaps)


@group.command()
def why(step: Name, folder: Folder, json_: Json = False) -> None:
    """Explain a step: where its input came from, what it read and from whom, what it did, and what became of it.

    The chain of producers goes back to the outside. Of an undone step it says what undid it, by whose votes and why,
    and how it depends on the wrong step.

    Example: `ebbtide log why ledger-1/1/20 run`
    """
    trail = _read(folder)
    line = explained(trail, Edges(trail), trail.step(step))
    if json_:
        print_json(line | _known(trail))
    else:
        views.why(line, console())
    _end(trail.gaps)


@group.command()
def cone(
    step: Name,
    folder: Folder,
    all_: Annotated[bool, typer.Option("--all", help="Draw all of a large cone.")] = False,
    json_: Json = False,
) -> None:
    """Show all that followed from a step (its cone), as a tree: what would be undone with it, or was.

    Each step stands once, below the one by which it was found first: who sent its input, or wrote what it read.

    Example: `ebbtide log cone risk-2/1/13 run`
    """
    trail = _read(folder)
    lines = coned(trail, Edges(trail).cone([trail.step(step).id]))
    if json_:
        print_json({"root": step, "steps": lines} | _known(trail))
    else:
        views.cone(lines, console(), all_)
    _end(trail.gaps)


@group.command()
def export(
    folder: Folder,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write to; made if missing.")],
    format_: Annotated[
        str,
        typer.Option("--format", "-f", help="; ".join(f"**{name}**: {told.what}" for name, told in FORMATS.items())),
    ],
) -> None:
    """Write the trail down for other tools (docs/audit.md).

    Parquet, CloudEvents and PROV need `pip install 'ebbtide[audit]'`.

    Examples: `ebbtide log export run out --format jsonl`, `ebbtide log export run out --format ocel`
    """
    if format_ not in FORMATS:
        raise typer.BadParameter(f"{format_!r} is none of {', '.join(FORMATS)}", param_hint="--format")
    with progress("reading logs") as reads, progress(f"writing {format_}") as writes:
        written = write(format_, folder, out, reads, writes)
    views.noted(written.notes, written.gaps, errors())
    for file in written.files:
        console().print(f"{file} ({file.stat().st_size:,} bytes)", highlight=False, markup=False)
    _end(written.gaps)


@group.command()
def follow(
    folder: Folder,
    from_start: Annotated[bool, typer.Option("--from-start", help="Tell what is there already, too.")] = False,
    until_idle: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="End once nothing has happened for so long.", min=0)
    ] = None,
) -> None:
    """Print what happens while hosts run: CloudEvents 1.0 as JSON, one a line, until interrupted.

    Hosts may come, die and be succeeded meanwhile. Events have the ids that an export gives them.

    Examples: `ebbtide log follow run`, `ebbtide log follow run --from-start --until-idle 2 | jq .type`
    """
    encoder, follower = Encoder(), Follower(folder, from_start)
    seen = time.monotonic()
    while True:
        began = time.monotonic()
        found = follower.look()
        for happening in found:
            sys.stdout.buffer.write(encoder.encode(happening) + b"\n")
        sys.stdout.buffer.flush()
        views.noted(follower.notes, (), errors())
        follower.notes.clear()
        now = time.monotonic()
        seen = now if found else seen
        if until_idle is not None and now - seen >= until_idle:
            _end(follower.gaps)
            return
        # A look at large logs takes long: never more than half of the time.
        time.sleep(max(LOOK_EVERY_S, now - began))


for _command in (upkeep.compact, upkeep.sweep, upkeep.new_key, upkeep.rotate_key):
    group.command()(_command)


# -- shared --------------------------------------------------------------------------------------------------------


def _read(folder: Path) -> Trail:
    """Read the trail; what is to be known of it is said first, lest it be lost behind a long table."""
    with progress("reading logs") as tell:
        trail = read_trail(folder, tell)
    views.noted(trail.notes, trail.gaps, errors())
    return trail


def _known(trail: Trail) -> dict[str, Any]:
    return {"notes": trail.notes, "gaps": [gap._asdict() for gap in trail.gaps]}


def _end(gaps: Sequence[Gap]) -> None:
    """Raises: Exit, if what was told is not all that there was."""
    if gaps:
        raise typer.Exit(PARTIAL)
