"""What hosts print and log, kept in the cluster's folder: JSON, an object a line, in files that are bounded.

    output/host-1.jsonl      of one host, on Ray; hosts.jsonl of all that are in one process
    output/host-1.jsonl.1    the lines before those, and so on

Nothing is fsynced, and what the disk has no room for is counted: lines are for people, logs for agents.
"""

import json
import logging
import os
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from peer.agents.whose import WHOSE, Whose

FOLDER = "output"
"""In the cluster's folder."""
FILE_BYTES_MAX = 8 << 20
FILES_MAX = 4
"""Of a host: the one that is written, and those before it."""
TEXT_CHARS_MAX = 16_384
"""Of a line, or of what a record says with its traceback."""


class KeptLines:
    """The file of one process's lines; threads may share it.

    Args:
        cluster: the cluster's folder.
        name: of the host, or what stands for all that are in this process.
    """

    def __init__(self, cluster: Path, name: str) -> None:
        self._file = cluster / FOLDER / f"{name}.jsonl"
        self._host = name
        self._lock = threading.RLock()
        self._lost = 0
        self._fd: int | None = None
        self._size = 0
        self._make: Any = None

    def printed(self, stream: str, text: str, whose: Whose) -> None:
        """Keep a line that was printed.

        Args:
            stream: `stdout` or `stderr`.
            text: the line, without its end.
            whose: for whom.
        """
        self._keep({"stream": stream, "level": "", "logger": ""}, whose, time.time(), text)

    def logged(self, record: logging.LogRecord) -> None:
        """Keep a record that was logged."""
        try:
            text = record.getMessage()
        except Exception as error:  # noqa: BLE001  # arguments that do not fit: logging tells where, on stderr
            text = f"{record.msg} ({type(error).__name__}: {error})"
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        head = {"stream": "log", "level": record.levelname, "logger": record.name}
        self._keep(head, WHOSE.get(), record.created, text)

    def _keep(self, head: dict[str, str], whose: Whose, at_s: float, text: str) -> None:
        line: dict[str, Any] = {"time": round(at_s * 1e6), "host": self._host, **head, **whose._asdict()}
        with self._lock:
            if self._lost:
                lost = {**line, "stream": "log", "level": "WARNING", "logger": "ebbtide", **Whose()._asdict()}
                if not self._write(lost | {"text": f"{self._lost} lines before this could not be kept"}):
                    self._lost += 1
                    return
                self._lost = 0
            if not self._write(line | {"text": text[:TEXT_CHARS_MAX]}):
                self._lost += 1

    def _write(self, line: dict[str, Any]) -> bool:
        """Write a line; tell whether there was room."""
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
        try:
            if self._fd is None or self._size + len(data) > FILE_BYTES_MAX:
                self._open(self._fd is not None)
            assert self._fd is not None
            if os.write(self._fd, data) < len(data):
                # Half a line: whoever reads passes over it.
                os.write(self._fd, b"\n")
                return False
        except OSError:
            return False  # counted, and told once there is room
        self._size += len(data)
        return True

    def _open(self, turn: bool) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._file.parent.mkdir(parents=True, exist_ok=True)
        if turn or (self._file.exists() and self._file.stat().st_size >= FILE_BYTES_MAX):
            for number in range(FILES_MAX - 1, 0, -1):
                before = _numbered(self._file, number - 1)
                if before.exists():
                    before.replace(_numbered(self._file, number))
        self._fd = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._size = os.fstat(self._fd).st_size

    # -- what is logged --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Keep what is logged from now on: as records are made, whoever handles them; from INFO on, unless that is set.

        No handler is added: whatever this process shows of its logs it goes on showing, and `basicConfig` works.
        """
        root = logging.getLogger()
        if root.level == logging.WARNING and not root.handlers:
            root.setLevel(logging.INFO)  # Python itself still shows warnings alone
        make = self._make = logging.getLogRecordFactory()

        def kept(*args: Any, **kwargs: Any) -> logging.LogRecord:
            record = make(*args, **kwargs)
            self.logged(record)
            return record

        self._made = kept
        logging.setLogRecordFactory(kept)

    def end(self) -> None:
        """Keep nothing any more."""
        if self._make is not None and logging.getLogRecordFactory() is self._made:
            logging.setLogRecordFactory(self._make)
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None


def is_logging(frame: Any) -> bool:
    """Tell whether it is a handler of `logging` that writes: what it writes is kept as a record."""
    return frame.f_code.co_filename == logging.StreamHandler.emit.__code__.co_filename


def _numbered(file: Path, number: int) -> Path:
    return file if number == 0 else file.with_name(f"{file.name}.{number}")


# -- reading -------------------------------------------------------------------------------------------------------


class HostLines:
    """The lines of one host, as they were kept, and as they come.

    Args:
        file: the newest of its files.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._open: TextIO | None = None
        self._rest = ""

    def read(self) -> Iterator[dict[str, Any]]:
        """Give what has come since it was last read; at first, all that is kept."""
        if self._open is None:
            for number in range(FILES_MAX - 1, 0, -1):
                try:
                    with _numbered(self._file, number).open(encoding="utf-8", errors="replace") as older:
                        yield from self._lines(older)
                except FileNotFoundError:
                    continue
        while True:
            if self._open is None:
                try:
                    self._open = self._file.open(encoding="utf-8", errors="replace")
                except FileNotFoundError:
                    return
            yield from self._lines(self._open)
            if not self._has_turned(self._open):
                return
            yield from self._lines(self._open)  # what came between the two looks
            self._open.close()
            self._open, self._rest = None, ""
            # Of several turns since the last look, those between are passed over: they were bounded away.

    def close(self) -> None:
        """Read no more."""
        if self._open is not None:
            self._open.close()

    def _has_turned(self, opened: TextIO) -> bool:
        try:
            return self._file.stat().st_ino != os.fstat(opened.fileno()).st_ino
        except FileNotFoundError:
            return False  # between two names

    def _lines(self, opened: TextIO) -> Iterator[dict[str, Any]]:
        while chunk := opened.readline():
            self._rest += chunk
            if not chunk.endswith("\n"):
                return  # the rest of it is being written
            text, self._rest = self._rest, ""
            try:
                line = json.loads(text)
            except ValueError:
                continue  # cut short, as by a full disk
            if isinstance(line, dict) and "text" in line:
                yield line


def files_in(cluster: Path) -> list[Path]:
    """Return the newest file of each host of a cluster's folder, in order of name."""
    return sorted((cluster / FOLDER).glob("*.jsonl"))
