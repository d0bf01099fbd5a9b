"""The page: one HTML file with the run, its drawing and its tables inside; it loads nothing from anywhere.

The parts are `page.html`, `page.css` and the scripts beside this module. What comes from outside (titles,
labels, everything in the export) is escaped here, in one place for HTML and one for the embedded JSON.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import msgspec

from peer.report.model import Run, read_export

SCRIPTS = ("run.js", "cuts.js", "diagram.js", "minimap.js", "tables.js", "app.js")
"""In the order in which they are joined; later ones use earlier ones."""


def write_report(
    export: Path,
    out: Path,
    summary: Mapping[str, object],
    checks: Sequence[tuple[str, bool, str]],
    title: str,
) -> None:
    """Write the space-time page of a run.

    Args:
        export: the folder with `steps.jsonl` and `proposals.jsonl` (docs/export.md).
        out: the HTML file to write; an older one is replaced.
        summary: label -> value, shown in this order.
        checks: (name, passed, detail) of everything that was checked about the run.
        title: the heading.

    Raises: ReportError, and nothing is written, where the export is not as the format says.
    """
    out.write_text(_page(read_export(export), summary, checks, title), encoding="utf-8")


def embedded(model: object) -> str:
    """Return JSON that is safe inside a script element: no `<`, `>` or `&`, whatever the texts say."""
    text = msgspec.json.encode(model).decode()
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _page(run: Run, summary: Mapping[str, object], checks: Sequence[tuple[str, bool, str]], title: str) -> str:
    parts = {
        "title": escape(title),
        "story": escape(run.story()),
        "verdict": _verdict(checks),
        "summary": _summary(summary),
        "checks": _checks(checks),
        "style": _asset("page.css"),
        "model": embedded(run.drawing()),
        "script": "\n".join(_asset(name) for name in SCRIPTS),
    }
    # One pass, so that a placeholder inside the data stays text.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("page.html"))


def _asset(name: str) -> str:
    return files("peer.report").joinpath(name).read_text(encoding="utf-8")


def _verdict(checks: Sequence[tuple[str, bool, str]]) -> str:
    failed = sum(not passed for _, passed, _ in checks)
    if not checks:
        return '<p class="verdict none">Nothing was checked</p>'
    if failed:
        return f'<p class="verdict bad"><b aria-hidden="true">✗</b> {failed} of {len(checks)} checks failed</p>'
    whole = "The check passed" if len(checks) == 1 else f"All {len(checks)} checks passed"
    return f'<p class="verdict good"><b aria-hidden="true">✓</b> {whole}</p>'


def _summary(summary: Mapping[str, object]) -> str:
    rows = (
        f'<tr><th scope="row">{escape(str(label))}</th><td>{escape(_shown(value))}</td></tr>'
        for label, value in summary.items()
    )
    return "\n".join(rows) or "<tr><td>Nothing was summed up.</td></tr>"


def _checks(checks: Sequence[tuple[str, bool, str]]) -> str:
    rows = []
    for name, passed, detail in checks:
        kind, mark = ("good", "✓ pass") if passed else ("bad", "✗ fail")
        cells = f'<th scope="row">{escape(name)}</th><td>{escape(detail)}</td>'
        rows.append(f'<tr class="{kind}"><td><span class="mark">{mark}</span></td>{cells}</tr>')
    return "\n".join(rows) or "<tr><td>Nothing was checked.</td></tr>"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return str(value)
