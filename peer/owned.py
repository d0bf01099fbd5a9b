"""What a host knows of its own logs and of the copies that its buddies have (CP-8)."""

from collections import deque
from dataclasses import dataclass, field

from protocol.ids import AgentId


@dataclass
class OwnLog:
    """One of this host's logs: how long it is, and its end in memory."""

    length: int = 0
    tail: deque[bytes] = field(default_factory=deque)
    """The last records, those that some buddy may lack."""
    anchors: dict[int, None] = field(default_factory=dict)
    """Records of the tail for which reading may begin."""


@dataclass
class Buddy:
    """What one buddy has of this host's logs."""

    has: dict[AgentId, int] = field(default_factory=dict)
    """By log, how many records; a log that is not there has not been asked about."""
    sent: dict[AgentId, int] = field(default_factory=dict)
    asked: dict[AgentId, None] = field(default_factory=dict)
    unsent: dict[AgentId, None] = field(default_factory=dict)
    """Logs of which it is to be sent something."""
    waits: deque[tuple[int, AgentId, int]] = field(default_factory=deque)
    """What it lacks: the place in the order of all writes, the log, and the length that it has to have."""
