"""What the pages say of places in the code is true: files are there, and the names in them."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = "protocol|peer|sims|benchmarks|tests|docs|examples"
PLACE = re.compile(rf"`((?:{FOLDERS})/[\w./-]*|ebbtide\.py|pyproject\.toml)(?::([\w.]+))?`")


@cache
def names_in(file: str) -> frozenset[str]:
    """Return what a module defines: classes, functions and constants by name, and `Class.member`."""
    found: set[str] = set()

    def look(body: list[ast.stmt], inside: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(inside + node.name)
                if isinstance(node, ast.ClassDef):
                    look(node.body, f"{inside}{node.name}.")
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                if isinstance(target, ast.Name):
                    found.add(inside + target.id)

    look(ast.parse((ROOT / file).read_text(encoding="utf-8")).body, "")
    return frozenset(found)


def places(page: str) -> Iterator[tuple[str, str]]:
    """Yield the places that a page names: a path, and a name in that file or an empty text."""
    yield from PLACE.findall((ROOT / page).read_text(encoding="utf-8"))


def is_there(path: str, name: str) -> bool:
    return (ROOT / path).exists() and (not name or name in names_in(path))


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/how-it-works.md", "CONTRIBUTING.md", "tests/README.md"])
def test_every_place_that_a_page_names_is_there(page: str) -> None:
    wrong = [f"{path}:{name}" for path, name in places(page) if not is_there(path, name)]
    assert wrong == []


def test_the_architecture_shows_four_journeys_and_twelve_changes_with_place_and_test() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    journeys = text.split("## Four journeys\n")[1].split("## You want to change")[0].split("\n### ")[1:]
    assert len(journeys) == 4
    for journey in journeys:
        assert sum(bool(name) for _, name in PLACE.findall(journey)) >= 8
    rows = [line for line in text.split("## You want to change")[1].splitlines() if line.startswith("| ")][1:]
    rows = [row for row in rows if not row.startswith("| ---")]
    assert len(rows) == 12
    for row in rows:
        _, where, test = (cell.strip() for cell in row.strip("|").split(" | "))
        assert PLACE.search(where), row
        assert any(path.startswith("tests/") for path, _ in PLACE.findall(test)), row


def test_every_room_is_on_the_page() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    for layer in ("protocol", "peer", "sims"):
        for room in sorted((ROOT / layer).iterdir()):
            if room.is_dir() and (room / "__init__.py").exists() and room.name != "cli":
                assert f"`{layer}/{room.name}/`" in text, f"{layer}/{room.name}/ is on no page"


def test_every_place_of_a_rule_is_there() -> None:
    """`Code:` names files, each with names in it in parentheses: whole, or of the class named before."""
    text = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    count = 0
    for code in re.findall(r"Code:(.*?)(?=Tests?:|Source:|\n\n)", text, re.DOTALL):
        for path, names in re.findall(r"`([\w/]+\.py)`(?:\s*\(([^)]*)\))?", code):
            count += 1
            assert (ROOT / path).is_file(), path
            for name in re.findall(r"`([\w.]+)`", names):
                known = names_in(path)
                assert name in known or any(each.endswith(f".{name}") for each in known), f"{path} has no {name}"
    assert count > 80
