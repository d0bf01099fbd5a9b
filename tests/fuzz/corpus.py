"""The inputs that are kept, and how one is replayed: `python -m tests.fuzz.corpus TARGET FILE`, without a fuzzer."""

import sys
from pathlib import Path

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]


def kept(name: str) -> Path:
    """Return the folder of a target's inputs."""
    return ROOT / "tests" / "fuzz" / "corpus" / name


def replay_line(name: str, file: Path) -> str:
    """Return the command that replays an input."""
    where = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
    return f".venv/bin/python -m tests.fuzz.corpus {name} {where}"


def main() -> None:
    """Replay the input that the command line names: what is wrong with it is raised."""
    name, file = sys.argv[1:]
    TARGETS[name].run(Path(file).read_bytes())
    print(f"{file}: nothing is wrong with it")


if __name__ == "__main__":
    main()
