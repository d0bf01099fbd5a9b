"""What the terminal shows of Ray's processes: hosts' lines as they are, and one clear line for a host that has died.

Ray prints a paragraph for every process that dies, those too that the cluster has killed itself, and gives hosts' lines
a prefix of its own. There is no public way to have it otherwise, so the function that prints is replaced. A Ray without
that function prints as it does.
"""

import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peer.backends.output import BEGIN, END
from peer.backends.ray_import import printer

ACTOR = "HostActor"
"""What Ray calls a host's process."""
STREAMS = 2
"""Of a process: what it prints, and what it prints of errors."""
KILLED_MAX = 1000
"""Processes that the cluster has killed, whose deaths Ray may still tell."""
_DEATH = re.compile(r"^A worker (?:died|process).*?Worker PID: (\d+)", re.DOTALL)
_RETRIED = re.compile(rf"^Task {ACTOR}\.\w+ failed\. There are infinite retries")
"""What the cluster asks of a host that has died: it is asked again, and the death is told by itself."""
_DETAIL = re.compile(r"Worker exit detail: (.*?)(?: Some common causes include| \(1\)|$)", re.DOTALL)


class Lines:
    """What is shown of one cluster's hosts.

    Args:
        name: returns what a host is called, by its folder: with its agents.
    """

    def __init__(self, name: Callable[[Path], str]) -> None:
        self._name = name
        self.is_only = False
        """Nothing else runs on this Ray, which was started for the cluster."""
        self._killed: OrderedDict[int, None] = OrderedDict()
        self._folders: dict[int, Path] = {}
        """By process, the host that it is."""
        self._ended: dict[Path, int] = {}
        self._change = threading.Condition()

    def learn(self, pid: int, folder: Path) -> None:
        """A process is a host's."""
        self._folders[pid] = folder

    def expect_death(self, pid: int) -> None:
        """The cluster kills a process itself: that is no news."""
        self._killed[pid] = None
        while len(self._killed) > KILLED_MAX:
            self._killed.popitem(last=False)

    def ended(self, folder: Path) -> None:
        """All lines of one of a host's streams have come."""
        with self._change:
            self._ended[folder] = self._ended.get(folder, 0) + 1
            self._change.notify_all()

    def await_all(self, folders: Sequence[Path], timeout_s: float) -> None:
        """Wait until all lines of hosts that end are shown, or until the time is over."""
        with self._change:
            self._change.wait_for(lambda: all(self._ended.get(folder, 0) >= STREAMS for folder in folders), timeout_s)

    def death(self, line: str) -> str | None:
        """Return what to tell where Ray tells of a death: nothing of one that was wanted; None if it is not ours."""
        found = _DEATH.search(line)
        if found is None:
            return None
        pid = int(found[1])
        if pid in self._killed:
            return ""
        detail = _DETAIL.search(line)
        why = " ".join(detail[1].split()).rstrip(".") if detail else "Ray does not say why"
        if pid in self._folders:
            name = self._name(self._folders[pid])
            return (
                f"{name}: its process {pid} has died ({why}). Ray starts it again, and its agents go on from their log."
            )
        if self.is_only:
            # It has not said yet which host it is.
            return f"a host's process, {pid}, has died while it started ({why}). Ray starts it again."
        return None


_SHOWN: list[Lines] = []
"""Those of the clusters that run in this process."""
_rays: Any = getattr(printer, "print_to_stdstream", None)


def show(data: dict[str, Any], *args: Any, **kwargs: Any) -> None:
    """Show lines that Ray has gathered, in place of its own function."""
    lines = list(data.get("lines", ()))
    if data.get("pid") == "raylet":
        lines = [line for line in lines if not _RETRIED.match(line)]
        left = [line for line in lines if not any(_told(shown.death(line)) for shown in list(_SHOWN))]
        if left:
            _rays({**data, "lines": left}, *args, **kwargs)
    elif data.get("actor_name") == ACTOR:
        stream = sys.stderr if data.get("is_err") else sys.stdout
        for line in lines:
            if line.startswith(BEGIN):
                for shown in list(_SHOWN):
                    shown.learn(int(data["pid"]), Path(line.removeprefix(BEGIN)))
            elif line.startswith(END):
                for shown in list(_SHOWN):
                    shown.ended(Path(line.removeprefix(END)))
            else:
                print(line, file=stream, flush=True)
    else:
        _rays(data, *args, **kwargs)


def _told(text: str | None) -> bool:
    if text:
        print(text, file=sys.stderr, flush=True)
    return text is not None


def begin(lines: Lines) -> None:
    """Show the lines of a cluster's hosts from now on; before Ray is joined, so that its threads know."""
    if _rays is not None:
        printer.print_to_stdstream = show  # type: ignore[attr-defined]
    _SHOWN.append(lines)


def end(lines: Lines) -> None:
    """Show them no more."""
    if lines in _SHOWN:
        _SHOWN.remove(lines)
