"""Hosts that go on though the Ray that has started them is gone: nobody but their processes can be told to end."""

import os
import signal
from pathlib import Path

from peer.backends.admission import addresses_in, went
from peer.processes import end_process
from peer.store.lock import holder

END_S = 10.0
"""How long a host may take to end in order. After that it is killed, which loses nothing that was acknowledged."""


def left_in(folder: Path) -> list[str]:
    """Return the hosts of a folder that run on this machine, as the locks of their folders tell."""
    return [name for name in addresses_in(folder) if holder(folder / name) is not None]


def end_left(folder: Path) -> list[str]:
    """End the hosts of a folder that run on this machine; return which."""
    ended: list[str] = []
    for name in left_in(folder):
        place = folder / name
        process = holder(place)
        if process is None:
            continue
        if not end_process(process, lambda place=place, process=process: holder(place) == process, END_S):
            os.kill(process, signal.SIGKILL)
            end_process(process, lambda place=place, process=process: holder(place) == process, END_S)
        went(place)
        ended.append(name)
    return ended
