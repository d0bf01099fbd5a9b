"""Pictures of a benchmark's tables: one SVG, an axis a curve's figure."""

from pathlib import Path
from textwrap import fill
from typing import Any

from benchmarks.suite.form import Benchmark, Plot, Row, Table
from sims.plotting import pyplot

WIDTH, HEIGHT = 4.4, 3.4
ACROSS = 3
TITLE_WIDTH = 48


def draw(benchmark: Benchmark, rows: dict[str, list[Row]], file: Path) -> bool:
    """Draw all tables that have a plot; return whether there was anything to draw.

    Raises: CallerError, if matplotlib is not installed.
    """
    wanted = [
        (table, table.plot, y, rows[name])
        for name, table in benchmark.tables.items()
        if table.plot is not None and len(rows.get(name, ())) > 1
        for y in table.plot.ys
    ]
    if not wanted:
        return False
    plots = pyplot()
    # The same rows give the same file: else each run would change the page's pictures.
    plots.rcParams["svg.hashsalt"] = benchmark.name
    plots.rcParams["svg.fonttype"] = "none"  # letters as letters: a third of the bytes
    down = -(-len(wanted) // ACROSS)
    across = min(ACROSS, len(wanted))
    figure, axes = plots.subplots(down, across, figsize=(WIDTH * across, HEIGHT * down), squeeze=False)
    flat = list(axes.flat)
    for axis, (table, plot, y, some) in zip(flat, wanted, strict=False):
        _curves(axis, table, plot, y, some)
    for axis in flat[len(wanted) :]:
        axis.set_visible(False)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
    plots.close(figure)
    return True


def _curves(axis: Any, table: Table, plot: Plot, y: str, rows: list[Row]) -> None:
    curves: dict[str, list[Row]] = {}
    for row in rows:
        if row.get(y) is not None and row.get(plot.x) is not None:
            curves.setdefault(str(row.get(plot.by, "")), []).append(row)
    for name, some in curves.items():
        axis.plot([row[plot.x] for row in some], [row[y] for row in some], marker="o", label=name or None)
    axis.set_title(fill(f"{table.title}: {table.columns[y]}", TITLE_WIDTH), fontsize=9)
    axis.set_xlabel(table.columns[plot.x], fontsize=9)
    if "x" in plot.logs:
        axis.set_xscale("log")
    if "y" in plot.logs:
        axis.set_yscale("log")
    else:
        axis.set_ylim(0, None)
    axis.grid(alpha=0.3)
    if any(curves):
        axis.legend(fontsize=8)
