"""Whether a folder can be written, and how long that takes: found out by writing there."""

import os
import secrets
import time
from pathlib import Path


def write_s(folder: Path) -> float:
    """Write a file there, have it made durable, and remove it; return how many seconds that took. Raises: OSError."""
    file = folder / f".probe-{secrets.token_hex(4)}"
    began = time.monotonic()
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, b"can it be written?\n")
        os.fsync(handle)
        return time.monotonic() - began
    finally:
        os.close(handle)
        file.unlink(missing_ok=True)
