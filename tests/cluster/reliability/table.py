"""The table of docs/reliability.md: written between two marks; a row that is not played now stays as it stood there."""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.cluster.reliability.measure import Measured

BEGIN, END = "<!-- written by the command: begin -->", "<!-- written by the command: end -->"
HEAD = """\
| fault | held | back in | others meanwhile | others after | longest pause of another | acknowledged |
| --- | --- | ---: | ---: | ---: | ---: | ---: |"""


class Played(NamedTuple):
    """What came of a row."""

    amiss: tuple[str, ...]
    measured: Measured | None
    note: str = ""


def machine_line() -> str:
    """Return what the figures were measured on."""
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores."


def line_of(title: str, played: Played | None) -> str:
    """Return a row of the table."""
    if played is None:
        return f"| {title} | not played | | | | | |"
    held = f"**did not hold**: {_cell('; '.join(played.amiss))}" if played.amiss else "yes"
    if played.note:
        held += f". {_cell(played.note)}"
    if played.measured is None:
        return f"| {title} | {held} | | | | | |"
    seen = played.measured
    figures = [_seconds(seen.recovery_s), _share(seen.during), _share(seen.after), _seconds(seen.pause_s)]
    return f"| {title} | {held} | {' | '.join(figures)} | {seen.acknowledged:,} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").replace("<", "(").replace(">", ")").split())


def _seconds(value: float | None) -> str:
    return "not" if value is None else f"{value:.1f} s"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def table(titles: Mapping[str, str], played: Mapping[str, Played], stood: Mapping[str, str]) -> str:
    """Return the table: a row for each title, in order.

    Args:
        titles: by name.
        played: what was played now, by name.
        stood: by title, the rows as they stood.
    """
    rows = [
        line_of(title, played.get(name)) if name in played or title not in stood else stood[title]
        for name, title in titles.items()
    ]
    return "\n".join([machine_line(), "", HEAD, *rows])


def rows_of(page: Path) -> dict[str, str]:
    """Return the rows that a page has between the marks, by title."""
    found = page.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in found.splitlines() if line.startswith("| ")]
    return {line.split("|")[1].strip(): line for line in lines}


def write(page: Path, text: str) -> None:
    """Put a text between the marks of a page. Raises: ValueError, if they are not there."""
    whole = page.read_text(encoding="utf-8")
    if BEGIN not in whole or END not in whole:
        raise ValueError(f"{page.name} has no place for the table: the marks {BEGIN!r} and {END!r}")
    before, _, rest = whole.partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def keep(file: Path, played: Mapping[str, Played]) -> None:
    """Write down what was played."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({name: each._asdict() for name, each in played.items()}, indent=1))
