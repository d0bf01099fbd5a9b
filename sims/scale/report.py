"""The measurements of scale for people and for programs: tables, JSON, plots."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from sims.plotting import pyplot
from sims.scale.clocks import ClockRow
from sims.scale.cones import ConeRow
from sims.scale.conversations import ConversationRow
from sims.scale.crowd import CrowdRow
from sims.scale.spreads import CutRow, SpreadRow

Row = CrowdRow | ClockRow | ConeRow | ConversationRow | SpreadRow | CutRow
COLUMNS_MAX = 9
Found = dict[str, list[Row]]
"""By part, its rows."""

TITLES = {
    "crowd": "agents at steady work in one process, with checkpoints and rollbacks",
    "cones": "a rollback of a tree of steps",
    "conversations": "a rollback of a conversation of two agents, from its first turn",
    "clocks": "vector clocks of the messages between agents",
    "spreads": "until all hosts know of a forced retraction (rounds of 100 ms)",
    "cuts": "a checkpoint among hosts (rounds of 100 ms)",
}
ABOUT = {
    "crowd": (
        "Each agent gets an input every five virtual seconds, from which some four steps follow at others; "
        "every virtual second there is a checkpoint, and five times a step of somebody is rolled back. "
        "Events are those of the agents' machines, and frames that hosts take in, by second of wall time. "
        "Memory is what is resident."
    ),
    "cones": (
        "One step makes three others, each of these three more, and so on, each at another agent; then the "
        "first is rolled back. Messages and bytes are all that the rollback took, from the proposal to its "
        "proposer's hearing the end."
    ),
    "conversations": (
        "Two agents on two hosts answer each other; then the first turn is rolled back, and with it all. Votes are the "
        "durable ones of both. Wall time is that of one processor, which does the work of both hosts."
    ),
    "clocks": (
        "Every agent writes to some others, and gets two inputs a virtual second; one of the number of "
        "agents, of whom each writes to, and of the length of an epoch is varied. Entries of settled steps "
        "are dropped from clocks."
    ),
    "spreads": (
        "A fact is told to one host, and passed on as rumours are. `machines` are the hosts' own, `arrays` "
        "the epidemic of `sims/spread/epidemic.py`. A host is told at once by frames of 0.5 to 5 ms, so the first "
        "half takes no round at all; the last ones take the rounds in which rumours are passed on again."
    ),
    "cuts": ("One host begins a checkpoint; counts are gossiped once a round until every host knows it committed."),
}
"""What a reader of the page must know, by part."""


def write(found: Found, folder: Path, draws: bool = True) -> list[Path]:
    """Write the rows as JSON, plots of them if wanted, and a page with both; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, page = folder / "scale.json", folder / "scale.md"
    rows.write_text(json.dumps(plain(found), indent=2) + "\n", encoding="utf-8")
    plots = _plot(found, folder) if draws else []
    page.write_text(_page(found, {plot.stem: plot.name for plot in plots}), encoding="utf-8")
    return [page, rows, *plots]


def _page(found: Found, plots: dict[str, str]) -> str:
    """Return the tables as Markdown, each with its plot."""
    cores = os.cpu_count()
    lines = [f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {cores} cores.", ""]
    for part, rows in found.items():
        if not rows:
            continue
        lines += [f"## {part.capitalize()}: {TITLES[part]}", "", ABOUT[part], ""]
        if part in plots:
            lines += [f"![{TITLES[part]}]({plots[part]})", ""]
        head, *body = _cells(rows)
        lines += [f"| {' | '.join(head)} |", "|" + " ---: |" * len(head)]
        lines += [f"| {' | '.join(cells)} |" for cells in body]
        lines.append("")
    return "\n".join(lines)


def plain(found: Found) -> dict[str, list[dict[str, Any]]]:
    """Return the rows for JSON."""
    return {part: [asdict(row) for row in rows] for part, rows in found.items()}


def tables(found: Found) -> list[Table]:
    """Return a table for each part."""
    return [_table(TITLES[part], rows) for part, rows in found.items() if rows]


def _table(title: str, rows: Sequence[Row]) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    head, *body = _cells(rows)
    for name in head:
        table.add_column(name, justify="right")
    for cells in body:
        table.add_row(*cells)
    return table


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    """Return a table's head and its lines; one with many figures to a row is turned on its side."""
    dicts = [asdict(row) for row in rows]
    lines = [
        [name.replace("_", " ") for name in dicts[0]],
        *([_cell(value) for value in row.values()] for row in dicts),
    ]
    return [list(line) for line in zip(*lines, strict=True)] if len(dicts[0]) > COLUMNS_MAX else lines


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _plot(found: Found, folder: Path) -> list[Path]:
    plots = pyplot()
    files: list[Path] = []
    for name, parts, width, draw in (
        ("crowd", ("crowd",), 1, _crowd), ("cones", ("cones",), 1, _cones),
        ("conversations", ("conversations",), 1, _conversations), ("clocks", ("clocks",), 3, _clocks),
        ("spreads", ("spreads", "cuts"), 1, _spreads),
    ):  # fmt: skip
        rows = [row for part in parts for row in found.get(part, [])]
        if not rows:
            continue
        figure, axes = plots.subplots(1, width, figsize=(5 * width, 3.8), squeeze=False)
        draw(list(axes[0]), rows)
        for axis in axes[0]:
            axis.grid(alpha=0.3)
        figure.tight_layout()
        files.append(folder / f"{name}.svg")
        figure.savefig(files[-1])
        plots.close(figure)
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


def _conversations(axes: list[Any], rows: list[Row]) -> None:
    talks = [row for row in rows if isinstance(row, ConversationRow)]
    turns = [row.turns for row in talks]
    axes[0].plot(turns, [row.messages for row in talks], marker="o", label="messages")
    axes[0].plot(turns, [row.votes for row in talks], marker="o", label="votes")
    axes[0].set(title="a conversation undone", xlabel="turns", xscale="log", ylim=(0, None))
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
