"""The last release, to run beside this one: `python -m tests.last_release COMMIT` puts its wheel into the repository.

COMMIT is what was released, a tag as a rule. Of the wheel only the runtime is kept (`ebbtide.py`, `peer`, `protocol`):
the simulator and the benchmarks would double it, and no host needs them.
"""

import io
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "data" / "last_release"
BYTES_MAX = 1_500_000
"""It is part of every clone, and another one comes with each release."""


def wheel() -> Path:
    """Return the wheel of the last release."""
    (found,) = FOLDER.glob("ebbtide-*.whl")
    return found


def unpacked(folder: Path) -> Path:
    """Unpack the last release: what comes first on PYTHONPATH in a process that is to be of it."""
    with ZipFile(wheel()) as packed:
        packed.extractall(folder)
    return folder


def build(commit: str) -> Path:
    """Build the wheel of a commit, and put it in the place of the one that is there.

    Raises: CalledProcessError, if there is no such commit, or it can't be built; ValueError, if it is too large. What
        is there stays then.
    """
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "source"
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(source, filter="data")
        project = source / "pyproject.toml"
        text = project.read_text(encoding="utf-8")
        project.write_text(re.sub(r"^packages = .*", 'packages = ["ebbtide.py", "peer", "protocol"]', text, flags=re.M))
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", place, source], check=True)
        (made,) = Path(place).glob("ebbtide-*.whl")
        data = made.read_bytes()
        if len(data) > BYTES_MAX:
            raise ValueError(f"{made.name} has {len(data):,} bytes, more than {BYTES_MAX:,}. Nothing was changed.")
        for old in FOLDER.glob("ebbtide-*.whl"):
            old.unlink()
        (FOLDER / made.name).write_bytes(data)
        return FOLDER / made.name


if __name__ == "__main__":
    print(f"{build(sys.argv[1])}: say in {FOLDER / 'README.md'} of which commit it is")
