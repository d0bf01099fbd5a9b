"""What a host's process prints: each line begins with the step whose code printed it, or with the host, and is kept."""

import io
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from peer.agents.whose import WHOSE, Whose, mark_records
from peer.backends.kept_lines import KeptLines, is_logging
from peer.observing.json_lines import is_json, log_as_json

BEGIN = "\x1eebbtide begins "
END = "\x1eebbtide ends "
"""Begin the first and the last line of a host, with its folder, for whoever shows its lines: whose process this is, and
that all lines have come."""
ALL = "hosts"
"""Stands for the hosts that are all in one process."""
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
    """A text stream that passes each line on at once, whole, marked with whose it is, and keeps it.

    Args:
        below: where lines go.
        host: what stands before a line that is nobody's.
        name: what the stream is called where lines are kept.
        kept: where they are.
        marks: mark them; else the stream passes everything on as it is.
    """

    def __init__(self, below: TextIO, host: str, name: str, kept: KeptLines | None = None, marks: bool = True) -> None:
        self._below = below
        self._host = host
        self._name = name
        self._kept = kept
        self._marks = marks
        self._open: dict[Whose, str] = {}
        self._lock = threading.RLock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream below."""
        return self._below.encoding

    @property
    def buffer(self) -> BinaryIO:
        """That of the stream below: what is written there directly comes unmarked."""
        return self._below.buffer

    def fileno(self) -> int:
        """Return that of the stream below: what is written there directly comes unmarked."""
        return self._below.fileno()

    def isatty(self) -> bool:
        """Return False where lines are marked: progress bars and colours have no place here."""
        return not self._marks and self._below.isatty()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, s: str, /) -> int:
        """Pass on the lines that end in a text; what is begun waits for its end."""
        whose = WHOSE.get()
        kept = None if is_logging(sys._getframe(1)) else self._kept
        with self._lock:
            if not self._marks:
                self._below.write(s)
            # A progress bar draws its line again and again: only how it ends is told.
            *lines, rest = (self._open.pop(whose, "") + s).split("\n")
            for line in lines:
                self._pass_on(whose, line.rstrip("\r").rpartition("\r")[2], kept)
            rest = rest.rpartition("\r")[2]
            while len(rest) > CHARS_MAX:
                self._pass_on(whose, rest[:CHARS_MAX], kept)
                rest = rest[CHARS_MAX:]
            if rest:
                self._open[whose] = rest
            while len(self._open) > OPEN_MAX:
                first = next(iter(self._open))
                self._pass_on(first, self._open.pop(first), self._kept)
            self._below.flush()
        return len(s)

    def _pass_on(self, whose: Whose, line: str, kept: KeptLines | None) -> None:
        if self._marks:
            self._below.write(f"[{str(whose) or self._host}] {line}\n")
        if kept is not None:
            kept.printed(self._name, line, whose)

    def flush(self) -> None:
        """Do nothing where lines are marked: whole ones are passed on at once."""
        if not self._marks:
            self._below.flush()

    def finish(self) -> None:
        """Pass on what is begun."""
        with self._lock:
            while self._open:
                self._pass_on(*self._open.popitem(), self._kept)
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
        mark_records()
        if is_json():
            # Below the marks: each line is whole, and says itself whose it is.
            log_as_json(sys.stderr, folder.name, logging.INFO if shown.level is None else shown.level)
        self._kept = KeptLines(folder.parent, folder.name)
        self._streams = [
            MarkedLines(sys.stdout, folder.name, "stdout", self._kept),
            MarkedLines(sys.stderr, folder.name, "stderr", self._kept),
        ]
        sys.stdout, sys.stderr = self._streams
        if shown.level is not None and not is_json():
            logging.basicConfig(level=shown.level, format="%(levelname)s %(name)s: %(message)s")
        self._kept.begin()
        if shown.marks:
            self._streams[0].say(f"{BEGIN}{folder}")

    def end(self) -> None:
        """Nothing more is printed."""
        for stream in self._streams:
            stream.finish()
            if self._shown.marks:
                stream.say(f"{END}{self._folder}")
        self._kept.end()


@contextmanager
def kept(cluster: Path) -> Iterator[None]:
    """Keep what this process prints and logs, all of whose hosts are in it, and show it as before."""
    mark_records()
    lines = KeptLines(cluster, ALL)
    before = sys.stdout, sys.stderr
    streams = [
        MarkedLines(stream, ALL, name, lines, marks=False)
        for stream, name in zip(before, ("stdout", "stderr"), strict=True)
    ]
    sys.stdout, sys.stderr = streams
    lines.begin()
    try:
        yield
    finally:
        for stream in streams:
            stream.finish()
        sys.stdout, sys.stderr = before
        lines.end()
