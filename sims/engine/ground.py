"""What the weather of a world stands on: the machines and the network, as far as faults need them."""

from typing import Protocol

from protocol.ids import AgentId
from sims.engine.box import Box
from sims.virtual.loop import VirtualLoop
from sims.virtual.network import Network
from sims.virtual.tools import Outside


class Ground(Protocol):
    """A world's machines, its network, the outside, and its time."""

    boxes: dict[str, Box]
    homes: dict[AgentId, str]
    """By agent, the machine that it lives on."""
    loop: VirtualLoop
    network: Network
    outside: Outside

    def box(self, name: str) -> Box:
        """Return a machine by name.

        Raises: CallerError.
        """
        ...

    def crash(self, name: str, restart_after: float | None, disk: str = "kept", keep: float = 0.5) -> None:
        """End a host's process, if it is up; see `World.crash`."""
        ...

    def bury(self, name: str) -> None:
        """End a host's process for good: another succeeds it."""
        ...

    def note(self, host: str, what: str, detail: str = "") -> None:
        """Put something into the trace."""
        ...
