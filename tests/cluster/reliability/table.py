"""The table of docs/reliability.md: written between two marks, whole each time; rows that were not played say so."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
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


def table(titles: Mapping[str, str], played: Mapping[str, Played]) -> str:
    """Return the table: a row for each title, in order."""
    rows = [line_of(title, played.get(name)) for name, title in titles.items()]
    return "\n".join([machine_line(), "", HEAD, *rows])


def write(page: Path, text: str) -> None:
    """Put a text between the marks of a page. Raises: ValueError, if they are not there."""
    whole = page.read_text(encoding="utf-8")
    if BEGIN not in whole or END not in whole:
        raise ValueError(f"{page.name} has no place for the table: the marks {BEGIN!r} and {END!r}")
    before, _, rest = whole.partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def kept(file: Path, names: Sequence[str]) -> dict[str, Played]:
    """Return what earlier calls of the command have played, so that one row can be played again."""
    if not file.exists():
        return {}
    found = {name: each for name, each in json.loads(file.read_text()).items() if name in names}
    return {
        name: Played(tuple(each["amiss"]), Measured(*each["measured"]) if each["measured"] else None, each["note"])
        for name, each in found.items()
    }


def keep(file: Path, played: Mapping[str, Played]) -> None:
    """Write down what was played."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({name: each._asdict() for name, each in played.items()}, indent=1))
