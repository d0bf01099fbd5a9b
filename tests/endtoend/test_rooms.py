"""The contracts of pyproject.toml hold, and an import that closes a circle breaks them, by name."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).parent / "lint-imports"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINT), "--no-cache", "--config", str(folder / "pyproject.toml")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("protocol", "peer", "sims", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "named"),
    [
        ("peer/values/key_text.py", "import peer.cluster.cluster", "peer.values.key_text -> peer.cluster.cluster"),
        ("protocol/hosts/homes.py", "import protocol.agent.cone", "protocol.hosts.homes -> protocol.agent.cone"),
        ("sims/virtual/clock.py", "import sims.engine.box", "sims.virtual.clock -> sims.engine.box"),
        ("peer/store/frame.py", "import peer.store.segments", "No circle"),
    ],
)
def test_an_import_against_the_order_of_the_rooms_breaks_the_build(
    copy: Path, file: str, line: str, named: str
) -> None:
    path = copy / file
    text = path.read_text(encoding="utf-8")
    path.write_text(text + f"\n{line}  # noqa\n", encoding="utf-8")
    found = lint(copy)
    assert found.returncode != 0
    assert "BROKEN" in found.stdout
    assert named.lower() in found.stdout.lower()


def test_the_contracts_are_kept(copy: Path) -> None:
    found = lint(copy)
    assert found.returncode == 0, found.stdout
    assert "0 broken" in found.stdout
