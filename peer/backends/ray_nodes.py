"""The machines of a Ray, and on which of them each host runs: always where its log is.

Unless all machines see the cluster's folder, a host's log is on one of them alone. So a host is bound to its machine,
and Ray starts it again there, or waits until the machine is back. New hosts go where there are fewest.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from peer import errors
from peer.backends.ray_import import GetTimeoutError, ray

SHARE = 0.0001
"""Of what Ray counts for each machine by its address: the least that it can count, so hosts never run out of it."""
LOOK_S = 60.0
"""How long machines may take to look into their folders: a process is started on each."""


class Node(NamedTuple):
    """One machine of a Ray."""

    address: str
    id: str


class Seen(NamedTuple):
    """What one machine has of a cluster's folder."""

    is_same: bool
    """It is the folder of whoever has asked, and no other of that name."""
    hosts: frozenset[str]
    """Whose keys are there, and so their logs."""


def alive() -> list[Node]:
    """Return the machines of the Ray that has been joined, in an order that does not change."""
    found: list[Any] = ray.nodes()
    return sorted(Node(node["NodeManagerAddress"], node["NodeID"]) for node in found if node["Alive"])


def look(folder: str, mark: str) -> Seen:
    """Return what this machine has of a cluster's folder."""
    place = Path(folder)
    return Seen((place / mark).exists(), frozenset(key.parent.name for key in place.glob("*/host.key")))


def seen_by(nodes: Sequence[Node], folder: Path) -> dict[str, Seen]:
    """Have machines look into a cluster's folder; return what they have there, by address.

    Raises: BackendFailed, naming the machine where that can't be done.
    """
    if len(nodes) == 1:
        return {nodes[0].address: look(str(folder), "secret")}
    mark = f".seen-{secrets.token_hex(8)}"
    (folder / mark).touch()
    try:
        ask = ray.remote(num_cpus=0, max_retries=0)(look)
        asked = {node.address: ask.options(**_there(node.address)).remote(str(folder), mark) for node in nodes}
        return {address: _answer(address, each) for address, each in asked.items()}
    finally:
        (folder / mark).unlink(missing_ok=True)


def _answer(address: str, asked: Any) -> Seen:
    try:
        return ray.get(asked, timeout=LOOK_S)
    except Exception as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = f"no answer within {LOOK_S:g} s" if isinstance(error, GetTimeoutError) else said[-1] if said else error
        raise errors.BackendFailed(
            f"the machine {address} can't run a host: {why}. Nothing was started. Each machine of a Ray needs what this"
            " one has: the same Python, the same packages, Ebbtide, and the agents' classes in the same place."
        ) from error


def _there(address: str) -> dict[str, Any]:
    """Return what binds a process to a machine: also to its next life, which has another id, and the same address."""
    return {"resources": {f"node:{address}": SHARE}}


class Places:
    """Which host runs on which machine.

    Args:
        nodes: the machines.
        seen: what each has of the cluster's folder, by address.
        noted: by host, the address of the machine where it ran last; empty, if nobody knows.
        has_copies: other hosts keep copies of its log, so it can come up without its own.
        running: the address of each host that runs already.
    """

    def __init__(
        self, nodes: Sequence[Node], seen: Mapping[str, Seen], noted: Mapping[str, str], has_copies: bool,
        running: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self._ids = dict(nodes)
        self._addresses = list(self._ids)
        self._seen = seen
        self._noted = noted
        self._has_copies = has_copies
        self.is_shared = len(nodes) > 1 and all(each.is_same for each in seen.values())
        """All machines see the same folder, so any host can run on any of them; of one machine nobody can tell."""
        self._count = dict.fromkeys(self._addresses, 0)
        for address in running:
            if address in self._count:
                self._count[address] += 1

    def are(self, nodes: Sequence[Node]) -> bool:
        """Say whether these are the machines: others may have joined, and some may have gone or come back."""
        return dict(nodes) == self._ids

    def put(self, hosts: Iterable[tuple[str, str]]) -> dict[str, dict[str, Any]]:
        """Return how each host is started.

        Args:
            hosts: their names, each with what people call it.

        Raises: BackendFailed, naming the machine that has a host's log and is not there.
        """
        at = {host: self._home(host, called) for host, called in hosts}
        for address in filter(None, at.values()):
            self._count[address] += 1
        for host in [host for host, address in at.items() if not address]:
            at[host] = min(self._addresses, key=lambda each: (self._count[each], self._addresses.index(each)))
            self._count[at[host]] += 1
        return {host: self._bound(address) for host, address in at.items()}

    def _bound(self, address: str) -> dict[str, Any]:
        if not self.is_shared:
            return _there(address)
        # There for a start, and where its machine is gone, anywhere. Ray heeds that only of who asks for something: one
        # byte. Who asks for nothing is put anywhere.
        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(self._ids[address], soft=True), "memory": 1}

    def _home(self, host: str, called: str) -> str:
        """Return the machine where a host has to run; empty, if it may run on any."""
        noted = self._noted.get(host, "")
        having = [address for address in self._addresses if host in self._seen[address].hosts]
        if noted in having or (not having and noted in self._addresses):
            return noted
        if having:
            return "" if self.is_shared else having[0]
        if noted and not self._has_copies:
            raise errors.BackendFailed(
                f"{called} has its log on {noted}, which is no machine of this Ray now. Nothing was started. Bring it"
                " back, or copy the folder of that host to a machine that is there. With durability='replicated(1)'"
                " others have its log, too."
            )
        return ""
