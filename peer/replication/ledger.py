"""What a host knows of its own logs and of the copies that its backups have (CP-8)."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from peer.agents.kinds import kind_at
from peer.agents.spec import AgentSpec
from peer.chain import FIRST_HASH
from peer.ports import LogStore
from peer.values import payload
from protocol.checkpoints.copy import COPY_BYTES
from protocol.ids import AgentId


@dataclass
class OwnLog:
    """One of this host's logs: how long it is, and its end in memory."""

    length: int = 0
    since: int = 0
    """How long it was when its agent began anew after a loss, if that was in this life of the host."""
    tail: deque[bytes] = field(default_factory=deque)
    """The last records, those that some backup may lack."""
    anchors: dict[int, None] = field(default_factory=dict)
    """Records of the tail for which reading may begin."""


@dataclass
class Backup:
    """What one backup has of this host's logs."""

    has: dict[AgentId, int] = field(default_factory=dict)
    """By log, how many records; a log that is not there has not been asked about."""
    sent: dict[AgentId, int] = field(default_factory=dict)
    asked: dict[AgentId, None] = field(default_factory=dict)
    unsent: dict[AgentId, None] = field(default_factory=dict)
    """Logs of which it is to be sent something."""
    waits: deque[tuple[int, AgentId, int]] = field(default_factory=deque)
    """What it lacks: the place in the order of all writes, the log, and the length that it has to have."""

    def has_all(self, written: int) -> bool:
        """Tell whether it has every write up to a place in the order of all."""
        while self.waits and self.has.get(self.waits[0][1], 0) >= self.waits[0][2]:
            self.waits.popleft()
        return not self.waits or self.waits[0][0] > written

    def forget(self, log: AgentId) -> None:
        """Wait for nothing more of one log."""
        for known in (self.has, self.sent, self.asked, self.unsent):
            known.pop(log, None)
        self.waits = deque(wait for wait in self.waits if wait[1] != log)


def first_of(log: Iterable[bytes]) -> list[bytes]:
    """Return the first records of a log, as many as go into one message."""
    records: list[bytes] = []
    size = 0
    for record in log:
        records.append(record)
        size += len(record)
        if size >= COPY_BYTES:
            break
    return records


def cut_back(store: LogStore, name: AgentId, since: int) -> int:
    """Let a copy end after so many records, or begin anew where that can't be; return how many it keeps."""
    if since > store.length(name) or since < store.reads_from(name)[0]:
        since = 0
    store.begin_at(name, since + 1, store.hash_of(name, since) if since else FIRST_HASH, (), lambda: None)
    return since


def spec_of(agent: AgentId, kind: str, options: bytes, lost: bool) -> AgentSpec | None:
    """Return what it takes to bring up an agent; None if its class can't be found here."""
    found = kind_at(kind) if kind else None
    if found is None:
        return None
    decoded = payload.decode(options)
    return AgentSpec(agent, found, decoded if isinstance(decoded, dict) else {}, lost)
