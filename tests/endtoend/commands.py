"""One cluster's folder and the commands on it, for tests."""

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from peer.cli.main import main

HERE = Path(__file__).parent / "running"
EBBTIDE = Path(sys.executable).with_name("ebbtide")
LOCAL = ("--backend", "local")


def until(is_so: Callable[[], bool], timeout_s: float = 100.0) -> None:
    """Wait for a condition; each look takes its time."""
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


class Run:
    """One cluster's folder, and the commands on it: they run in this process, which is quicker than one for each."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.bank = folder.parent / "bank"
        self.bank.mkdir(exist_ok=True)
        self._capsys = capsys
        self._patch = monkeypatch
        monkeypatch.setenv("EBBTIDE_FOLDER", str(folder))
        monkeypatch.setenv("BANK", str(self.bank))
        monkeypatch.setenv("COLUMNS", "200")

    def do(self, *command: object, code: int | None = 0, answer: str = "") -> str:
        """Run a command to its end; return what it has printed on stdout, or on stderr where it exits with 2.

        With None any exit code will do.
        """
        self._patch.setattr(sys, "stdin", io.StringIO(answer))
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, command)))
        printed, said = self._capsys.readouterr()
        assert code in (None, ended.value.code), (command, ended.value.code, printed, said)
        return said if code == 2 else printed

    def told(self, *command: object, code: int | None = 0) -> list[Any]:
        """Return what a command prints for programs."""
        return [json.loads(line) for line in self.do(*command, "--json", code=code).splitlines()]

    def one(self, *command: object, code: int = 0) -> Any:
        """Return the one object that a command prints for programs."""
        (found,) = self.told(*command, code=code)
        return found

    def rest(self) -> None:
        """Wait until nothing is under way, and everybody answers."""
        until(lambda: not any(row["under_way"] for row in self.told("agents", code=None)))

    @contextmanager
    def up(self, app: str = "corner_shop.py", *options: str) -> Iterator[subprocess.Popen[str]]:
        """Have a local cluster up, in a process of its own."""
        program = subprocess.Popen(
            [EBBTIDE, "up", HERE / app, *LOCAL, *options], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            assert program.stdout is not None
            line = next((line for line in program.stdout if "goes on until" in line), None)
            assert line is not None, program.stderr and program.stderr.read()
            yield program
        finally:
            if program.poll() is None:
                program.kill()
                program.communicate()
