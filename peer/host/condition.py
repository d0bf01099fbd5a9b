"""What a host runs on: versions, its machine's disk and clock, as it says itself."""

import os
import platform
import shutil
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import zmq
from msgspec import Struct

from protocol.since import FIRST, VERSION

VERSIONS = ("ebbtide", "python", "ray", "pyzmq", "libzmq")


class About(Struct, frozen=True):
    """What a host runs on."""

    now_us: int
    """Of its machine's clock, as it is now: the clock of the host itself never goes back."""
    versions: dict[str, str]
    has_curve: bool
    """Its libzmq can encrypt."""
    process: int
    machine: str
    folder: str = ""
    """Where its log is; empty: in memory."""
    is_writable: bool = True
    free_bytes: int = 0
    total_bytes: int = 0
    wire: int = FIRST
    """The newest wire version that it speaks; one of a release before this was told speaks the first."""


def about(folder: Path | None) -> About:
    """Return what this process runs on, and whose log is in a folder."""
    free = total = 0
    if folder is not None:
        try:
            total, _, free = shutil.disk_usage(folder)
        except OSError:
            free = total = 0  # it is gone: nobody can write there
    return About(
        now_us=time.time_ns() // 1000,
        versions=versions(),
        has_curve=bool(zmq.has("curve")),
        process=os.getpid(),
        machine=platform.node(),
        folder="" if folder is None else str(folder),
        is_writable=folder is None or os.access(folder, os.W_OK),
        free_bytes=free,
        total_bytes=total,
        wire=VERSION,
    )


def versions() -> dict[str, str]:
    """Return the versions of what this process runs on."""
    found = {"python": platform.python_version(), "libzmq": zmq.zmq_version()}
    for name in ("ebbtide", "ray", "pyzmq"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return {name: found[name] for name in VERSIONS}
