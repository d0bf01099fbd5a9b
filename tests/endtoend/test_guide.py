"""The guide: the Python of each page is one program, which prints what the page says; its log commands run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide"
PAGES = sorted(path.name for path in GUIDE.glob("*.md") if path.name != "README.md")
EBBTIDE = Path(sys.executable).with_name("ebbtide")


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", (GUIDE / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_a_program_that_prints_what_it_says(page: str, tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text("\n\n".join(blocks(page, "python")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(blocks(page, "text"))
    assert "DeprecationWarning" not in done.stderr


def test_the_index_names_every_page() -> None:
    index = (GUIDE / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(([\w-]+\.md)\)", index)) == set(PAGES)


def test_the_commands_of_the_audit_page_answer(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text("\n\n".join(blocks("audit.md", "python")), encoding="utf-8")
    subprocess.run([sys.executable, "page.py"], cwd=tmp_path, capture_output=True, timeout=60, check=True)
    lines = re.findall(r"^    \.venv/bin/ebbtide (log .*?)(?:  +#.*)?$", (GUIDE / "audit.md").read_text(), re.MULTILINE)
    assert [line.split()[1] for line in lines] == ["verify", "show", "why", "cone", "follow"]
    for line in lines:
        # The page asks for steps of the demo; this run has others.
        line = line.replace("ledger-2/1/21", "ledger/1/1").replace("risk-1/1/23", "scorer/1/1")
        line = line.replace("follow run", "follow run --from-start --until-idle 0.2")
        done = subprocess.run(
            [EBBTIDE, *shlex.split(line)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, line + done.stderr
        assert done.stdout
