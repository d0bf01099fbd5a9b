"""Who holds a folder is known to the kernel, and only that process is ended."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from peer import LogBusy
from peer.processes import end_process
from peer.store.lock import holder, lock, sign

HOLD = (
    "import pathlib, sys; from peer.store.lock import lock; lock(pathlib.Path(sys.argv[1]));"
    " print('held', flush=True); sys.stdin.read()"
)


@contextmanager
def held(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_folder_is_held_as_long_as_its_process_lives(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with held(tmp_path) as process:
        assert holder(tmp_path) == holder(tmp_path) == process.pid
        with pytest.raises(LogBusy, match=str(process.pid)):
            lock(tmp_path)
        assert end_process(process.pid, lambda: holder(tmp_path) == process.pid, 30)
        process.wait()
    # Its number still stands there, and names nobody.
    assert (tmp_path / "lock").read_text() == f"{process.pid}\n"
    assert holder(tmp_path) is None


def test_another_process_of_that_number_is_left_alone(tmp_path: Path) -> None:
    with held(tmp_path) as process:
        assert end_process(process.pid, lambda: False, 30)
        assert process.poll() is None
    assert end_process(process.pid, lambda: True, 30)


@pytest.mark.parametrize("ends", [True, False])
def test_where_the_kernel_has_no_names_for_processes_numbers_are_looked_at(
    ends: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    with held(tmp_path) as process:
        if ends:
            assert end_process(process.pid, lambda: holder(tmp_path) == process.pid, 30)
            assert process.wait() == -15
        else:
            monkeypatch.setattr(os, "kill", lambda number, signal: None)
            assert not end_process(process.pid, lambda: holder(tmp_path) == process.pid, 0.1)


def test_a_lock_goes_to_who_inherits_it_and_names_it(tmp_path: Path) -> None:
    handle = lock(tmp_path, "other.lock")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(handle,)) as heir:
        sign(handle, heir.pid)
        os.close(handle)
        assert holder(tmp_path, "other.lock") == heir.pid
        assert holder(tmp_path) is None
        heir.kill()
    assert holder(tmp_path, "other.lock") is None
