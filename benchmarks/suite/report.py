"""The page of the benchmarks: the tables of the last runs, between markers, and the plots beside it."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.suite.form import Benchmark, Table, cells
from peer.errors import CallerError


def load(benchmark: Benchmark, out: Path) -> dict[str, Any] | None:
    """Return what the last run of a benchmark found; None, if there was none.

    Raises: CallerError, for a file that no run has written.
    """
    file = out / f"{benchmark.name}.json"
    if not file.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        _run(found)
        dict(found["rows"])
        list(found["failed"])
        return found
    except (ValueError, KeyError, TypeError) as error:
        raise CallerError(f"{file} is not what 'ebbtide bench run' writes ({error}). Nothing was written.") from error


def write(benchmarks: Mapping[str, Benchmark], out: Path, page: Path) -> tuple[list[str], list[str]]:
    """Put the tables of the last runs into the page, in place of older ones, and copy the plots beside it.

    Returns: whose tables were written, and who has no run yet, whose place stays as it is.

    Raises: CallerError, if there is no run at all, or the page has no place for one; nothing is written then.
    """
    runs = {name: load(benchmark, out) for name, benchmark in benchmarks.items()}
    known = {name: found for name, found in runs.items() if found is not None}
    if not known:
        raise CallerError(f"no results in {str(out)!r}. Nothing was written. Run 'ebbtide bench all --quick' first.")
    if not page.exists():
        raise CallerError(f"no page {str(page)!r}. Nothing was written. Name one: --page FILE.")
    text = page.read_text(encoding="utf-8")
    pictures = page.parent / page.stem
    for name, found in known.items():
        picture = (out / f"{name}.svg").exists()
        shown = as_text(benchmarks[name], found, f"{page.stem}/{name}.svg" if picture else "")
        text = _put(text, name, shown, page)
    page.write_text(text, encoding="utf-8")
    for name in known:
        if (out / f"{name}.svg").exists():
            pictures.mkdir(exist_ok=True)
            shutil.copyfile(out / f"{name}.svg", pictures / f"{name}.svg")
    return list(known), [name for name in benchmarks if name not in known]


def as_text(benchmark: Benchmark, found: dict[str, Any], picture: str = "") -> str:
    """Return a run's tables for the page."""
    parts = [f"*{_run(found)}*"]
    if picture:
        parts.append(f"![{benchmark.question}]({picture})")
    for name, table in benchmark.tables.items():
        rows = found["rows"].get(name, [])
        if rows:
            parts += [f"**{table.title}.** {table.says}", as_markdown(table, rows)]
    parts += [f"Failed: {text}" for text in found["failed"]]
    return "\n\n".join(parts)


def as_markdown(table: Table, rows: list[dict[str, Any]]) -> str:
    """Return one table."""
    left = [any(isinstance(row.get(key), str) for row in rows) for key in table.columns]
    lines = [
        list(table.columns.values()),
        ["---" if is_left else "---:" for is_left in left],
        *cells(table, rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _run(found: dict[str, Any]) -> str:
    machine, load_now = found["machine"], found["load"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"`{found['command']}`: {found['seconds']:,.0f} s on {machine['cores']} cores ({machine['system']}, Python"
        f" {machine['python']}), load {load_now['before'][0]} before and {load_now['after'][0]} after; {versions}."
        f"{_shared(machine['cores'], load_now['before'][0])}"
    )


def _shared(cores: int, load_before: float) -> str:
    """Return a warning, if others were at work on the machine when the run began."""
    if load_before < cores / 4:
        return ""
    return " Others were at work on this machine meanwhile: only ratios within the run mean much."


def _put(text: str, name: str, shown: str, page: Path) -> str:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise CallerError(f"{page} has no lines {begin} and {end}. Nothing was written.")
    return pattern.sub(lambda _: f"{begin}\n{shown}\n{end}", text)
