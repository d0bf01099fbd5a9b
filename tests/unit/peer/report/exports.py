"""Exports written by hand, and the page made of them."""

import html.parser
import json
from pathlib import Path
from typing import Any

from peer.report import write_report

START = 1_760_000_000_000_000


def proposal(name: str, roots: list[str], **changes: Any) -> dict[str, Any]:
    line = {
        "id": name,
        "roots": roots,
        "mode": "retry",
        "decision": "commit",
        "electors": ["risk-2"],
        "rejects": [],
    }
    line |= {
        "messages": 214,
        "bytes": 48_112,
        "began": START,
        "decided": START + 9000,
        "reason": "scores drifted",
    }
    return line | changes


def step(name: str, at: int, producer: str | None = None, **changes: Any) -> dict[str, Any]:
    given = {"id": f"{producer}#0" if producer else f"ext:in#{at}", "producer": producer, "lineage": f"L{at}"}
    line = {"step": name, "input": given, "reads": [], "writes": [], "sends": [], "calls": [], "clock": {}}
    return line | {"time": START + at, "retracted_by": None} | changes


def write_lines(folder: Path, steps: list[Any], proposals: list[Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("steps", steps), ("proposals", proposals)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


class Loads(html.parser.HTMLParser):
    """Collects what a browser would fetch, and the scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.scripts: list[str] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.fetched += [tag] if tag in ("link", "img", "iframe", "object", "embed", "base") else []
        self.inside = tag == "script"
        self.scripts += [""] if self.inside else []

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "script"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts[-1] += data


def page_of(export: Path, out: Path, **changes: Any) -> tuple[str, Loads]:
    given = {
        "summary": {"Payments": 400},
        "checks": [("Books balance", True, "to the cent")],
        "title": "A run",
    }
    write_report(export, out, **(given | changes))
    page, loads = out.read_text(encoding="utf-8"), Loads()
    loads.feed(page)
    return page, loads
