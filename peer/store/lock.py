"""One process at a time holds a folder."""

import fcntl
import os
from pathlib import Path

from peer.errors import LogBusy

NAME = "lock"


def lock(folder: Path, name: str = NAME) -> int:
    """Return the folder's lock file, open; the kernel releases the lock when it is closed or its owner dies.

    Raises: LogBusy, naming the holder's process; OSError.
    """
    handle = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(handle, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        raise LogBusy(
            f"The log in {folder} is in use by process {holder}. Nothing was changed."
            " Stop that process, or give this host a folder of its own."
        ) from error
    # Who holds it is for people to read. The file is never removed: that would let two in.
    sign(handle, os.getpid())
    return handle


def sign(handle: int, process: int) -> None:
    """Write down, for people, which process holds a lock that has been taken: another one may, that inherits it."""
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{process}\n".encode(), 0)


def holder(folder: Path, name: str = NAME) -> int | None:
    """Return the process that holds a folder; None if none does.

    The kernel knows whether anybody does, so a number that was left by a dead process names nobody.

    Raises: OSError.
    """
    try:
        handle = os.open(folder / name, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that those who look do not find each other.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        number = os.read(handle, 32).decode("ascii", "replace").strip()
        return int(number) if number.isdecimal() else None
    finally:
        os.close(handle)
    return None
