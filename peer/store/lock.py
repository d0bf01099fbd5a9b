"""One process at a time holds a folder."""

import fcntl
import os
from pathlib import Path

from peer.errors import LogBusy


def lock(folder: Path) -> int:
    """Return the folder's lock file, open; the kernel releases the lock when it is closed or its owner dies.

    Raises: LogBusy, naming the holder's process; OSError.
    """
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
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
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle


def holder(folder: Path) -> int | None:
    """Return the process that holds a folder; None if none does.

    The kernel knows whether anybody does, so a number that was left by a dead process names nobody.

    Raises: OSError.
    """
    try:
        handle = os.open(folder / "lock", os.O_RDONLY)
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
