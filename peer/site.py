"""What a part of a host may touch of it: who it is, its clock, log and chance, the wire, and people."""

from typing import Protocol

from peer.ports import Clock, LogStore, Randomness
from protocol.action import Tell
from protocol.fact import HostFact
from protocol.ids import AgentId, HostId
from protocol.wire import Frame


class Site(Protocol):
    """One host, as its parts see it. Whatever else a part needs is handed to it by name."""

    host_id: HostId
    clock: Clock
    store: LogStore
    randomness: Randomness

    def send_frame(self, host: HostId, frame: Frame) -> None:
        """Send a frame, best effort, with this host's colour and era as they are now."""
        ...

    def speaks(self, host: HostId) -> int:
        """Return the newest wire version that another host and this one speak (CL-8).

        0 until the other has been heard, and again when it has failed or left: a host may also go back to an older
        release. Whoever needs a newer version waits, and looks again when it has something to send.
        """
        ...

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """Keep a line for whoever audits."""
        ...

    def known_hosts(self) -> list[HostFact]:
        """Return what is known of the other hosts: where each is, and who lives there."""
        ...
