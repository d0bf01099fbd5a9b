"""Where the other hosts were, as one host remembers: so they find each other when all are started again at once.

Those that share a folder look there. On several machines each has its own: then every host keeps its port as long as
that is free, and knocks where it has met others. Who has launched them need not be there any more.
"""

import socket
from asyncio import AbstractEventLoop, TimerHandle
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from peer.backends.admission import ADDRESS, Address
from peer.host.host import Host
from peer.store.files import Files
from protocol.ids import HostId

FILE = "others.json"
"""In a host's folder."""
OTHERS_MAX = 64
"""How many are remembered: to find one that is up is enough, for it knows the rest."""
SOON_S = 1.0
"""How long after the first news they are written down: what comes meanwhile is written with it."""


def remembered(folder: Path) -> list[str]:
    """Return where a host has met others in its last life; none, if it can't be read: it is no more than a hint."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=list[str])
    except (OSError, ValueError):
        return []


def endpoint(folder: Path, machine: str) -> str:
    """Return where a host receives, as ZeroMQ writes it: where it did in its last life, if nobody else does now."""
    try:
        before = urlsplit(msgspec.json.decode((folder / ADDRESS).read_bytes(), type=Address).address)
        if before.hostname == machine and before.port and _is_free(machine, before.port):
            return f"tcp://{machine}:{before.port}"
    except (OSError, ValueError):
        pass  # it has not lived, or has ended in order: nobody looks for it there
    return f"tcp://{machine}:*"


def _is_free(machine: str, port: int) -> bool:
    try:
        with socket.create_server((machine, port)):
            return True
    except OSError:
        return False


class Others:
    """Writes down where a host meets others, as long as it is up."""

    def __init__(self, host: Host, folder: Path, loop: AbstractEventLoop) -> None:
        self._host = host
        self._folder = folder
        self._loop = loop
        self._written: list[str] = []
        self._later: TimerHandle | None = None
        host.neighbours.onlookers[self._turned] = None

    def _turned(self, _: HostId, __: str) -> None:
        if self._later is None:
            self._later = self._loop.call_later(SOON_S, self._write)

    def _write(self) -> None:
        self._later = None
        # A peer without agents comes and goes.
        met = [fact.address for fact in self._host.known_hosts() if self._host.agents_of(fact.host)]
        met = sorted(met)[:OTHERS_MAX]
        if met and met != self._written:
            try:
                Files().put(self._folder / FILE, msgspec.json.encode(met))
            except OSError:
                return  # a full disk: the next news are another try
            self._written = met
