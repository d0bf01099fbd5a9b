"""Messages to names that nobody has heard of: when they leave, and when people are told that they have not (CL-7)."""

from protocol.action import Seek
from protocol.agent.core import Core
from protocol.ids import AgentId
from protocol.records import PlacedRecord


class Placing:
    """The way of one agent's messages to receivers that come later, or never."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def recovered(self) -> None:
        """Look again for those that were not heard of in an earlier life."""
        for receiver in self._core.unplaced.receivers():
            if self._core.knows(receiver):
                self._core.unplaced.hear(receiver)
            else:
                self._core.actions.append(Seek(receiver))

    def work(self) -> None:
        """Send what waits for names that have been heard of; tell of those that have not been for too long."""
        core = self._core
        if not core.unplaced:
            return
        for receiver in core.unplaced.heard():
            # RB-5: a vote may stand that says of a step that this has not left. Once it is decided it may.
            if not any(core.quarantine.freezes(step) for step in core.unplaced.steps(receiver)):
                self._place(receiver)
        for receiver in core.unplaced.overdue(core.limits.unplaced_us, core.now_us):
            core.tell("undeliverable", receiver, f"{len(core.unplaced.letters(receiver))} messages wait for it")

    def _place(self, receiver: AgentId) -> None:
        record = PlacedRecord(receiver)
        names = self.apply(record)
        # A disk that is lost must not take with it the word that this has left: the receiver would be no debit.
        self._core.append((record,), lambda: self._durable(receiver, names), is_fact=True)

    def _durable(self, receiver: AgentId, names: list[tuple[int, int]]) -> None:
        for incarnation, number in names:
            self._core.outbox.release(receiver, incarnation, number)
        self._core.flush([receiver])

    def apply(self, record: PlacedRecord) -> list[tuple[int, int]]:
        """Let what waits for a receiver join what is to be sent; return the places, live or from the log."""
        core, receiver = self._core, record.receiver
        taken = core.unplaced.take(receiver)
        for (incarnation, number), kept in taken.items():
            core.outbox.add(receiver, kept.step, incarnation, number, kept.message)
        return list(taken)

    def deadline_us(self) -> int | None:
        """Return when to tell of a name that is not heard of."""
        return self._core.unplaced.due_us(self._core.limits.unplaced_us)
