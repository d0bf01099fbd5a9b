"""The measurements of scale for people and for programs: tables, JSON, plots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from peer.errors import CallerError
from sims.scale.clocks import ClockRow
from sims.scale.cones import ConeRow
from sims.scale.crowd import CrowdRow
from sims.scale.spreads import CutRow, SpreadRow

Row = CrowdRow | ClockRow | ConeRow | SpreadRow | CutRow
Found = dict[str, list[Row]]
"""By part, its rows."""

TITLES = {
    "crowd": "agents at steady work in one process, with checkpoints and rollbacks",
    "cones": "a rollback of a tree of steps",
    "clocks": "vector clocks of the messages between agents",
    "spreads": "until all hosts know of a forced retraction (rounds of 100 ms)",
    "cuts": "a checkpoint among hosts (rounds of 100 ms)",
}


def write(found: Found, folder: Path) -> list[Path]:
    """Write the rows as JSON, and plots of them; return the files.

    Raises: CallerError, if the library for plots is not there; the JSON is written by then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "scale.json"
    rows.write_text(json.dumps(plain(found), indent=2) + "\n", encoding="utf-8")
    return [rows, *_plot(found, folder)]


def plain(found: Found) -> dict[str, list[dict[str, Any]]]:
    """Return the rows for JSON."""
    return {part: [asdict(row) for row in rows] for part, rows in found.items()}


def tables(found: Found) -> list[Table]:
    """Return a table for each part, a column for each row of it."""
    return [_table(TITLES[part], rows) for part, rows in found.items() if rows]


def _table(title: str, rows: Sequence[Row]) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    dicts = [asdict(row) for row in rows]
    for name in dicts[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in dicts:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _plot(found: Found, folder: Path) -> list[Path]:
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise CallerError(
            f"the rows are in {folder}, but there are no plots without matplotlib:"
            ' pip install "ebbtide[research]", and run it again'
        ) from error
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(14, 7.5))
    for axis in axes.flat:
        axis.grid(alpha=0.3)
    _cones(axes[0][0], [row for row in found.get("cones", []) if isinstance(row, ConeRow)])
    spreads = [row for row in found.get("spreads", []) if isinstance(row, SpreadRow)]
    _spreads(axes[0][1], spreads, [row for row in found.get("cuts", []) if isinstance(row, CutRow)])
    clocks = [row for row in found.get("clocks", []) if isinstance(row, ClockRow)]
    for axis, varied, name in (
        (axes[0][2], "agents", "agents"), (axes[1][0], "degree", "agents that each writes to"),
        (axes[1][1], "epoch_s", "epoch, virtual s"),
    ):  # fmt: skip
        rows = [row for row in clocks if row.varied == varied.removesuffix("_s")]
        axis.plot([getattr(row, varied) for row in rows], [row.entries_mean for row in rows], marker="o", label="mean")
        axis.plot([getattr(row, varied) for row in rows], [row.entries_max for row in rows], marker=".", label="most")
        axis.set(title="clock entries a message", xlabel=name, ylim=(0, None), xscale="log")
        axis.legend()
    _crowd(axes[1][2], [row for row in found.get("crowd", []) if isinstance(row, CrowdRow)])
    figure.tight_layout()
    files = [folder / "scale.svg", folder / "scale.png"]
    for file in files:
        figure.savefig(file, dpi=120)
    pyplot.close(figure)
    return files


def _cones(axis: Any, rows: list[ConeRow]) -> None:
    for agents in sorted({row.agents for row in rows}):
        some = [row for row in rows if row.agents == agents]
        axis.plot([row.cone for row in some], [row.messages for row in some], marker="o", label=f"{agents:,} agents")
    axis.set(title="messages of a rollback", xlabel="steps of the cone", xscale="log", yscale="log")
    axis.legend()


def _spreads(axis: Any, spreads: list[SpreadRow], cuts: list[CutRow]) -> None:
    for how, style in (("machines", "o"), ("arrays", "-")):
        some = [row for row in spreads if row.how == how]
        axis.plot([row.hosts for row in some], [row.rounds_median for row in some], style, label=f"retraction, {how}")
    axis.plot([row.hosts for row in cuts], [row.cut_rounds for row in cuts], "s--", label="cut, machines")
    axis.plot([row.hosts for row in cuts], [row.commit_rounds for row in cuts], "s:", label="commit, machines")
    axis.set(title="rounds until all hosts know", xlabel="hosts", xscale="log", ylim=(0, None))
    axis.legend()


def _crowd(axis: Any, rows: list[CrowdRow]) -> None:
    axis.plot(
        [row.agents for row in rows], [row.bytes_per_agent / 1000 for row in rows], marker="o", label="at the end"
    )
    axis.plot([row.agents for row in rows], [row.idle_bytes_per_agent / 1000 for row in rows], marker=".", label="idle")
    axis.set(title="kB an agent, in one process", xlabel="agents", xscale="log", ylim=(0, None))
    axis.legend()
