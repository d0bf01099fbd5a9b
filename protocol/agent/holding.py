"""What an agent requests is kept from being let go, until whoever doubts the agent has decided (RQ-5)."""

from protocol.action import Reply
from protocol.agent.core import Core
from protocol.event import HoldAsked
from protocol.words import HeldRecord


class Holding:
    """Who keeps one agent's requests from being let go."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def asked(self, event: HoldAsked) -> None:
        """Somebody holds the agent's requests, or does so no more; said again, it changes nothing."""
        core = self._core
        if event.is_on != (event.by in core.held):
            record = HeldRecord(event.by, event.is_on, event.note, core.now_us)
            self.apply(record)
            core.append((record,), is_fact=True)
            core.tell("held" if event.is_on else "let-go", core.agent, f"by {event.by}: {event.note}")
        core.when_durable(lambda: core.actions.append(Reply(event.request, "held" if core.held else "")))

    def apply(self, record: HeldRecord) -> None:
        """Take in a hold or its end, live or from the log."""
        if record.is_on:
            self._core.held[record.by] = record.note
        else:
            self._core.held.pop(record.by, None)
