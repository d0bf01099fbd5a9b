"""What a benchmark is: a question, tables with what they are compared with, and jobs that each measure some rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

Row = dict[str, Any]
"""A line of a table, by column; what a column lacks is left out, and shown as nothing."""


@dataclass(frozen=True)
class Setting:
    """How much is measured, and where."""

    size: str = "full"
    """`tiny` (for tests), `quick` or `full`."""
    backend: str = "local"
    """What real clusters run on: `local` (all in one process) or `ray`. Worlds in virtual time need neither."""
    address: str = ""
    """Of a Ray that runs; empty: the benchmark starts one of its own."""

    def of(self, sizes: Mapping[str, T]) -> T:
        """Return what belongs to this size."""
        return sizes[self.size]


@dataclass(frozen=True)
class Plot:
    """Curves of one table."""

    x: str
    ys: tuple[str, ...]
    by: str = ""
    """A column of which each value is a curve of its own."""
    logs: str = ""
    """Axes with logarithms: `x`, `y` or `xy`."""


@dataclass(frozen=True)
class Table:
    """One table of a benchmark, before it is measured."""

    title: str
    columns: Mapping[str, str]
    """By key in the rows: the heading."""
    says: str
    """How to read it: what was done, and what it is compared with."""
    plot: Plot | None = None


@dataclass(frozen=True)
class Job:
    """One measurement, which takes seconds; the progress bar moves on after each."""

    about: str
    table: str
    run: Callable[[], list[Row]]


@dataclass(frozen=True)
class Benchmark:
    """One question, and how it is answered."""

    name: str
    question: str
    beside: str
    """What ours is compared with, in the same run."""
    tables: Mapping[str, Table]
    plan: Callable[[Setting], list[Job]] = field(repr=False)


def ratio(ours: float, others: float) -> float | None:
    """Return ours over the other's; None where that says nothing."""
    return ours / others if others else None


def shown(value: Any) -> str:
    """Return a cell as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value == int(value) or abs(value) >= 100:
            return f"{value:,.0f}"
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def cells(table: Table, rows: list[Row]) -> list[list[str]]:
    """Return the lines of a table, without its head."""
    return [[shown(row.get(key)) for key in table.columns] for row in rows]
