"""The house stays tidy: rules have numbers, places and tests; files stay small; the protocol stays pure."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RULE = re.compile(r"\b(?:ST|CL|TI|RB|FR|EF|SH|MB|CP)-\d+\b")
IMPURE = {"time", "random", "asyncio", "socket", "os", "logging", "threading", "secrets", "datetime", "uuid"}
LINES_MAX, FUNCTION_LINES_MAX = 400, 80


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def rules() -> list[str]:
    return re.findall(
        r"^\*\*([A-Z]{2}-\d+)\.", (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8"), re.MULTILINE
    )


def test_every_rule_has_a_place_in_the_code_and_a_test_by_its_name() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in files("protocol"))
    # Whom to believe is not for machines to say: they know no keys.
    trust = "".join(path.read_text(encoding="utf-8") for path in files("peer"))
    tests = "".join(path.read_text(encoding="utf-8") for path in files("tests/rules"))
    assert len(rules()) == len(set(rules())) > 30
    for rule in rules():
        there = trust if rule.startswith("TR-") else code
        assert rule in there or _spanned(rule, there), f"{rule} has no place in the code"
        assert f"def test_{rule.lower().replace('-', '')}_" in tests, f"{rule} has no test in tests/rules/"


def _spanned(rule: str, code: str) -> bool:
    family, number = rule.split("-")
    spans = re.findall(rf"{family}-(\d+) to {family}-(\d+)", code)
    return any(int(first) <= int(number) <= int(last) for first, last in spans)


def test_every_rule_that_the_code_cites_is_written_down() -> None:
    cited = {
        rule for path in files("protocol", "peer", "sims") for rule in RULE.findall(path.read_text(encoding="utf-8"))
    }
    assert cited <= set(rules())


def test_every_test_that_the_rules_name_is_there() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in files("tests"))
    for page in ("protocol.md", "bugs.md"):
        for name in re.findall(r"`(test_\w+)`", (ROOT / "docs" / page).read_text(encoding="utf-8")):
            assert f"def {name}(" in tests, f"docs/{page} names {name}"


@pytest.mark.parametrize("path", files("protocol", "peer", "sims", "benchmarks", "tests", "examples"), ids=str)
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_MAX
    for function in functions(path):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= FUNCTION_LINES_MAX, f"{function.name} has {length} lines"


@pytest.mark.parametrize("path", files("protocol"), ids=str)
def test_the_protocol_is_pure(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not {name.name.split(".")[0] for name in node.names} & IMPURE
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in IMPURE
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("hash", "id", "print", "open")
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await)


@pytest.mark.parametrize("path", files("protocol", "peer"), ids=str)
def test_what_is_public_is_explained(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert path.name == "__init__.py" or ast.get_docstring(tree), "the module has no docstring"
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"class {node.name} has no docstring"
            for part in node.body:
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and not part.name.startswith("_"):
                    assert ast.get_docstring(part), f"{node.name}.{part.name} has no docstring"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_nothing_is_left_half_done_or_tied_to_one_machine() -> None:
    marks = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "/ro" + "ot/", "/wo" + "rk/", "import pic" + "kle")))
    for path in tracked():
        if path.suffix in (".py", ".md", ".toml", ".yaml", ".js", ".css", ".html") or path.name == "Makefile":
            found = marks.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path}: {found and found.group()}"


def test_the_readme_shows_the_example_that_the_tests_run() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert shown is not None
    assert shown.group(1) == (ROOT / "examples" / "two_agents.py").read_text(encoding="utf-8")


def test_every_runtime_dependency_is_explained() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for name in (re.split(r"[\[>=<]", text)[0] for text in wanted):
        assert name in page, f"docs/dependencies.md does not say why {name} is here"
