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

from tests.fuzz.corpus import GROWTH_MB, INPUT_S, ROOT, kept, replay_line
from tests.fuzz.targets import TARGETS

OUT = ROOT / "out" / "fuzz"
WAIT_S, MEMORY_MB = 20, 2500
"""What takes longer on a busy machine, or makes a process grow beyond that, is replayed alone: see `corpus.replay`."""
LEAST_S = 10
GRACE_S = 60
"""Our code is imported, and the corpus run, before the time counts."""
HELP = f"""\
Feeds each target inputs that reach more and more of our code, and says what they have found.

  make fuzz                                  five minutes, all targets
  make fuzz ARGS="--minutes 60"              an hour
  make fuzz ARGS="--only host,wire"          some targets; --list says what each is
  make fuzz ARGS="--merge"                   keep the inputs that reach most in tests/fuzz/corpus, few and small

A finding is an exception that its target does not allow, or an input that takes more than {INPUT_S:g} s of the
processor or {GROWTH_MB} MB. Each is written to out/fuzz/found, with the command that replays it (no fuzzer needed),
and the run ends with exit code 1. Fix the kind, not the case; put the input into tests/fuzz/corpus/TARGET under a name
that says what it was; add a row to docs/bugs.md. What was reached is kept in out/fuzz/corpus: the next run goes on.
"""
KEPT_BYTES = 16 << 10, 64 << 10
"""Of a target's inputs that reach much, the smallest first; and of those of `host`."""
_UNNAMED = re.compile(r"[0-9a-f]{12,40}")
_RUNS = re.compile(r"^#(\d+)\b.*?cov: (\d+)", re.MULTILINE)
_FOUND = re.compile(r"^FOUND (.*)\t(.*)$", re.MULTILINE)
_KILLED = re.compile(r"Test unit written to (\S+)")


class NotRun(Exception):  # it ends in a line of the command
    """The fuzzer could not do its work."""


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
        f"-max_total_time={int(seconds)}", f"-timeout={WAIT_S}", f"-rss_limit_mb={MEMORY_MB}", "-print_final_stats=1",
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
    for file in dict.fromkeys(_KILLED.findall(text)):
        if what := _confirmed(name, file):
            played.found[what] = Path(file)
        else:
            Path(file).unlink()


def _confirmed(name: str, file: str) -> str:
    """Return what is wrong with an input that has ended the fuzzer, if it ends a process of its own as well."""
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.corpus", name, file], cwd=ROOT, capture_output=True, text=True,
            check=False, timeout=GRACE_S * 5,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"does not come to an end: {Path(file).name}"
    if not ended.returncode:
        return ""
    lines = ended.stderr.strip().splitlines()
    return f"{lines[-1] if lines else 'the process ended'} ({Path(file).name})"


def _play(name: str, seconds: float) -> Played:
    """Run a target for so long, again if what it found has ended the process."""
    played = Played(name)
    until = time.monotonic() + seconds
    while True:
        before = played.runs
        _run(name, max(until - time.monotonic(), LEAST_S), played)
        if played.runs == before:
            raise NotRun(f"{name}: no input was run. Nothing was found. See {(OUT / f'{name}.log').relative_to(ROOT)}.")
        if until - time.monotonic() < LEAST_S:
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
    found = sorted(into.iterdir(), key=lambda file: (file.stat().st_size, file.name))
    if not found:
        print(f"{name}: nothing was merged. What is kept stays. See {(OUT / f'merge-{name}.log').relative_to(ROOT)}.")
        return
    for old in kept(name).iterdir():
        if _UNNAMED.fullmatch(old.name):
            old.unlink()
    size = count = 0
    for file in found:
        size += file.stat().st_size
        if size > KEPT_BYTES[name == "host"]:
            break
        count += 1
        shutil.copy(file, kept(name) / file.name[:12])
    print(f"{name:10} {count} inputs kept, of {len(found)} that reach all that is reached")


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
        try:
            played = _play(name, wanted.minutes * 60 * TARGETS[name].share / shares)
        except NotRun as error:
            print(error, file=sys.stderr)
            return 2
        _told(played)
        found += len(played.found)
    print(f"{found or 'no'} finding{'' if found == 1 else 's'}")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
