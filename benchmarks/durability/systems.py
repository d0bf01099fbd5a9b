"""The systems, and how a task of one is run: in a process of its own, with its own interpreter."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.harness import Task

ROOT = Path(__file__).parents[2]
PEERS = ROOT / "benchmarks" / "peers"
START_S = 120.0
"""What a process may take beside its task: imports, agents that come up, what runs on after the cap."""


@dataclass(frozen=True)
class Contender:
    """One system in one setting."""

    name: str
    says: str
    """For tables."""
    script: str = ""
    """In `benchmarks/peers`; empty: Ebbtide itself."""

    @property
    def is_peer(self) -> bool:
        """Whether it is somebody else's."""
        return bool(self.script)


OURS = (
    Contender("ebbtide", "Ebbtide, local"),
    Contender("ebbtide-replicated", "Ebbtide, replicated(1)"),
    Contender("ebbtide-queued", "Ebbtide, local, inputs queued"),
)
OTHERS = (
    Contender("langgraph", "LangGraph", "langgraph_steps.py"),
    Contender("langgraph-delta", "LangGraph, DeltaChannel", "langgraph_steps.py"),
    Contender("dbos", "DBOS", "dbos_steps.py"),
    Contender("dbos-wal", "DBOS, WAL switched on", "dbos_steps.py"),
    Contender("burr", "Burr", "burr_steps.py"),
    Contender("burr-wal", "Burr, WAL switched on", "burr_steps.py"),
)
ALL = {contender.name: contender for contender in (*OURS, *OTHERS)}


def build_counter(folder: Path) -> Path | None:
    """Compile what counts fsyncs; None where there is no C compiler: then nothing is counted, and that is said."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return None
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "syncs.so"
    source = ROOT / "benchmarks" / "durability" / "syncs.c"
    built = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], capture_output=True, check=False
    )
    return library.resolve() if built.returncode == 0 else None


class Bench:
    """Runs tasks.

    Args:
        peers: the Python of the peers' environment; None: peers are left out.
        counter: what `build_counter` made.
        folder: where systems write; on the disk that is to be measured.
    """

    def __init__(self, peers: Path | None, counter: Path | None, folder: Path) -> None:
        self._peers = peers
        self._counter = counter
        self._folder = folder
        self._runs = 0

    def contenders(self) -> list[Contender]:
        """Return the systems that can be run here."""
        return [*OURS, *(OTHERS if self._peers is not None else ())]

    def run(self, task: Task) -> dict[str, Any]:
        """Run one task in a process of its own.

        Raises: RuntimeError, with what it said last.
        """
        self._runs += 1
        folder = self._folder / f"{self._runs}-{task.system}"
        order = json.dumps(asdict(task) | {"folder": str(folder)})
        environment = dict(os.environ)
        if self._counter is not None:
            environment["LD_PRELOAD"] = str(self._counter)
        try:
            done = subprocess.run(
                [*self._command(task), order], cwd=ROOT, env=environment, capture_output=True, text=True,
                timeout=task.cap_s + START_S, check=False,
            )  # fmt: skip
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            # What was removed is the disk's work for a while: not the next run's.
            os.sync()
        lines = done.stdout.strip().splitlines()
        if done.returncode != 0 or not lines:
            raise RuntimeError(f"{task.system} failed on {order}:\n{done.stderr[-2000:]}")
        return json.loads(lines[-1])

    def _command(self, task: Task) -> Sequence[str]:
        contender = ALL[task.system]
        if contender.is_peer:
            assert self._peers is not None
            return [str(self._peers), str(PEERS / contender.script)]
        module = "restoring" if task.kind == "restore" else "ebbtide"
        return [sys.executable, "-m", f"benchmarks.durability.{module}"]
