"""What a host's process prints: each line begins with the step whose code printed it, or with the host."""

import io
import logging
import sys
import threading
from pathlib import Path
from typing import NamedTuple, TextIO

from peer.agents.whose import WHOSE

BEGIN = "\x1eebbtide begins "
END = "\x1eebbtide ends "
"""Begin the first and the last line of a host, with its folder, for whoever shows its lines: whose process this is, and
that all lines have come."""
CHARS_MAX = 8192
"""Of a line: a longer one is cut into several."""
OPEN_MAX = 64
"""Lines that are begun and not ended, of different steps."""


class Shown(NamedTuple):
    """What whoever starts a host wants of its output."""

    marks: bool
    """Its first and last lines are to be told."""
    level: int | None
    """From which level on log lines are printed, if that was set where the cluster is."""


class MarkedLines(io.TextIOBase):
    """A text stream that marks each line, whole, and passes it on at once."""

    def __init__(self, below: TextIO, host: str) -> None:
        self._below = below
        self._host = host
        self._open: dict[str, str] = {}
        self._lock = threading.RLock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream below."""
        return self._below.encoding

    def fileno(self) -> int:
        """Return that of the stream below: what is written there directly comes unmarked."""
        return self._below.fileno()

    def isatty(self) -> bool:
        """Return False: progress bars and colours have no place here."""
        return False

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, s: str, /) -> int:
        """Pass on the lines that end in a text; what is begun waits for its end."""
        whose = WHOSE.get() or self._host
        with self._lock:
            # A progress bar draws its line again and again: only how it ends is told.
            *lines, rest = (self._open.pop(whose, "") + s).split("\n")
            for line in lines:
                self._pass_on(whose, line.rstrip("\r").rpartition("\r")[2])
            rest = rest.rpartition("\r")[2]
            while len(rest) > CHARS_MAX:
                self._pass_on(whose, rest[:CHARS_MAX])
                rest = rest[CHARS_MAX:]
            if rest:
                self._open[whose] = rest
            while len(self._open) > OPEN_MAX:
                first = next(iter(self._open))
                self._pass_on(first, self._open.pop(first))
            self._below.flush()
        return len(s)

    def _pass_on(self, whose: str, line: str) -> None:
        self._below.write(f"[{whose}] {line}\n")

    def flush(self) -> None:
        """Do nothing: whole lines are passed on at once."""

    def finish(self) -> None:
        """Pass on what is begun."""
        with self._lock:
            while self._open:
                self._pass_on(*self._open.popitem())
            self._below.flush()

    def say(self, line: str) -> None:
        """Pass on a line as it is."""
        with self._lock:
            self._below.write(line + "\n")
            self._below.flush()


class Output:
    """All that a host's process prints."""

    def __init__(self, folder: Path, shown: Shown) -> None:
        self._folder = folder
        self._shown = shown
        self._streams = [MarkedLines(sys.stdout, folder.name), MarkedLines(sys.stderr, folder.name)]
        sys.stdout, sys.stderr = self._streams
        if shown.level is not None:
            logging.basicConfig(level=shown.level, format="%(levelname)s %(name)s: %(message)s")
        if shown.marks:
            self._streams[0].say(f"{BEGIN}{folder}")

    def end(self) -> None:
        """Nothing more is printed."""
        for stream in self._streams:
            stream.finish()
            if self._shown.marks:
                stream.say(f"{END}{self._folder}")
