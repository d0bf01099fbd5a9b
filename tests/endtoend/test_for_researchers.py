"""A researcher's first steps: the README's lines and the notebook run, and show what they say."""

import contextlib
import io
import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "rollback_cost.ipynb"


def test_the_first_lines_of_the_readme_print_the_costs():
    page = (ROOT / "README.md").read_text(encoding="utf-8").split("## For researchers", 1)[1]
    lines = re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1)
    assert len([line for line in lines.splitlines() if line.strip()]) <= 20
    names, out = {"__name__": "first_lines"}, io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(lines, "README.md", "exec"), names)
    assert len(names["rows"]) == 4 * 8
    table = out.getvalue().splitlines()
    assert [line.split()[0] for line in table[-4:]] == ["1", "2", "3", "4"]
    undone = [float(line.split()[2]) for line in table[-4:]]
    assert undone == sorted(undone)


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
