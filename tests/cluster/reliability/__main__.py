"""What breaks, and what must hold: `python -m tests.cluster.reliability [--only NAME,NAME]`, as root on Linux.

Plays each fault on three machines, of this one's kernel, and writes docs/reliability.md's table and out/reliability.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.lan import ROOT, Lan, Unbuildable, check_buildable
from tests.cluster.reliability.field import AFTER_S, Failed, Field, Run
from tests.cluster.reliability.rows import ROWS, TITLES, Row
from tests.cluster.reliability.table import Played, keep, line_of, rows_of, table, write

PAGE = ROOT / "docs" / "reliability.md"
OUT = ROOT / "out" / "reliability"
BROKEN = (Failed, AssertionError, OSError, LookupError, StopIteration, ValueError, subprocess.SubprocessError)
"""What a row may end with; the others are played all the same."""


def asked(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line says. Exits with 2 for a row that there is not."""
    parser = argparse.ArgumentParser("python -m tests.cluster.reliability", description="Play faults, and judge them.")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help=f"of {', '.join(ROWS)}")
    found = parser.parse_args(arguments)
    found.only = [name for name in found.only.split(",") if name]
    if unknown := [name for name in found.only if name not in ROWS]:
        parser.error(f"no row is called {unknown[0]!r}; there are {', '.join(ROWS)}")
    return found


def play(run: Run, row: Row) -> Played:
    """Play a row to its end, whatever comes of it."""
    try:
        _play(run, row)
    except BROKEN as error:
        run.amiss.append(f"{'' if isinstance(error, Failed) else f'{type(error).__name__}: '}{error}"[:400])
    run.tidy()
    return run.played()


def end(run: Run) -> None:
    """End a row's cluster."""
    try:
        run.close()
    except BROKEN as error:
        print(f"{run.name}: its cluster did not end in order: {error}", flush=True)


def _play(run: Run, row: Row) -> None:
    if row.before is not None:
        row.before(run)
    if row.is_joining:
        run.field.await_machines(len(run.lan.machines) - 1)
        run.launch()
    elif not run.is_up:
        run.field.mend()
        run.up()
    run.begin_load()
    row.play(run)
    run.over = time.time()
    if not run.end:
        for strike in run.strikes:
            run.await_served(strike)
        time.sleep(AFTER_S)
        run.end_load()
    if row.afterwards is not None:
        row.afterwards(run)
    if not run.undone:
        run.undo()
    run.judged()


def main(arguments: Sequence[str]) -> int:
    """Play the rows that are asked for; return 1 if one did not hold."""
    only = asked(arguments).only or list(ROWS)
    try:
        check_buildable()
    except Unbuildable as error:
        print(f"nothing was played: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    done: dict[str, Played] = {}
    work = Path(tempfile.mkdtemp(prefix="ebbtide-reliability-"))
    try:
        failed = _all(work, only, done)
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


def _all(work: Path, only: Sequence[str], done: dict[str, Played]) -> bool:
    began, failed = time.monotonic(), False
    with Lan(work) as lan:
        field = Field(lan)
        print("three machines, and Ray on them ...", flush=True)
        field.up()
        last: Run | None = None
        for name in only:
            print(f"{time.monotonic() - began:6.0f} s  {name} ...", flush=True)
            if last is not None and (ROWS[name].is_fresh or last.is_ending or last.amiss):
                end(last)
                last = None
            last = Run(field, name, work / "shared", last.folder if last is not None else "")
            done[name] = play(last, ROWS[name])
            failed = failed or bool(done[name].amiss)
            print(f"{time.monotonic() - began:6.0f} s  {line_of(ROWS[name].title, done[name])}", flush=True)
            keep(OUT / "played.json", done)
            write(PAGE, table(TITLES, done, rows_of(PAGE)))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
