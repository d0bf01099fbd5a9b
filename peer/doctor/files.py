"""A cluster's folder: who may read its keys, and whether its disk takes what is written."""

import os
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from peer.doctor.finding import Finding, fail, ok, warn
from peer.store.probing import write_s

KEYS = ("*.key", "*/*.key", "authority*", "*/badge")
"""Files that nobody else may read; certificates (`*.cert`) are for everybody."""
VAULT = "vault"
FILES_MAX = 10_000
"""Files that are looked at, at most."""
OTHERS = 0o077
GIB = 1 << 30
FREE_BYTES_WARN, FREE_BYTES_FAIL = GIB, GIB // 10
FREE_SHARE_WARN = 0.05
FSYNC_S_WARN = 0.1
"""Each step waits for one, unless others share it."""


def check_files(folder: Path) -> Iterator[Finding]:
    """Look at keys and at the disk."""
    yield from _keys(folder)
    yield from _disk(folder)


def _keys(folder: Path) -> Iterator[Finding]:
    found = [file for pattern in KEYS for file in folder.glob(pattern) if file.suffix != ".cert"]
    if (folder / VAULT).is_dir():
        found += (folder / VAULT).rglob("*")
    files = list(islice(dict.fromkeys(file for file in found if file.is_file()), FILES_MAX))
    wrong = 0
    for file in files:
        try:
            there = file.stat()
        except OSError:
            continue  # it was drawn back meanwhile
        if there.st_mode & OTHERS:
            wrong += 1
            yield fail("keys", f"{file} has mode {there.st_mode & 0o777:04o}: others may use it", f"chmod 600 {file}")
        elif there.st_uid != os.getuid():
            wrong += 1
            yield warn(
                "keys", f"{file} belongs to user {there.st_uid}, and this is {os.getuid()}",
                "Run hosts and commands as one user.",
            )  # fmt: skip
    if not files:
        yield fail("keys", f"{folder} has no key at all", "Name the folder of a cluster, or restore it from a backup.")
    elif not wrong:
        yield ok("keys", f"{len(files)} files with keys are their owner's alone")


def _disk(folder: Path) -> Iterator[Finding]:
    try:
        took_s = write_s(folder)
    except OSError as error:
        yield fail("disk", f"{folder} can't be written: {error.strerror or error}", "Make room, or mend the disk.")
        return
    for place in sorted(folder.glob("*/log")):
        if not os.access(place, os.W_OK):
            yield fail("disk", f"{place} can't be written by this user", f"chown it to who runs the hosts: {place}")
    if took_s > FSYNC_S_WARN:
        yield warn(
            "disk", f"a write to {folder} took {took_s:.2f} s to be durable; steps wait for that",
            "Put the folder on a local disk.",
        )  # fmt: skip
    else:
        yield ok("disk", f"a write to {folder} is durable in {took_s * 1000:.1f} ms")
    total, _, free = shutil.disk_usage(folder)
    yield room(str(folder), free, total)


def room(place: str, free: int, total: int) -> Finding:
    """Tell whether a disk has room."""
    text = f"{place} has {free / GIB:.1f} GiB left of {total / GIB:.1f}"
    remedy = "Make room: ebbtide log compact FOLDER. Agents wait while the disk is full."
    if free < FREE_BYTES_FAIL:
        return fail("room", text, remedy)
    if free < FREE_BYTES_WARN or free < FREE_SHARE_WARN * total:
        return warn("room", text, remedy)
    return ok("room", text)
