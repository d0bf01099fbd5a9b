"""One process at a time holds a folder."""

import fcntl
import os
from pathlib import Path

from peer.errors import LogBusy

NAME = "lock"


def hold(file: Path) -> int | None:
    """Return a file, open for this process alone as long as that is; None, if another holds it. Raises: OSError."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _signed(file: Path) -> str:
    return file.read_bytes()[:32].decode("ascii", "replace").strip()


def lock(folder: Path, name: str = NAME) -> int:
    """Return the folder's lock file, open; the kernel releases the lock when it is closed or its owner dies.

    Raises: LogBusy, naming the holder's process; OSError.
    """
    handle = hold(folder / name)
    if handle is None:
        raise LogBusy(
            f"The log in {folder} is in use by process {_signed(folder / name) or 'unknown'}. Nothing was changed."
            " Stop that process, or give this host a folder of its own."
        )
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
        number = _signed(folder / name)
        return int(number) if number.isdecimal() else None
    finally:
        os.close(handle)
    return None
