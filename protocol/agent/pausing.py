"""People pause an agent and let it go on: it begins no step and lets nothing go meanwhile (ST-14)."""

from protocol.action import Reply
from protocol.agent.core import Core
from protocol.event import PauseAsked
from protocol.words import PausedRecord


class Pausing:
    """Whether one agent is paused, by whom and why."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def asked(self, event: PauseAsked) -> None:
        """Somebody pauses the agent, or lets it go on; said again it changes nothing but who says so."""
        core = self._core
        if event.is_on or core.paused:
            record = PausedRecord(event.is_on, event.note, event.by, core.now_us, event.proof)
            self.apply(record)
            core.append((record,), is_fact=True)
            core.tell("paused" if event.is_on else "resumed", core.agent, f"by {event.by}: {event.note}")
        core.when_durable(lambda: core.actions.append(Reply(event.request, core.paused)))

    def apply(self, record: PausedRecord) -> None:
        """Take in a pause or its end, live or from the log."""
        why = f": {record.note}" if record.note else ""
        self._core.paused = f"paused by {record.by}{why}" if record.is_on else ""
