"""Which hosts a cluster's folder has, and who lives in each: so an agent finds its log again, however it is launched.

A host that has run, and whose own folder is gone, is lost and not new.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from peer import errors
from peer.agents.spec import AgentSpec
from peer.store.files import Files
from peer.store.reading import open_logs
from protocol.ids import AgentId

ADDED = "agents.json"
"""In a host's folder on Ray: the agents that came after it had started."""
FILE = "hosts.json"


class Seat(Struct):
    """One host's place in a cluster's folder."""

    agents: list[AgentId] = []
    """Who lives there."""
    ran: bool = False
    """It has been up: what it had said, somebody may remember."""
    node: str = ""
    """The address of the machine where it was last started, if Ray has others."""


def seats_in(folder: Path) -> dict[str, Seat]:
    """Return the hosts that were ever launched from a folder, by name, in order; none where nobody noted any.

    Raises: ConfigInvalid, naming the file, if it can't be read or is no list of hosts.
    """
    file = folder / FILE
    try:
        found = msgspec.json.decode(file.read_bytes(), type=dict[str, Seat] | list[str])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unusable(folder, error) from error
    except ValueError as error:
        raise errors.ConfigInvalid(
            f"{file} is no list of hosts ({error}). Nothing was started. Write into it the names of the hosts"
            ' that have ever run from this folder, as in ["host-1", "host-2"], or start from another folder.'
        ) from error
    # Up to 0.1 it named the hosts alone.
    return {name: Seat(_agents_in(folder / name), True) for name in found} if isinstance(found, list) else found


def check_usable(folder: Path) -> None:
    """Make a cluster's folder, unless it is there, and check that it can be written.

    Raises: ConfigInvalid, naming it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: OSError) -> errors.ConfigInvalid:
    return errors.ConfigInvalid(
        f"folder={str(folder)!r} can't be used: {error.strerror or error}. Nothing was started. Name a folder that can"
        " be made, or that is there and can be written."
    )


def _agents_in(place: Path) -> list[AgentId]:
    try:
        return [name for name in open_logs(place).agents() if ":" not in name]
    except (errors.ConfigInvalid, errors.LogFailed, errors.LogCorrupt):
        return []  # its folder is gone, or can't be read: whoever starts it is told


class Roll:
    """The hosts of a cluster's folder, and who lives where."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seats = seats_in(folder)
        homes: dict[AgentId, str] = {}
        for name, seat in self._seats.items():
            for agent in seat.agents:
                homes.setdefault(agent, name)
        self._homes = homes
        self._known = frozenset(homes)
        """Who lived here before this start, as far as anybody knows."""

    def has_run(self, host: str) -> bool:
        """Tell whether a host of that name has been up in this folder."""
        seat = self._seats.get(host)
        return seat is not None and seat.ran

    def is_founder(self, host: str) -> bool:
        """Tell whether a host is the first of all that were ever launched here: it founds the cluster."""
        return next(iter(self._seats), None) == host

    def seated(
        self, specs: Sequence[AgentSpec], agents_per_host: int, up: Sequence[str]
    ) -> list[tuple[str, list[AgentSpec]]]:
        """Return who goes to which host, and note it, durably.

        Whoever has lived here goes where its log is, whatever the order and the packing this time. Others fill up the
        last host that is up, and then new ones.

        Args:
            specs: who is launched.
            agents_per_host: how many share a host that is new.
            up: the hosts that are up, in order.
        """
        groups: dict[str, list[AgentSpec]] = {}
        fresh: list[AgentSpec] = []
        for spec in specs:
            home = self._homes.get(spec.name)
            if home is None:
                fresh.append(spec)
            else:
                groups.setdefault(home, []).append(spec)
        last = up[-1] if up else None
        for spec in fresh:
            if last is None or len(self._seats[last].agents) >= agents_per_host:
                last = self._new_name()
                self._seats[last] = Seat()
            self._seats[last].agents.append(spec.name)
            self._homes[spec.name] = last
            groups.setdefault(last, []).append(spec)
        if fresh:
            self._write()
        return list(groups.items())

    def _new_name(self) -> str:
        number = len(self._seats) + 1
        while f"host-{number}" in self._seats:
            number += 1
        return f"host-{number}"

    def ran(self, hosts: Mapping[str, str]) -> None:
        """Note that hosts are up, each on which machine; durable when this returns."""
        fresh = {name: node for name, node in hosts.items() if self._seats[name] != self._up(name, node)}
        self._seats.update((name, self._up(name, node)) for name, node in fresh.items())
        if fresh:
            self._write()

    def _up(self, host: str, node: str) -> Seat:
        return msgspec.structs.replace(self._seats[host], ran=True, node=node)

    def nodes(self) -> dict[str, str]:
        """Return on which machine each host was last started; empty, where nobody has noted any."""
        return {name: seat.node for name, seat in self._seats.items()}

    def leaves(self, agent: AgentId) -> None:
        """An agent did not come up: it has no home here, unless it may have lived here before, and left its log."""
        if agent in self._known:
            return
        home = self._homes.pop(agent, None)
        if home is not None:
            self._seats[home].agents.remove(agent)
            self._write()

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        Files().put(self._folder / FILE, msgspec.json.encode(self._seats))
