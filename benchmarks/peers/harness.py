"""What every system's runner does alike: read a task, have it done, count what was done, print JSON.

Only the standard library: it runs in the peers' environment, where there is no Ebbtide, and in Ebbtide's own.
"""

import ctypes
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ITEM_BYTES = 200
"""What one step adds to the state, or changes in a large value: random, so that nothing can compress it."""
VALUE_BYTES = 1_000_000
"""The one large value."""


@dataclass(frozen=True)
class Task:
    """What is to be done; read from the command line."""

    kind: str
    """`steps`: so many by so many agents, timed; `bytes`: one agent, its folder measured at marks."""
    system: str
    agents: int = 1
    steps: int = 100
    """By each agent; of `bytes`: the last mark."""
    marks: tuple[int, ...] = ()
    value: str = "growing"
    """`growing`: each step adds an item; `large`: each changes some bytes of one value."""
    every: int = 0
    """A checkpoint, or a whole value, every so many steps; 0: as the system does by itself."""
    cap_s: float = 30.0
    """Begin no step after so many seconds: what was done until then counts, and is said."""
    folder: str = ""
    """Where the system writes; a temporary folder if empty."""

    @property
    def names(self) -> list[str]:
        """The agents. That they exist is not part of what is timed."""
        return [f"agent-{number}" for number in range(self.agents)]


class System(Protocol):
    """One system under one task. An agent that is named again goes on where it was."""

    def run(self, agents: list[str], steps: int, until: float) -> int:
        """Have each agent make steps, each durable before the next; stop after `time.monotonic()` has reached `until`.

        Returns: how many were made, all durable.
        """
        ...

    def settle(self) -> None:
        """Bring files to the size they have at rest: a write-ahead log that is only waiting is no lasting cost."""
        ...

    def about(self) -> dict[str, Any]:
        """Return versions, and how it writes."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


def syncs() -> int | None:
    """Return how often this process has called fsync or fdatasync; None where durability/syncs.c does not count."""
    try:
        return ctypes.CDLL(None).durability_syncs()
    except AttributeError:
        return None


def new_item() -> bytes:
    """Return what a step adds to its agent's state."""
    return os.urandom(ITEM_BYTES)


def changed(value: bytes, step: int) -> bytes:
    """Return a large value with some bytes in it changed, elsewhere at each step."""
    at = step * 7919 * ITEM_BYTES % (len(value) - ITEM_BYTES)
    return value[:at] + os.urandom(ITEM_BYTES) + value[at + ITEM_BYTES :]


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def steps_task(system: System, task: Task) -> dict[str, Any]:
    """Time steps of one or many agents."""
    # The first step of a process pays for imports and connections.
    system.run(["warm-up"], 3, time.monotonic() + task.cap_s)
    before, began = syncs(), time.perf_counter()
    done = system.run(task.names, task.steps, time.monotonic() + task.cap_s)
    seconds = time.perf_counter() - began
    after = syncs()
    return {
        "steps": done,
        "wanted": task.agents * task.steps,
        "seconds": seconds,
        "per_s": done / seconds,
        "syncs_per_step": None if before is None or after is None else (after - before) / max(1, done),
    }


def bytes_task(system: System, task: Task, folder: Path) -> dict[str, Any]:
    """Measure the folder as one agent's history grows."""
    until = time.monotonic() + task.cap_s
    # What is there before any step (tables, keys, the first large value) is no cost of steps.
    system.run(["agent-0"], 1, until)
    system.settle()
    begin, done, sizes = size_of(folder), 0, {}
    for mark in task.marks:
        done += system.run(["agent-0"], mark - done, until)
        system.settle()
        sizes[mark] = {"steps": done, "bytes": size_of(folder) - begin}
        if done < mark:
            break
    return {"sizes": sizes}


def pragmas(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return how a connection writes, as SQLite itself says."""
    levels = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
    return {
        "journal_mode": connection.execute("PRAGMA journal_mode").fetchone()[0],
        "synchronous": levels[connection.execute("PRAGMA synchronous").fetchone()[0]],
        "sqlite": sqlite3.sqlite_version,
    }


def truncate_wal(file: Path) -> None:
    """Take a database's write-ahead log into the database: what remains is what it keeps."""
    connection = sqlite3.connect(file)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.close()


def perform(system: System, task: Task, folder: Path) -> dict[str, Any]:
    """Have a system do a task; return what came of it."""
    found = bytes_task(system, task, folder) if task.kind == "bytes" else steps_task(system, task)
    return {**found, "about": system.about()}


def main(make: Callable[[Task, Path], System]) -> None:
    """Do the task of the command line, and print what came of it as the last line."""
    task = Task(**json.loads(sys.argv[1]))
    folder = Path(task.folder or tempfile.mkdtemp(prefix="durability-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        system = make(task, folder)
        try:
            found = perform(system, task, folder)
        finally:
            system.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(found), flush=True)
