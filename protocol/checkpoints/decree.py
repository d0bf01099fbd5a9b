"""How the succession of one dead host stands at another: its part in one decree of Paxos (CP-8)."""

from protocol.checkpoints.messages import Accept, Prepare, Round
from protocol.ids import HostId

NOBODY: Round = (0, "")


class Decree:
    """One dead host: what this one has promised and accepted, and how its own proposal stands."""

    def __init__(self) -> None:
        self.promised: Round = NOBODY
        self.accepted: Round = NOBODY
        self.value: HostId = ""
        self.own: Round | None = None
        self.epoch = 0
        """The commit whose views the own ballot counts by: one that it outlives is begun anew."""
        self.promises: dict[HostId, tuple[Round, HostId]] = {}
        self.proposed: HostId = ""
        """What the own ballot proposes, once a majority has promised: one value, whatever is heard later."""
        self.accepts: dict[HostId, None] = {}
        self.due_us = 0
        self.tries = 0
        self.early: dict[HostId, Prepare | Accept] = {}
        """By who has asked, the last that was refused since the host was not known here to have failed."""
