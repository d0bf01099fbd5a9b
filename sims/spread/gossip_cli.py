"""`ebbtide gossip`: what it costs hosts to know, on the command line."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from sims.options import sizes
from sims.spread.checkpoint_costs import CheckpointRow, measure_checkpoints
from sims.spread.dissemination import STAGES, Row, Stage, measure

HOSTS_MAX = 5000
"""Each of N machines knows N hosts: 5,000 take some 3 GB and a few minutes."""
STAGES_EACH = len(STAGES) + 1


def gossip(
    hosts: Annotated[str, typer.Option(help="How many hosts, as one number or several with commas.")] = "100,1000",
    seed: Annotated[int, typer.Option(help="Decides who talks to whom, and what is late or lost.")] = 1,
    loss: Annotated[int, typer.Option(help="Frames lost in the lossy part, in percent.", min=0, max=50)] = 5,
    only_checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Measure only checkpoints.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Measure how news spreads among hosts, and how soon a failed one is found.

    Runs the machines of real hosts in virtual time, so a thousand hosts fit into one process and a seed brings the
    same run back. A new fact should be everywhere within about log N pushes, each host sending it about log2 N times;
    two hosts that hold the same should find so in one small frame; and loss should raise doubts, but no false alarms.
    A checkpoint should be known to be committed everywhere after about log N rounds, for a bit per host in each frame.

    Try `ebbtide gossip --hosts 10,100` first: it takes a second. 1,000 hosts take half a minute.
    """
    counts = sizes(hosts, "--hosts", 3, HOSTS_MAX)
    rows: list[Row] = []
    checkpoints: list[CheckpointRow] = []
    columns = (TextColumn("{task.description:24}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(counts) * STAGES_EACH)
        for size in counts:

            def entered(stage: Stage, size: int = size) -> None:
                done = STAGES.index(stage) + counts.index(size) * STAGES_EACH
                bar.update(task, description=f"{size} hosts: {stage}", completed=done)

            if not only_checkpoints:
                rows.append(measure(size, seed, loss, entered=entered))
            done = len(STAGES) + counts.index(size) * STAGES_EACH
            bar.update(task, description=f"{size} hosts: checkpoints", completed=done)
            checkpoints.append(measure_checkpoints(size, seed))
    if as_json:
        both = rows or [None] * len(checkpoints)
        pairs = zip(both, checkpoints, strict=True)
        shown = [({} if row is None else asdict(row)) | {"checkpoint": asdict(costs)} for row, costs in pairs]
        typer.echo(json.dumps([{"hosts": row["checkpoint"]["hosts"], **row} for row in shown], indent=2))
        return
    if rows:
        _show(rows, loss)
    _show_checkpoints(checkpoints)


def _show(rows: list[Row], loss: int) -> None:
    table = Table("among hosts", *(f"{row.hosts:,}" for row in rows))
    for column in table.columns[1:]:
        column.justify = "right"

    def line(name: str, *cells: str) -> None:
        table.add_row(name, *cells)

    line("idle: frames, bytes a host a second",
         *(f"{row.idle_frames_per_host_s:.1f}, {row.idle_bytes_per_host_s:.0f}" for row in rows))  # fmt: skip
    line("a new fact is everywhere: median, worst, s",
         *(f"{row.spread_s_median:.2f}, {row.spread_s_max:.2f}" for row in rows))  # fmt: skip
    line(f"the same with {loss} % lost, s",
         *(f"{row.lossy_spread_s_median:.2f}, {row.lossy_spread_s_max:.2f}" for row in rows))  # fmt: skip
    line("copies of it a host sends, bytes",
         *(f"{row.spread_copies_per_host:.1f}, {row.spread_bytes_per_host:.0f}" for row in rows))  # fmt: skip
    line("comparison when nothing differs, bytes", *(str(row.same_bytes) for row in rows))
    line("when one fact differs: frames, bytes",
         *(f"{row.one_differs_frames}, {row.one_differs_bytes}" for row in rows))  # fmt: skip
    line("a dead host is found: first, all, s",
         *(f"{row.detect_s_first:.1f}, {row.detect_s_all:.1f}" for row in rows))  # fmt: skip
    line(f"doubts refuted in a minute with {loss} % lost", *(str(row.lossy_doubts_refuted) for row in rows))
    line("false alarms meanwhile", *(str(row.lossy_false_alarms) for row in rows))
    Console(soft_wrap=True).print(table)


def _show_checkpoints(rows: list[CheckpointRow]) -> None:
    table = Table("a checkpoint among hosts", *(f"{row.hosts:,}" for row in rows))
    for column in table.columns[1:]:
        column.justify = "right"
    lines: dict[str, list[str]] = {
        "all have cut, s": [f"{row.cut_s:.2f}" for row in rows],
        "committed: known to the first, to all, s": [
            f"{row.committed_s_first:.2f}, {row.committed_s_all:.2f}" for row in rows
        ],
        "rounds until all know": [f"{row.rounds:.1f}" for row in rows],
        "frames a host: counts, commits, all": [
            f"{row.tallies_per_host:.1f}, {row.commits_per_host:.1f}, {row.frames_per_host:.1f}" for row in rows
        ],
        "bytes of a count, of a commit": [f"{row.tally_bytes:.0f}, {row.commit_bytes:,.0f}" for row in rows],
        "bytes a host": [f"{row.bytes_per_host:,.0f}" for row in rows],
    }
    for name, cells in lines.items():
        table.add_row(name, *cells)
    Console(soft_wrap=True).print(table)
