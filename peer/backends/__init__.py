"""Where hosts run: loaded by name, so that only what is used is imported. Only backends choose real ports."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from peer import errors
from peer.agents.spec import AgentSpec
from peer.host.host import Host
from peer.store.outside.keeping import Places
from peer.store.storage import Storage
from protocol.ids import AgentId, HostId
from protocol.limits import CheckpointLimits, Limits

BACKENDS = {"ray": "peer.backends.ray:RayBackend", "local": "peer.backends.local:LocalBackend"}


Came = Callable[[int], None]
"""Is told how many more agents are up."""


class Room(NamedTuple):
    """What there is to launch hosts on."""

    cores: int
    """Processors of all machines."""
    hosts: int
    """Hosts that are up already."""
    free_bytes: int | None
    """Memory that is left where all hosts run on this machine; None: nobody can tell."""


class Backend(Protocol):
    """Launches hosts; carries no message between agents."""

    async def start(self) -> Host:
        """Bring up the cluster's own host, which has no agents, and return it."""
        ...

    async def launch(self, specs: list[AgentSpec], agents_per_host: int, came: Came) -> None:
        """Bring up agents, each on the host where its log is; new ones fill up a host that has room first.

        Args:
            specs: who.
            agents_per_host: how many share a host that is new.
            came: is told how many have come up with each host.
        """
        ...

    def room(self) -> Room:
        """Return what there is to launch hosts on."""
        ...

    async def release(self, agent: AgentId) -> None:
        """Forget an agent that never came up: its name can be used again."""
        ...

    async def kill(self, agent: AgentId, for_good: bool, with_disk: bool = False) -> None:
        """Kill the host of an agent; it is started again from its folder, unless `for_good`.

        With `with_disk` the folder is deleted before, while the host is running.
        """
        ...

    async def retire(self, host: HostId) -> None:
        """End a host that has left, and not start it again; nothing if it was not launched from here."""
        ...

    async def leave(self) -> None:
        """Leave the hosts running, in place of `stop`. Raises: CallerError, if they can't run on."""
        ...

    async def stop(self) -> None:
        """End all hosts."""
        ...


Made = Callable[[Path, Limits | None, CheckpointLimits, Places, dict[str, Any], Storage | None], Backend]


def load_backend(name: str) -> Made:
    """Return a backend's class.

    Raises: CallerError, naming the ones there are.
    """
    if name not in BACKENDS:
        raise errors.CallerError(f"no backend {name!r}; there are: {', '.join(BACKENDS)}. Nothing was started.")
    module, _, attribute = BACKENDS[name].partition(":")
    return getattr(import_module(module), attribute)
