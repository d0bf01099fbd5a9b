"""What hosts have promised to keep: what was acknowledged while others have copies is never lost (CP-10)."""

from protocol.action import Tell
from protocol.ids import AgentId


class Promises:
    """By agent, how much of its log has been acknowledged while others keep copies."""

    def __init__(self) -> None:
        self._told: dict[AgentId, int] = {}
        self.broken: list[str] = []
        """What was acknowledged, and is lost."""
        self.said: dict[AgentId, None] = {}
        """Whose loss people were told of."""

    def placed(self, log: AgentId, length: int) -> None:
        """So many records of a log are with others, and what waited for that goes on."""
        self._told[log] = max(length, self._told.get(log, 0))

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """Somebody audits: a loss has been told."""
        if notice.notice == "loss":
            self.said[agent] = None

    def shortened(self, log: AgentId, length: int) -> None:
        """A log goes on from so many records: the rest went with a disk."""
        told = self._told.get(log, 0)
        if told > length:
            self.broken.append(f"{log} had acknowledged {told} records, and {length} are left")
            self._told[log] = length
