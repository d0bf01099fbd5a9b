"""The inputs that are kept, and how one is replayed: `python -m tests.fuzz.corpus TARGET FILE`, without a fuzzer."""

import resource
import sys
from pathlib import Path
from time import process_time

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
INPUT_S, GROWTH_MB = 5.0, 1024
"""What takes more time of the processor than the one, or more memory than the other, is a finding."""


class TooMuch(AssertionError):
    """An input takes more time, or more memory, than anything that is sent or stored should."""


def kept(name: str) -> Path:
    """Return the folder of a target's inputs."""
    return ROOT / "tests" / "fuzz" / "corpus" / name


def replay_line(name: str, file: Path) -> str:
    """Return the command that replays an input."""
    where = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
    return f".venv/bin/python -m tests.fuzz.corpus {name} {where}"


def replay(name: str, data: bytes) -> None:
    """Run a target on an input. Raises: whatever is wrong with it; TooMuch."""
    begun, before = process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    TARGETS[name].run(data)
    seconds = process_time() - begun
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    if seconds > INPUT_S or grown > GROWTH_MB:
        raise TooMuch(
            f"{len(data)} bytes take {seconds:.1f} s and {grown} MB; {INPUT_S:g} s and {GROWTH_MB} MB are much"
        )


def main() -> None:
    """Replay the input that the command line names: what is wrong with it is raised."""
    name, file = sys.argv[1:]
    replay(name, Path(file).read_bytes())
    print(f"{file}: nothing is wrong with it")


if __name__ == "__main__":
    main()
