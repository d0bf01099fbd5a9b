"""A Ray of one cluster's own that outlives the program which has started it, and is ended by who names the folder.

It is `ray start --head --block`, in a session of its own. That process holds a lock in the folder as long as it lives,
so whoever looks knows whether it does, and which one it is. To join takes a token that follows from the authority of
the folder.

Nothing here imports Ray, which reads what is set in the environment when it is imported.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from peer import errors
from peer.agents.failures import clean, one_line
from peer.keys import HostKeys
from peer.processes import end_process
from peer.store.files import Files
from peer.store.lock import holder, lock
from peer.trust import authority

FILE = "ray.json"
LOCK = "ray.lock"
START_S = 120.0
LOOK_S = 0.05
CHARS_MAX = 500


_SIGNED = (
    "import os, sys; held = int(sys.argv[1]); os.ftruncate(held, 0); os.pwrite(held, b'%d\\n' % os.getpid(), 0);"
    " os.execv(sys.executable, [sys.executable, '-m', 'ray.scripts.scripts', *sys.argv[2:]])"
)
"""Names itself in the lock that it has inherited, and becomes Ray: whoever has started it may be killed at any time."""


@contextmanager
def _held_back() -> Iterator[None]:
    """Let signals wait that would end this program: a process that is just being started would be nobody's."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only there Python handles any
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came[:1]:
            os.kill(os.getpid(), number)


class Head(Struct):
    """Where it is."""

    address: str
    scratch: str
    """Its own folder for what it writes, short enough for its sockets; removed with it."""


def environment(root: HostKeys) -> dict[str, str]:
    """Return what has to be set where Ray is imported, so that it may join."""
    token = authority.derived(root, b"ebbtide-ray").hex()
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


def head_in(folder: Path) -> Head | None:
    """Return the Ray that was started for a folder, if it runs.

    Raises: ConfigInvalid.
    """
    return _read(folder) if holder(folder, LOCK) is not None else None


def start(folder: Path, root: HostKeys, cpus: int) -> Head:
    """Start a Ray, unless the folder's runs already; it goes on when this program ends.

    Raises: BackendFailed, in one line; LogBusy, if somebody starts it at this moment.
    """
    found = head_in(folder)
    if found is not None:
        return found
    left = _read(folder)
    if left is not None:
        shutil.rmtree(left.scratch, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix="ebbtide-ray-"))
    held = lock(folder, LOCK)
    process: subprocess.Popen[bytes] | None = None
    try:
        with _held_back(), (scratch / "head.txt").open("wb") as said:
            process = subprocess.Popen(
                [
                    sys.executable, "-c", _SIGNED, str(held), "start", "--head", "--block", "--port=0",
                    "--node-ip-address=127.0.0.1", f"--temp-dir={scratch}", "--include-dashboard=false",
                    f"--num-cpus={cpus}", "--disable-usage-stats",
                ],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, pass_fds=(held,),
                env={**os.environ, **environment(root)},
            )  # fmt: skip
        head = Head(_address(scratch, process), str(scratch))
        Files().put(folder / FILE, msgspec.json.encode(head))
    except BaseException:
        if process is not None:
            started = process
            end_process(started.pid, lambda: started.poll() is None, START_S)
            started.wait()
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    finally:
        os.close(held)  # it is the new process's, as long as that lives
    return head


def end(folder: Path, timeout_s: float) -> None:
    """End a folder's Ray, and no other; nothing if it does not run.

    Raises: AskTimeout, if it does not end in time.
    """
    head, process = _read(folder), holder(folder, LOCK)
    if process is not None and not end_process(process, lambda: holder(folder, LOCK) == process, timeout_s):
        raise errors.AskTimeout(f"the Ray of {folder}, process {process}, did not end within {timeout_s:g} s.")
    if head is not None:
        shutil.rmtree(head.scratch, ignore_errors=True)
        (folder / FILE).unlink(missing_ok=True)


def _read(folder: Path) -> Head | None:
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Head)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise errors.ConfigInvalid(
            f"{folder / FILE} does not say where the cluster's Ray is ({error}). Nothing was done. Process"
            f" {holder(folder, LOCK)} is that Ray, if any; end it, and remove the file."
        ) from error


def _address(scratch: Path, process: "subprocess.Popen[bytes]") -> str:
    """Wait until a Ray runs; return its address. Raises: BackendFailed."""
    file, until = scratch / "ray_current_cluster", time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        if file.exists() and (found := file.read_text().strip()):
            return found
        time.sleep(LOOK_S)
    said = clean(one_line((scratch / "head.txt").read_text(errors="replace"))[-CHARS_MAX:], CHARS_MAX)
    raise errors.BackendFailed(
        f"Ray did not start here: {said or 'it said nothing'}. Nothing was started. --backend local needs no Ray."
    )
