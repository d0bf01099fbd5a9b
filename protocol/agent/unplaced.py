"""Messages to names that no agent is known to have: kept here, and not sent (CL-7).

Such a message has not left in any life: its step's record says that it waits, and a record of its own comes before it
is sent. So nobody can have handled it: it is no debit, and a name that was mistyped keeps no rollback open.
"""

from typing import Any, NamedTuple

from protocol.ids import AgentId, StepId
from protocol.message import Data, Void
from protocol.records import BaseRecord, HeldOut
from protocol.step import Input


class Kept(NamedTuple):
    """A message that waits for its receiver, or the place of one that was undone."""

    step: StepId | None
    message: Data | Void


class Unplaced:
    """What one agent has said to names that nobody has heard of, by receiver and place."""

    def __init__(self) -> None:
        self._by_receiver: dict[AgentId, dict[tuple[int, int], Kept]] = {}
        self._since_us: dict[AgentId, int] = {}
        """When the oldest that is not told of yet began to wait."""
        self._heard: dict[AgentId, None] = {}
        """Those of the names that have been heard of since."""

    def __bool__(self) -> bool:
        return bool(self._by_receiver)

    def add(self, receiver: AgentId, incarnation: int, number: int, kept: Kept, now_us: int) -> None:
        """Keep a message until its receiver is heard of."""
        self._by_receiver.setdefault(receiver, {})[incarnation, number] = kept
        self._since_us.setdefault(receiver, now_us)

    def holds(self, receiver: AgentId, incarnation: int, number: int) -> bool:
        """Tell whether a message, or its place, waits here."""
        return (incarnation, number) in self._by_receiver.get(receiver, ())

    def receivers(self) -> list[AgentId]:
        """Return the names that are waited for."""
        return list(self._by_receiver)

    def hear(self, receiver: AgentId) -> None:
        """A name has been heard of: what waits for it may be sent, as soon as no undecided rollback names it."""
        if receiver in self._by_receiver:
            self._heard[receiver] = None

    def heard(self) -> list[AgentId]:
        """Return the names that have been heard of, and still wait."""
        return list(self._heard)

    def steps(self, receiver: AgentId) -> list[StepId]:
        """Return the steps whose messages wait for `receiver`."""
        return [kept.step for kept in self._by_receiver.get(receiver, {}).values() if kept.step is not None]

    def take(self, receiver: AgentId) -> dict[tuple[int, int], Kept]:
        """The receiver is heard of: give up what waits for it."""
        self._since_us.pop(receiver, None)
        self._heard.pop(receiver, None)
        return self._by_receiver.pop(receiver, {})

    def empty(self, steps: tuple[StepId, ...]) -> None:
        """Leave only the places of undone steps' messages: who comes later is to miss none before the next."""
        undone = frozenset(steps)
        for receiver, waiting in self._by_receiver.items():
            for name, kept in waiting.items():
                if kept.step in undone:
                    waiting[name] = Kept(None, Void(*name, "", False))
            if not self.letters(receiver):
                self._since_us.pop(receiver, None)

    def letters(self, receiver: AgentId) -> list[Input]:
        """Return the messages that wait for `receiver`."""
        waiting = self._by_receiver.get(receiver, {}).values()
        return [kept.message.input for kept in waiting if isinstance(kept.message, Data)]

    def due_us(self, wait_us: int) -> int | None:
        """Return when it is to be told next that a name is not heard of."""
        return min(self._since_us.values()) + wait_us if self._since_us else None

    def overdue(self, wait_us: int, now_us: int) -> list[AgentId]:
        """Return the names that are waited for too long, each once."""
        found = [receiver for receiver, since_us in self._since_us.items() if since_us + wait_us <= now_us]
        for receiver in found:
            del self._since_us[receiver]
        return found

    def late(self) -> list[AgentId]:
        """Return the names that have been told of."""
        return [receiver for receiver in self._by_receiver if receiver not in self._since_us]

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base."""
        return {
            "unplaced": tuple(
                HeldOut.of(receiver, kept.step, *name, kept.message)
                for receiver, waiting in self._by_receiver.items()
                for name, kept in waiting.items()
            )
        }

    def load(self, base: BaseRecord, now_us: int) -> None:
        """Take in this part's slice of a base."""
        for out in base.unplaced:
            self.add(out.receiver, out.incarnation, out.number, Kept(out.step, out.message), now_us)
