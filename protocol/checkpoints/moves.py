"""Which agents have come to one host and gone from it, by its own log: an agent is in one place, and in one (MB-9).

One record decides: an agent is its host's until that has written, durably and with its backups, that it has moved. From
then on it is the other's, and whoever reads that record hands the log over until the other says that it has it.
"""

from collections.abc import Iterable

from protocol.checkpoints.messages import (
    CheckpointRecord,
    ComingRecord,
    HandedRecord,
    KnownRecord,
    MovedRecord,
    MoveRecord,
    SucceededRecord,
    TakenRecord,
)
from protocol.fact import Began
from protocol.ids import AgentId, HostId


class Moves:
    """What one host's log says of agents that have come and gone.

    Args:
        host: whose log that is.
    """

    def __init__(self, host: HostId) -> None:
        self._host = host
        self._last: dict[AgentId, MovedRecord | ComingRecord | TakenRecord] = {}
        self._after: dict[AgentId, int] = {}
        """By agent that has moved, after how many successions by this host that was."""
        self._inherited: dict[HostId, int] = {}
        """By host that this one has succeeded, the how manieth that was."""
        self._open: dict[str, MovedRecord] = {}
        """Moves of which it is not known that the other has the agent."""
        self._spoken: dict[str, tuple[int, MovedRecord]] = {}
        """Moves that are over, with the last epoch in whose cut this host speaks for the agent."""
        self.known: dict[str, None] = {}
        """Moves to this host, or to hosts that it has succeeded, that were taken."""

    @classmethod
    def of(cls, host: HostId, records: Iterable[CheckpointRecord]) -> "Moves":
        """Return what a host's log says."""
        moves = cls(host)
        for record in records:
            if isinstance(record, MoveRecord):
                moves.apply(record)
            elif isinstance(record, SucceededRecord):
                moves.succeeded(record)
        return moves

    def apply(self, record: MoveRecord) -> None:
        """Take in a record, live or from the log."""
        match record:
            case MovedRecord():
                last = self._last.get(record.agent)
                if isinstance(last, TakenRecord) and last.id == record.id:
                    return  # it is here by that very move, of a host that this one has succeeded since
                self._last[record.agent] = record
                self._after[record.agent] = len(self._inherited)
                if record.id not in self.known and record.id not in self._spoken:
                    self._open[record.id] = record
            case ComingRecord():
                self._last[record.agent] = record
                self._after[record.agent] = len(self._inherited)
            case TakenRecord():
                self._last[record.agent] = record
                self._know((record.id,))
            case HandedRecord():
                moved = self._open.pop(record.id, None)
                if moved is not None:
                    self._spoken[record.id] = (record.epoch, moved)
            case KnownRecord():
                self._know(record.ids)
            case _:
                raise AssertionError(record)

    def _know(self, ids: Iterable[str]) -> None:
        for name in ids:
            if name:
                self.known[name] = None
                self._open.pop(name, None)

    def succeeded(self, record: SucceededRecord) -> None:
        """Take in that a host was succeeded."""
        if record.by == self._host:
            self._inherited.setdefault(record.dead, len(self._inherited) + 1)

    # -- questions

    def has_inherited(self, dead: HostId) -> bool:
        """Tell whether this host has succeeded another, durably, and so has read what that had taken."""
        return dead in self._inherited

    def is_away(self, agent: AgentId) -> bool:
        """Tell whether an agent has lived here and has moved, or is to live here: its log here counts for nothing."""
        return isinstance(self._last.get(agent), MovedRecord | ComingRecord)

    def is_last(self, record: MovedRecord) -> bool:
        """Tell whether nothing was said of an agent since it has moved: it may have come back, and gone again."""
        return self._last.get(record.agent) == record

    def has_moved_on(self, agent: AgentId, dead: HostId) -> bool:
        """Tell whether an agent has moved away from here since this host has succeeded another."""
        return self.is_away(agent) and dead in self._inherited and self._after[agent] >= self._inherited[dead]

    def taken(self) -> list[TakenRecord]:
        """Return the agents that have come here, and live here."""
        return [record for record in self._last.values() if isinstance(record, TakenRecord)]

    def pending(self) -> list[MovedRecord]:
        """Return the agents that are to be handed over, or have been and nobody knows."""
        return list(self._open.values())

    def said_for(self, epoch: int, undecided: int, begun: tuple[Began, ...]) -> tuple[int, tuple[Began, ...]]:
        """Return what a cut of this host has to say, with that of agents for which nobody else speaks in this epoch.

        Args:
            epoch: the cut's.
            undecided: the oldest epoch that an undecided proposal of the agents here needs.
            begun: the beginnings of the agents here.
        """
        self._spoken = {name: word for name, word in self._spoken.items() if word[0] >= epoch}
        for record in (*self._open.values(), *(record for _, record in self._spoken.values())):
            begun = (*begun, *record.begun)
            if record.undecided is not None:
                undecided = min(undecided, record.undecided)
        return undecided, begun
