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
COLUMNS_MAX = 9
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
    """Return a table for each part; one with many figures to a row is turned on its side."""
    return [_table(TITLES[part], rows) for part, rows in found.items() if rows]


def _table(title: str, rows: Sequence[Row]) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    dicts = [asdict(row) for row in rows]
    if len(dicts[0]) > COLUMNS_MAX:
        first, *names = dicts[0]
        table.add_column(first)
        for row in dicts:
            table.add_column(_cell(row[first]), justify="right")
        for name in names:
            table.add_row(name.replace("_", " "), *(_cell(row[name]) for row in dicts))
        return table
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

    files: list[Path] = []
    for name, parts, width, draw in (
        ("crowd", ("crowd",), 1, _crowd), ("cones", ("cones",), 1, _cones), ("clocks", ("clocks",), 3, _clocks),
        ("spreads", ("spreads", "cuts"), 1, _spreads),
    ):  # fmt: skip
        rows = [row for part in parts for row in found.get(part, [])]
        if not rows:
            continue
        figure, axes = pyplot.subplots(1, width, figsize=(5 * width, 3.8), squeeze=False)
        draw(list(axes[0]), rows)
        for axis in axes[0]:
            axis.grid(alpha=0.3)
        figure.tight_layout()
        files.append(folder / f"{name}.svg")
        figure.savefig(files[-1])
        pyplot.close(figure)
    return files


def _crowd(axes: list[Any], rows: list[Row]) -> None:
    crowds = [row for row in rows if isinstance(row, CrowdRow)]
    agents = [row.agents for row in crowds]
    axes[0].plot(agents, [row.bytes_per_agent / 1000 for row in crowds], marker="o", label="after its work")
    axes[0].plot(agents, [row.idle_bytes_per_agent / 1000 for row in crowds], marker=".", label="idle")
    axes[0].set(title="memory of an agent, kB", xlabel="agents in one process", xscale="log", ylim=(0, None))
    axes[0].legend()


def _cones(axes: list[Any], rows: list[Row]) -> None:
    cones = [row for row in rows if isinstance(row, ConeRow)]
    for agents in sorted({row.agents for row in cones}):
        some = [row for row in cones if row.agents == agents]
        axes[0].plot([row.cone for row in some], [row.messages for row in some], marker="o", label=f"{agents:,} agents")
    axes[0].set(title="messages of a rollback", xlabel="steps of its cone", xscale="log", yscale="log")
    axes[0].legend()


def _clocks(axes: list[Any], rows: list[Row]) -> None:
    clocks = [row for row in rows if isinstance(row, ClockRow)]
    about = {"agents": "agents", "degree": "agents that each writes to", "epoch_s": "epoch, virtual s"}
    for axis, (name, label) in zip(axes, about.items(), strict=True):
        some = [row for row in clocks if row.varied == name.removesuffix("_s")]
        values = [getattr(row, name) for row in some]
        axis.plot(values, [row.entries_mean for row in some], marker="o", label="mean")
        axis.plot(values, [row.entries_max for row in some], marker=".", label="most")
        axis.set(title="clock entries of a message", xlabel=label, ylim=(0, None))
        axis.legend()


def _spreads(axes: list[Any], rows: list[Row]) -> None:
    spreads = [row for row in rows if isinstance(row, SpreadRow)]
    for how, style in (("machines", "o"), ("arrays", "-")):
        some = [row for row in spreads if row.how == how]
        axes[0].plot(
            [row.hosts for row in some], [row.rounds_median for row in some], style, label=f"retraction, {how}"
        )
    cuts = [row for row in rows if isinstance(row, CutRow)]
    axes[0].plot([row.hosts for row in cuts], [row.cut_rounds for row in cuts], "s--", label="cut, machines")
    axes[0].plot([row.hosts for row in cuts], [row.commit_rounds for row in cuts], "s:", label="commit, machines")
    axes[0].set(title="rounds until all hosts know", xlabel="hosts", xscale="log", ylim=(0, None))
    axes[0].legend()
