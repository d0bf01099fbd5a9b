"""The pages: links lead somewhere, examples say how they are run, and users meet the words of the glossary."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
OLD_WORDS = re.compile(r"\b(buddy|buddies|heirs?|electors?)\b", re.IGNORECASE)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
README_LINES_MAX = 146


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    """Return what GitHub makes of a page's headings."""
    heads = re.findall(r"^#+ (.*)$", text(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL)):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(found), f"{page.name} links to {target}"


def test_the_readme_stays_short_and_says_what_does_not_work() -> None:
    readme = text(ROOT / "README.md")
    assert len(readme.splitlines()) <= README_LINES_MAX
    status = readme.split("## Status\n", 1)[1].split("\n## ", 1)[0]
    assert "(docs/status.md)" in status
    assert "does not yet" in status


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_use_the_words_of_the_glossary(page: Path) -> None:
    if page.name == "glossary.md":
        return
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text(page), flags=re.DOTALL).replace("the buddy system after", "")
    assert OLD_WORDS.findall(prose) == []


def spoken(path: Path) -> Iterator[str]:
    """Return the texts of a module that are sentences, docstrings left out."""
    tree = ast.parse(text(path))
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield from [node.value] if " " in node.value.strip() else []


@pytest.mark.parametrize("folder", ["peer", "protocol", "sims", "benchmarks"])
def test_errors_notices_and_help_use_the_words_of_the_glossary(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        for said in spoken(path):
            assert not OLD_WORDS.search(said) or said.startswith("buddies=... is called"), f"{path}: {said}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_says_how_it_is_run_and_imports_what_users_import(path: Path) -> None:
    tree = ast.parse(text(path))
    assert f"`.venv/bin/python examples/{path.name}" in (ast.get_docstring(tree) or "")
    taken = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "peer" not in taken
