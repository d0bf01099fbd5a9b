"""Run a benchmark job by job, and keep what it found as JSON: rows by table, the machine, its load, and what failed."""

import json
import os
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.machine import about
from benchmarks.suite.form import Benchmark, Job, Row, Setting
from peer.errors import EbbtideError

VERSIONS = ("ebbtide", "ray", "msgspec", "pyzmq", "cryptography")
Told = Callable[[str], None]


def measure(
    benchmark: Benchmark, setting: Setting, jobs: list[Job], told: Told, done: Callable[[], None]
) -> dict[str, Any]:
    """Run the jobs one after the other. One that fails says so in what is returned, and the others go on.

    Args:
        told: hears what is measured now.
        done: called after each job.
    """
    load, began_s = os.getloadavg(), time.monotonic()
    rows: dict[str, list[Row]] = {name: [] for name in benchmark.tables}
    failed: list[str] = []
    for job in jobs:
        told(job.about)
        try:
            rows[job.table].extend(job.run())
        except (EbbtideError, RuntimeError, AssertionError, OSError) as error:
            failed.append(f"{job.about}: {type(error).__name__}: {error}")
        done()
    return {
        "benchmark": benchmark.name,
        "command": command_of(benchmark.name, setting),
        "size": setting.size,
        "backend": setting.backend,
        "ray": "a running cluster" if setting.address else "its own",
        "machine": about() | {"versions": _versions()},
        "load": {"before": _rounded(load), "after": _rounded(os.getloadavg())},
        "seconds": round(time.monotonic() - began_s, 1),
        "rows": rows,
        "failed": failed,
    }


def command_of(name: str, setting: Setting) -> str:
    """Return the command that measures the same again."""
    words = ["ebbtide bench run", name, *(["--quick"] if setting.size != "full" else []), "--backend", setting.backend]
    return " ".join(words + (["--address", "CLUSTER"] if setting.address else []))


def keep(found: dict[str, Any], out: Path) -> Path:
    """Write what was found to `out`, as NAME.json; return the file."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{found['benchmark']}.json"
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return file


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _rounded(load: tuple[float, float, float]) -> list[float]:
    return [round(value, 2) for value in load]
