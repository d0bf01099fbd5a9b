"""The fault matrix as tables: for the terminal, and for docs/effects.md, which the command itself writes them into."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from sims.studies.matrix.cases import Case
from sims.studies.matrix.judging import COUNTS, Verdict

BEGIN, END = "<!-- written by the command: begin -->", "<!-- written by the command: end -->"
HEADS = {
    "twice": "twice", "lost": "lost", "uncompensated": "uncompensated", "orphans": "orphans", "stuck": "stuck",
    "broken": "broken", "doubts": "in doubt", "left": "of these left",
}  # fmt: skip
TITLES = {
    "calls": "Calls inside steps: paid, undone, paid again",
    "requests": "Letters that nobody can undo: let go when settled, or released by a person",
    "approvals": "People who approve, reject and answer",
    "late_words": "Words that are late, or of a step that is undone",
    "overseen": "An overseer's word on a rollback",
}
GROUPS = {"crash_while_asked": "overseen", "late_overseer": "overseen"}
"""Flows that stand in another's table."""


@dataclass
class Row:
    """What has become of a row's runs."""

    case: Case
    runs: int = 0
    struck: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    failures: list[str] = field(default_factory=list[str])

    def take(self, seed: int, verdict: Verdict) -> None:
        """Count a run."""
        self.runs += 1
        self.struck += verdict.struck
        for name in COUNTS:
            self.counts[name] += int(getattr(verdict, name))
        wrong = self._wrong(verdict)
        if wrong:
            self.failures.append(f"seed {seed}: {wrong}{verdict.why and f' ({verdict.why})'}")

    def _wrong(self, verdict: Verdict) -> str:
        """Return what must not be, of a run; in doubt may be what nobody can know."""
        found = [name for name in COUNTS if name not in ("doubts", "left") and getattr(verdict, name)]
        if verdict.doubts and not self.case.may_doubt:
            found.append("in doubt, though the tool can tell")
        if not verdict.struck:
            found.append("its point was not reached")
        return ", ".join(found)

    def cells(self) -> list[str]:
        """Return the row as texts."""
        struck = str(self.runs) if self.struck == self.runs else f"{self.struck} of {self.runs}"
        return [self.case.killed, self.case.point, "yes" if self.case.has_check else "no", struck, *_figures(self)]


def _figures(row: Row) -> list[str]:
    return [str(row.counts[name]) for name in HEADS]


def grouped(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the rows by table."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(GROUPS.get(row.case.flow, row.case.flow), []).append(row)
    return found


def head() -> list[str]:
    """Return the names of the columns."""
    return ["killed", "where", "check", "runs", *HEADS.values()]


def total(rows: list[Row]) -> list[str]:
    """Return the sum of rows as texts, the count of runs first."""
    return [str(sum(row.runs for row in rows)), *(str(sum(row.counts[name] for row in rows)) for name in HEADS)]


def summary(rows: list[Row]) -> str:
    """Return the bottom line."""
    sums = {name: sum(row.counts[name] for row in rows) for name in COUNTS}
    asked = sum(row.counts["doubts"] for row in rows if not row.case.may_doubt)
    missed = sum(row.runs - row.struck for row in rows)
    return (
        f"{len(rows)} rows, {sum(row.runs for row in rows):,} runs ({missed} did not reach their point):"
        f" {sums['twice']} effects done twice, {sums['lost']} lost, {sums['uncompensated']} left uncompensated,"
        f" {sums['orphans']} orphans, {sums['stuck']} stuck, {sums['broken']} broken otherwise."
        f" In doubt: {sums['doubts']}, {asked} of them where the tool could tell;"
        f" {sums['left']} of them stand after a rollback, for a person to settle."
    )


def table(name: str, rows: list[Row]) -> Table:
    """Return one for the terminal."""
    made = Table(title=TITLES[name], title_justify="left", box=None)
    for number, heading in enumerate(head()):
        made.add_column(heading, justify="left" if number < 3 else "right")
    for row in rows:
        made.add_row(*row.cells(), style="red" if row.failures else None)
    return made


def markdown(rows: list[Row], command: str) -> str:
    """Return the tables as Markdown, with the command that has written them."""
    lines = [f"`{command}`", "", f"**{summary(rows)}**", ""]
    for name, some in grouped(rows).items():
        lines += [f"### {TITLES[name]}", "", f"| {' | '.join(head())} |", f"|{' --- |' * 3}{' ---: |' * 9}"]
        lines += [f"| {' | '.join(row.cells())} |" for row in some]
        lines += [f"| all | | | {' | '.join(total(some))} |", ""]
    failures = [f"- {row.case.name}, {text}" for row in rows for text in row.failures]
    return "\n".join([*lines, *(["Seeds that fail:", "", *failures, ""] if failures else [])])


def write(page: Path, rows: list[Row], command: str) -> None:
    """Put the tables in the place of those of a page.

    Raises: ValueError, if it has no place for them.
    """
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page} has no lines {BEGIN} and {END}. Nothing was written.")
    between = f"{BEGIN}\n{markdown(rows, command)}{END}"
    put = re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: between, text, flags=re.DOTALL)
    page.write_text(put, encoding="utf-8")
