"""A researcher's first steps: the page's lines and the notebook run, and show what they say."""

import contextlib
import io
import re
import tomllib
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "rollback_cost.ipynb"


def test_the_first_lines_of_the_page_print_the_costs():
    lines = shown("research.md", 0)
    assert len([line for line in lines.splitlines() if line.strip()]) <= 20
    names, out = {"__name__": "first_lines"}, io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(lines, "research.md", "exec"), names)
    assert len(names["rows"]) == 4 * 8
    table = out.getvalue().splitlines()
    assert [line.split()[0] for line in table[-4:]] == ["1", "2", "3", "4"]
    undone = [float(line.split()[2]) for line in table[-4:]]
    assert undone == sorted(undone)


def shown(page: str, number: int) -> str:
    """Return a page's Python block, by its number."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    return blocks[number]


def test_the_simulators_page_shows_a_world_that_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(shown("simulator.md", 0), "simulator.md", "exec"), {"__name__": "page"})
    said = capsys.readouterr()
    assert "proposal" in said.out
    assert "Traceback" not in said.err
    written = {path.name for path in (tmp_path / "out" / "run").iterdir()}
    assert {"steps.jsonl", "shiviz.txt", "trace.json"} <= written


def test_the_policies_page_shows_a_policy_that_paces(capsys):
    exec(compile(shown("policies.md", 1), "policies.md", "exec"), {"__name__": "page"})
    assert int(capsys.readouterr().out.rsplit(maxsplit=1)[1]) > 3


def test_what_is_to_be_cited_is_what_is_released():
    cited = (ROOT / "docs" / "CITATION.cff").read_text(encoding="utf-8")
    released = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"version: {released['version']}\n" in cited
    assert f"license: {released['license']}\n" in cited


def test_the_notebook_goes_from_nothing_to_the_plot(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "error"]
    text = "".join(output.get("text", "") for output in outputs)
    assert "undone: a0/1/" in text
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert notebook.cells[-2].outputs[-1].data["image/png"]


def test_the_notebook_is_kept_without_its_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
