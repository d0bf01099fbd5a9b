"""The benchmark's tables, for the terminal and for the documentation."""

from typing import Any

from rich.table import Table

from benchmarks.durability.summary import Spread, growth, is_capped, per_step, ratios
from benchmarks.durability.systems import ALL


def speed_table(found: dict[str, Any]) -> list[Table]:
    """Return steps a second of one agent and of many, and what they are of the best peer's."""
    tables: list[Table] = []
    for kind, title in (("one", "durable steps a second, one agent"), ("many", "the same, many agents on one host")):
        runs = found["speeds"][kind]
        table = _table(
            title, "system", "steps a second: median (range)", "times the best peer", "fsyncs a step", "note"
        )
        rates = {name: [run["per_s"] for run in each] for name, each in runs.items()}
        others = {name: values for name, values in rates.items() if ALL[name].is_peer}
        for name, each in runs.items():
            times = ""
            if others and not ALL[name].is_peer:
                best, spread = ratios(rates[name], others)
                times = f"{spread.text(1)} of {ALL[best].says}"
            first = each[0]
            short = min(each, key=lambda run: run["steps"])
            note = _writes(first["about"])
            if is_capped(short, short["wanted"]):
                note += f"; time was over after {short['steps']:,} of {short['wanted']:,}"
            counted = first["syncs_per_step"]
            table.add_row(
                ALL[name].says, Spread.of(rates[name]).text(), times, "" if counted is None else f"{counted:.2f}", note
            )
        tables.append(table)
    return tables


def bytes_table(found: dict[str, Any]) -> Table:
    """Return bytes a step, by the length of the history."""
    volumes = found["volumes"]
    marks = sorted({int(mark) for run in volumes["growing"].values() for mark in run["sizes"]})
    table = _table(
        "bytes on disk a step that adds 200 bytes", "system", *(f"to step {mark:,}" for mark in marks), "last to first",
        "with checkpoints", "200 bytes of 1 MB",
    )  # fmt: skip
    for name, run in volumes["growing"].items():
        cells = [_bytes(run["sizes"].get(str(mark)), mark) for mark in marks]
        often = volumes["checkpointed"].get(name)
        table.add_row(
            ALL[name].says, *cells, f"{growth(run['sizes']):.1f}",
            "" if often is None else _along(often["sizes"], marks), _last(volumes["large"][name]["sizes"]),
        )  # fmt: skip
    return table


def restore_table(found: dict[str, Any]) -> Table:
    """Return how long it takes to see an earlier state, and to come back from the log."""
    table = _table(
        "Ebbtide: back from the log", "", "steps read", "state at that step, ms", "up again, s", "steps a second"
    )
    for row in found["restores"]["one"]:
        look = "not in this release" if row["look_s"] is None else f"{row['look_s'] * 1000:.1f}"
        table.add_row(
            f"one agent, {row['mark']:,} back",
            f"{row['steps']:,}",
            look,
            f"{row['back_s']:.2f}",
            f"{row['per_s']:,.0f}",
        )
    many = found["restores"]["many"]
    table.add_row(
        f"{found['restores']['agents']:,} agents together", f"{many[0]['steps']:,}", "",
        Spread.of([row["back_s"] for row in many]).text(2), f"{Spread.of([row['per_s'] for row in many]).median:,.0f}",
    )  # fmt: skip
    return table


def as_markdown(table: Table) -> str:
    """Return a table for docs/durability-benchmark.md."""
    heads = [str(column.header) for column in table.columns]
    lines = [heads, ["---" if column.justify == "left" else "---:" for column in table.columns]]
    lines += [
        list(row) for row in zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True)
    ]
    return "\n".join([f"**{table.title}**", "", *("| " + " | ".join(line) + " |" for line in lines)])


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    for at, column in enumerate(columns):
        table.add_column(column, justify="left" if at == 0 or column == "note" else "right", no_wrap=True)
    return table


def _writes(about: dict[str, Any]) -> str:
    return f"{about['journal_mode']}, {about['synchronous']}"


def _along(sizes: dict[str, dict[str, int]], marks: list[int]) -> str:
    """Return bytes a step at each mark but the first, which few checkpoints precede."""
    return " / ".join(_bytes(sizes.get(str(mark)), mark) for mark in marks[1:] if str(mark) in sizes)


def _bytes(size: dict[str, int] | None, mark: int) -> str:
    if size is None:
        return "-"
    reached = f" (to step {size['steps']:,})" if is_capped(size, mark) else ""
    return f"{per_step(size):,.0f}{reached}"


def _last(sizes: dict[str, dict[str, int]]) -> str:
    mark = max(sizes, key=int)
    return _bytes(sizes[mark], int(mark))
