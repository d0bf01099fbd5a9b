"""`make bench`: run the benchmarks, write JSON and pictures."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.bench_rollback import Row, as_json, measure
from benchmarks.machine import about
from benchmarks.plot import plot_rollback


def main(
    sizes: Annotated[str, typer.Option(help="Numbers of agents, with commas.")] = "10,100,1000",
    hosts: Annotated[int, typer.Option(help="Hosts that the agents are packed onto.", min=1)] = 2,
    rollbacks: Annotated[int, typer.Option(help="Rollbacks timed at each size.", min=1)] = 20,
    seconds: Annotated[float, typer.Option(help="How long traffic is watched alone.")] = 3.0,
    backend: Annotated[str, typer.Option(help="ray or local.")] = "local",
    out: Annotated[Path, typer.Option(help="Folder for JSON and pictures.")] = Path("out/bench"),
) -> None:
    """Measure what undoing ten steps costs among 10, 100 and 1,000 agents with traffic."""
    console = Console()
    rows: list[Row] = []
    with console.status("starting") as status:
        for size in [int(text) for text in sizes.split(",")]:
            rows.append(asyncio.run(measure(size, hosts, rollbacks, seconds, backend, status.update)))
    out.mkdir(parents=True, exist_ok=True)
    (out / "rollback.json").write_text(json.dumps({"machine": about(), "rows": as_json(rows)}, indent=1) + "\n")
    plot_rollback(rows, out / "rollback.png")
    table = Table(title="undoing a cone of ten steps")
    columns = (
        "agents",
        "latency ms (median)",
        "messages",
        "bytes",
        "participants",
        "others alone/s",
        "meanwhile/s",
        "kept",
    )
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            str(row.agents), f"{row.latency_ms_median:.1f}", f"{row.messages_median:.0f}", f"{row.bytes_median:.0f}",
            str(row.electors), f"{row.others_per_s_alone:.0f}", f"{row.others_per_s_meanwhile:.0f}", f"{row.kept:.2f}",
        )  # fmt: skip
    console.print(table)
    console.print(f"written: {out / 'rollback.json'}, {out / 'rollback.png'}")


if __name__ == "__main__":
    typer.run(main)
