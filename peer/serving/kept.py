"""Names that outlive this process: what was heard, what was posted. A file of lines, each with a name and its end."""

import asyncio
import os
from pathlib import Path
from threading import Lock

from peer.store.files import Files

SPARE = 1_000
"""So many lines that count no more may stand in the file, besides as many as count, before it is written anew."""
FOR_GOOD = 1 << 62


class Kept:
    """Names, each until a time in microseconds since 1970; one process at a time has the file.

    Args:
        file: where they are; made if it is not there. A line that a crash has torn is passed over.
        now_us: the time; what has ended is dropped.
    """

    def __init__(self, file: Path, now_us: int) -> None:
        self._file = file
        self._until: dict[str, int] = {}
        lines = file.read_text("utf-8", "replace").splitlines() if file.exists() else []
        for line in lines:
            until, _, name = line.partition(" ")
            if until.isdecimal() and name.endswith(";") and int(until) > now_us:
                self._until[name[:-1]] = int(until)
        self._handle = -1
        self._lock = Lock()
        self._written = 0
        self._anew()

    def __contains__(self, name: str) -> bool:
        return name in self._until

    def __len__(self) -> int:
        return len(self._until)

    def names(self) -> list[str]:
        """Return all names."""
        return list(self._until)

    async def add(self, name: str, until_us: int = FOR_GOOD) -> None:
        """Keep a name; on disk when this returns, and among the names at once. Raises: OSError; it is not kept then."""
        self._until[name] = until_us
        try:
            await asyncio.to_thread(self._write, f"{until_us} {name};\n")
        except OSError:
            self._until.pop(name, None)
            raise

    def drop(self, name: str) -> None:
        """Forget a name, in time on disk, too."""
        self._until.pop(name, None)

    def tidy(self, now_us: int) -> None:
        """Forget what has ended, and write the file anew if most of it counts no more."""
        for name in [name for name, until_us in self._until.items() if until_us <= now_us]:
            del self._until[name]
        if self._written > 2 * len(self._until) + SPARE:
            self._anew()

    def close(self) -> None:
        """Let the file go."""
        os.close(self._handle)

    def _write(self, line: str) -> None:
        with self._lock:
            os.write(self._handle, line.encode())
            os.fdatasync(self._handle)
            self._written += 1

    def _anew(self) -> None:
        with self._lock:
            lines = "".join(f"{until_us} {name};\n" for name, until_us in self._until.items())
            Files().put(self._file, lines.encode())
            if self._handle >= 0:
                os.close(self._handle)
            self._handle = os.open(self._file, os.O_WRONLY | os.O_APPEND)
            self._written = len(self._until)
