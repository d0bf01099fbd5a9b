"""A sweep's journal: a line of JSON for each finished run, durable before the next is counted, to go on from later."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

from peer.errors import CallerError, LogBusy, LogCorrupt

FORM = 1
Rows = list[dict[str, Any]]


class Journal:
    """The finished runs of one sweep.

    Args:
        path: the file; it is made, with its folders, if there is none.
        build: what builds a run; only its name is compared, not its code.
        parameters: the values of each parameter, as they are swept.

    Raises: CallerError, if the file is of another sweep; LogCorrupt, if it is damaged before its last line; LogBusy, if
        another sweep writes it now.
    """

    def __init__(self, path: Path, build: Callable[..., Any], parameters: Mapping[str, Sequence[Any]]) -> None:
        self.done: dict[tuple[int, int], Rows] = {}
        """By combination of parameters and seed, the rows of the run."""
        self._path = path
        head = {
            "sweep": FORM,
            "build": stable(build),
            "parameters": {name: [stable(value) for value in values] for name, values in parameters.items()},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        try:
            self._lock()
            whole = self._read(head)
            self._file.truncate(whole)
            if not whole:
                self._append(head)
        except BaseException:
            self._file.close()
            raise

    def add(self, at: int, seed: int, rows: Rows) -> None:
        """Write down a finished run; it is on the disk when this returns."""
        self._append({"at": at, "seed": seed, "rows": rows})
        self.done[at, seed] = rows

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _lock(self) -> None:
        """Keep others out: each would take the other's line for a torn one."""
        try:
            flock(self._file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise LogBusy(f"{self._path} is the journal of a sweep that goes on. Nothing was run or changed.") from None

    def _append(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, head: dict[str, Any]) -> int:
        """Take in what is there; return how many of its bytes are whole lines."""
        # What follows the last line's end is torn: an interruption came while it was written.
        lines = self._path.read_bytes().split(b"\n")[:-1]
        for number, text in enumerate(lines, 1):
            try:
                line = json.loads(text)
                if number == 1:
                    self._compare(line, head)
                else:
                    self.done[line["at"], line["seed"]] = line["rows"]
            except (ValueError, KeyError, TypeError) as error:
                raise LogCorrupt(
                    f"{self._path}, line {number}: no line of a sweep's journal ({error}). Nothing was run or changed."
                    " Move the file away, or give another path."
                ) from error
        return sum(len(text) + 1 for text in lines)

    def _compare(self, found: dict[str, Any], head: dict[str, Any]) -> None:
        for name in head:
            if found[name] != head[name]:
                raise CallerError(
                    f"{self._path} is the journal of another sweep: its {name} is {found[name]}, here it is"
                    f" {head[name]}. Nothing was run or changed. Give another path, or move the file away."
                )


def stable(value: Any) -> str:
    """Return a text that names a value in every process.

    Raises: CallerError, if there is none.
    """
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}:{value.__qualname__}"
    text = repr(value)
    if re.search(r" at 0x[0-9a-fA-F]+", text):
        raise CallerError(
            f"{text} looks different in every process, so a journal can't tell it from another. Nothing was run."
            " Give it a __repr__, or sweep without a journal."
        )
    return text
