"""What an agent's driver tells and asks of the checkpoints of its host."""

from collections.abc import Callable
from typing import Protocol

from protocol.action import CutReady
from protocol.checkpoints.messages import ForAgent
from protocol.event import Event
from protocol.ids import AgentId


class Checkpointer(Protocol):
    """What a driver tells of its log, for checkpoints and copies."""

    def cut_ready(self, agent: AgentId, action: CutReady) -> None:
        """An agent's cut is durable."""
        ...

    @property
    def is_replicated(self) -> bool:
        """Whether every record is with the backups before anything follows from it, not facts alone."""
        ...

    def wrote(self, log: AgentId, records: list[bytes], anchor: bool = False) -> None:
        """Records are durable here: the backups may want them."""
        ...

    def place(self, log: AgentId, done: Callable[[], None]) -> None:
        """Call `done` once the backups have all that is durable here, of this log too (CP-8)."""
        ...

    def when_recovered(self, leave: Callable[[], None]) -> None:
        """Let something leave, once the backups have what earlier lives have written (CP-8)."""
        ...

    def before(self, agent: AgentId, event: Event) -> list[ForAgent]:
        """Return what an agent is to be told before an event: one that sleeps is woken (CP-13)."""
        ...
