"""This machine: its libzmq, who may join the cluster's Ray, and which of its ports others reach."""

import os
import socket
import struct
from collections.abc import Container, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from peer.backends import ray_head
from peer.doctor.finding import Finding, fail, ok, unknown, warn
from peer.host.condition import about

PROC = Path("/proc")
DASHBOARD = 8265
LISTEN = "0A"
"""As the kernel numbers the state of a socket."""


class Port(NamedTuple):
    """A port on which somebody listens."""

    host: str
    number: int
    inode: str

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine reaches it."""
        return ip_address(self.host).is_loopback

    @property
    def is_public(self) -> bool:
        """Tell whether it is bound to all interfaces, or to an address of the internet."""
        return ip_address(self.host).is_unspecified or ip_address(self.host).is_global

    def __str__(self) -> str:
        return f"[{self.host}]:{self.number}" if ":" in self.host else f"{self.host}:{self.number}"


def check_machine() -> Iterator[Finding]:
    """Look at what this process runs on."""
    here = about(None)
    versions = ", ".join(f"{name} {found}" for name, found in here.versions.items())
    if here.has_curve:
        yield ok("libzmq", f"here it can encrypt (CURVE): {versions}")
    else:
        yield fail("libzmq", f"here it has no CURVE, so nothing can be encrypted: {versions}", "pip install pyzmq")


def check_ray(folder: Path, backend: str, address: str) -> Iterator[Finding]:
    """Look at who may join the cluster's Ray.

    Args:
        folder: the cluster's.
        backend: on which it was started last; empty: nobody noted it.
        address: of a Ray that was not started for it.
    """
    if backend == "local":
        yield ok("ray", "the cluster needs none")
    elif ray_head.head_in(folder) is not None:
        yield ok("ray", "its own Ray asks for a token, which follows from the folder's authority")
    elif not address:
        yield unknown("ray", "no Ray of the cluster's own runs, and none is noted")
    elif os.environ.get("RAY_AUTH_MODE") == "token":
        yield ok("ray", f"RAY_AUTH_MODE=token is set here for the Ray at {address}")
    else:
        yield warn(
            "ray", f"RAY_AUTH_MODE is not token here, and the Ray at {address} may take code from whoever reaches it",
            "Start that Ray with RAY_AUTH_MODE=token: docs/guide/many-machines.md.",
        )  # fmt: skip


def check_ports(processes: Mapping[int, str], own: Container[int], proc: Path = PROC) -> Iterator[Finding]:
    """Look at the ports on which hosts of this machine listen, and Ray's dashboard.

    Args:
        processes: by process here, whose it is.
        own: the ports on which hosts receive: others in a host's process are Ray's.
        proc: where the kernel tells of them.
    """
    try:
        ports = listening(proc)
    except OSError as error:
        yield unknown("ports", f"which ports are open is not told here ({error})")
        return
    mine: dict[str, list[Port]] = {}
    for process, name in processes.items():
        inodes = _inodes_of(process, proc)
        mine.setdefault(name, []).extend(port for port in ports if port.inode in inodes)
    for name, found in mine.items():
        public = [port for port in found if port.is_public]
        if public:
            told = ", ".join(f"{port}{'' if port.number in own else ' (a port of Ray)'}" for port in public)
            remedy = "Have a firewall keep strangers out, or bind to a private address."
            yield warn("ports", f"{name} listens to everybody at {told}", remedy)
        elif found:
            yield ok("ports", f"{name} listens at {', '.join(map(str, found))}")
    if not any(mine.values()):
        yield unknown("ports", "no host of this machine listens, or its process is another user's")
    shown = [port for port in ports if port.number == DASHBOARD and not port.is_loopback]
    if shown:
        yield warn(
            "dashboard", f"a Ray's dashboard, which runs code, listens at {', '.join(map(str, shown))}",
            "Start Ray with --dashboard-host=127.0.0.1 or --include-dashboard=false.",
        )  # fmt: skip
    else:
        yield ok("dashboard", "no dashboard of Ray is reached from elsewhere")


def listening(proc: Path = PROC) -> list[Port]:
    """Return the TCP ports on which somebody listens. Raises: OSError, where the kernel does not tell."""
    found: list[Port] = []
    for name in ("net/tcp", "net/tcp6"):
        file = proc / name
        if name.endswith("6") and not file.exists():
            continue  # without IPv6
        for line in file.read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN:
                address, _, port = fields[1].partition(":")
                found.append(Port(_address(address), int(port, 16), fields[9]))
    return found


def _address(text: str) -> str:
    """Return an address as people write it: the kernel has words of 32 bits, each as the processor stores it."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    found = socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)
    return found.removeprefix("::ffff:") if "." in found else found


def _inodes_of(process: int, proc: Path) -> set[str]:
    found: set[str] = set()
    try:
        for entry in (proc / str(process) / "fd").iterdir():
            try:
                target = os.readlink(entry)
            except OSError:
                continue  # it was closed meanwhile
            if target.startswith("socket:["):
                found.add(target.removeprefix("socket:[").removesuffix("]"))
    except OSError:
        return set()  # it has ended, or is another user's: told as that
    return found
