"""The tables, for the terminal and for docs/effects-benchmark.md, which the command itself writes them into."""

import re
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.effects.systems import ALL

BEGIN, END = "<!-- written by the benchmark: begin -->", "<!-- written by the benchmark: end -->"
COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "killed": (
        ("struck", "calls struck"),
        ("struck_between", "of them between payment and record"),
        ("duplicates", "paid twice"),
        ("lost", "payments lost"),
    ),
    "reworded": (
        ("gone_back", "gone back to"),
        ("struck", "of them killed then"),
        ("duplicates", "paid twice"),
        ("uncompensated", "left uncompensated"),
        ("lost", "payments lost"),
        ("twice_at_once", "stood twice at any time"),
        ("refunded", "refunds"),
    ),
    "chatter": (
        ("rolled_back", "rolled back"),
        ("orphan_messages", "orphan messages"),
        ("orphan_payments", "orphan payments"),
        ("duplicates", "paid twice"),
        ("lost_payments", "payments lost"),
        ("lost_messages", "messages lost"),
        ("needless", "steps undone without need"),
    ),
}
TITLES = {
    "killed": "1. killed while paying",
    "reworded": "2. back to before a payment, and on in other words",
    "chatter": "3. one of 20 agents that talk goes back",
}


def share(rate: float) -> str:
    """Return a rate as people write it."""
    return f"{rate * 100:g} %"


def tables(found: dict[str, Any]) -> list[Table]:
    """Return a table an experiment: each cell has one number a rate."""
    rates = " / ".join(share(rate) for rate in found["rates"])
    return [_table(kind, rates, found) for kind in COLUMNS if found["experiments"].get(kind)]


def _table(kind: str, rates: str, found: dict[str, Any]) -> Table:
    title = f"{TITLES[kind]}: {found['trials']} trials, faults at {rates}"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("system", no_wrap=True)
    for _, says in COLUMNS[kind]:
        table.add_column(says, justify="right")
    for name, cells in found["experiments"][kind].items():
        table.add_row(ALL[name].says, *(" / ".join(_cell(each, field) for each in cells) for field, _ in COLUMNS[kind]))
    return table


def _cell(cell: dict[str, Any], field: str) -> str:
    return "failed" if "failed" in cell else f"{cell[field]:,}"


def as_markdown(table: Table) -> str:
    """Return a table for a page."""
    lines = [[str(column.header) for column in table.columns]]
    lines.append(["---" if column.justify == "left" else "---:" for column in table.columns])
    cells = [[str(cell) for cell in column.cells] for column in table.columns]
    lines += [list(row) for row in zip(*cells, strict=True)]
    return "\n".join([f"**{table.title}**", "", *("| " + " | ".join(line) + " |" for line in lines)])


def summary(found: dict[str, Any]) -> str:
    """Return what the tables were measured on."""
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(found["versions"].items()))
    return (
        f"{found['trials']} trials a cell, seed {found['seed']}, {found['minutes']} minutes on {machine['cores']} "
        f"cores ({machine['system']}, Python {machine['python']}; load {found['load'][0]} at the end); {versions}."
    )


def as_page(found: dict[str, Any]) -> str:
    """Return all of it for the page."""
    return "\n\n".join([summary(found), *map(as_markdown, tables(found))])


def write_into(page: Path, text: str) -> None:
    """Put the results into the page, in place of those of an earlier run.

    Raises: ValueError, if the page has no place for them.
    """
    before = page.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(before):
        raise ValueError(f"{page} has no lines {BEGIN} and {END}. Nothing was written.")
    page.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", before), encoding="utf-8")
