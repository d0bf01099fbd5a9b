"""Fuzzes each target for its share of the time: `make fuzz`. See `--help`."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.corpus import ROOT, kept, replay_line
from tests.fuzz.targets import TARGETS

OUT = ROOT / "out" / "fuzz"
INPUT_S, MEMORY_MB = 5, 1800
"""What is longer than the one, or grows beyond the other (some 500 MB are our own code), is a finding."""
LEAST_S = 10
GRACE_S = 60
"""Our code is imported, and the corpus run, before the time counts."""
HELP = f"""\
Feeds each target inputs that reach more and more of our code, and says what they have found.

  make fuzz                                  five minutes, all targets
  make fuzz ARGS="--minutes 60"              an hour
  make fuzz ARGS="--only host,wire"          some targets; --list says what each is
  make fuzz ARGS="--merge"                   keep the inputs that reach most in tests/fuzz/corpus, few and small

A finding is an exception that its target does not allow, an input that takes more than {INPUT_S} s, or one that needs
more than {MEMORY_MB} MB in all. Each is written to out/fuzz/found, with the command that replays it (no fuzzer needed),
and the run ends with exit code 1. Fix the kind, not the case; put the input into tests/fuzz/corpus/TARGET under a name
that says what it was; add a row to docs/bugs.md. What was reached is kept in out/fuzz/corpus: the next run goes on.
"""
_RUNS = re.compile(r"^#(\d+)\b.*?cov: (\d+)", re.MULTILINE)
_FOUND = re.compile(r"^FOUND (.*)\t(.*)$", re.MULTILINE)
_KILLED = re.compile(r"Test unit written to (\S+)")


@dataclass
class Played:
    """What has come of a target."""

    name: str
    runs: int = 0
    seconds: float = 0.0
    reached: int = 0
    found: dict[str, Path] = field(default_factory=dict)
    """By what is wrong, the input."""


def asked(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line says. Exits with 2 for a target that there is not."""
    parser = argparse.ArgumentParser(
        "make fuzz",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage='make fuzz ARGS="..."',
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="for all targets together (default: 5)")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--merge", action="store_true", help="make the kept corpus anew, of all that was reached")
    parser.add_argument("--list", action="store_true", help="say what the targets are")
    found = parser.parse_args(arguments)
    found.only = [name for name in found.only.split(",") if name] or list(TARGETS)
    if unknown := [name for name in found.only if name not in TARGETS]:
        parser.error(f"no target is called {unknown[0]!r}; there are {', '.join(TARGETS)}")
    return found


def _prepared(name: str) -> tuple[Path, Path]:
    """Return where a target's inputs and findings go, with its seeds in place."""
    inputs, found = OUT / "corpus" / name, OUT / "found"
    for folder in (inputs, found):
        folder.mkdir(parents=True, exist_ok=True)
    for at, seed in enumerate(TARGETS[name].seeds()):
        (inputs / f"seed-{at}").write_bytes(seed)
    return inputs, found


def _run(name: str, seconds: float, played: Played) -> None:
    """Run a target once: for so long, or until something kills the process."""
    inputs, found = _prepared(name)
    log = OUT / f"{name}.log"
    options = [
        f"-max_total_time={int(seconds)}", f"-timeout={INPUT_S}", f"-rss_limit_mb={MEMORY_MB}", "-print_final_stats=1",
        f"-max_len={TARGETS[name].bytes_max}", f"-artifact_prefix={found}/{name}-", "-len_control=0", "-reload=0",
    ]  # fmt: skip
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(found), *options, str(inputs), str(kept(name))]
    begun = time.monotonic()
    with log.open("wb") as out:
        subprocess.run(
            command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, check=False, timeout=seconds + GRACE_S * 5,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )  # fmt: skip
    played.seconds += time.monotonic() - begun
    text = log.read_text("utf-8", "replace")
    counts = _RUNS.findall(text)
    if counts:
        played.runs += int(counts[-1][0])
        played.reached = max(played.reached, int(counts[-1][1]))
    for what, file in _FOUND.findall(text):
        played.found[what] = Path(file)
    for file in _KILLED.findall(text):
        what = "too slow" if "timeout-" in file else "too much memory" if "oom-" in file else "the process ended"
        played.found[f"{what}: {Path(file).name}"] = Path(file)


def _play(name: str, seconds: float) -> Played:
    """Run a target for so long, again if what it found has ended the process."""
    played = Played(name)
    until = time.monotonic() + seconds
    while True:
        before, left = len(played.found), until - time.monotonic()
        _run(name, max(left, LEAST_S), played)
        # One that always ends at once is not tried for ever.
        if until - time.monotonic() < LEAST_S or len(played.found) == before:
            return played


def _told(played: Played) -> None:
    rate = played.runs / played.seconds if played.seconds else 0
    print(
        f"{played.name:10} {played.runs:>10,} inputs in {played.seconds:>5.0f} s ({rate:,.0f} a second), reached"
        f" {played.reached:,} places; {len(played.found) or 'no'} finding{'' if len(played.found) == 1 else 's'}",
        flush=True,
    )
    for what, file in played.found.items():
        print(f"  {what}\n    {replay_line(played.name, file)}", flush=True)


def _merge(name: str) -> None:
    """Make a target's kept corpus anew: the smallest inputs that reach all that is reached; what has a name stays."""
    inputs, _ = _prepared(name)
    into = OUT / "merged" / name
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(OUT), "-set_cover_merge=1", str(into), str(inputs)]
    with (OUT / f"merge-{name}.log").open("wb") as out:
        subprocess.run(
            [*command, str(kept(name))], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, check=False, timeout=1800
        )
    print(f"{name:10} {len(list(into.iterdir()))} inputs of {len(list(inputs.iterdir()))}: {into}")


def main() -> int:
    """Fuzz, and tell; return the exit code."""
    wanted = asked(sys.argv[1:])
    if wanted.list:
        for name in TARGETS:
            print(f"{name:10} {TARGETS[name].run.__doc__}")
        return 0
    if wanted.merge:
        for name in wanted.only:
            _merge(name)
        return 0
    shares = sum(TARGETS[name].share for name in wanted.only)
    found = 0
    for name in wanted.only:
        played = _play(name, wanted.minutes * 60 * TARGETS[name].share / shares)
        _told(played)
        found += len(played.found)
    print(f"{found or 'no'} finding{'' if found == 1 else 's'}")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
