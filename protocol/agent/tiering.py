"""People set the tier of an agent, by its name: what an agent of that tier may do alone, its class says (ST-15)."""

from typing import Any

from protocol.action import Reply
from protocol.agent.core import Core
from protocol.event import TierAsked
from protocol.records import BaseRecord
from protocol.words import TierRecord


class Tiering:
    """Which tier one agent has, since when, by whom and why. No rollback, restore or loss of steps changes it."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.last: TierRecord | None = None
        """The last word on it; None: nobody has said any."""

    @property
    def tier(self) -> str:
        """The name that was set last; empty if nobody ever has."""
        return "" if self.last is None else self.last.tier

    def asked(self, event: TierAsked) -> None:
        """Somebody sets the tier; that which it has already is not written down again."""
        core = self._core
        if self.tier != event.tier:
            record = TierRecord(event.tier, event.note, event.by, core.now_us, event.proof)
            self.apply(record)
            core.append((record,), is_fact=True)
            core.tell("tier", event.tier, f"by {event.by}: {event.note}")
        core.when_durable(lambda: core.actions.append(Reply(event.request, event.tier)))

    def apply(self, record: TierRecord) -> None:
        """Take in what somebody has said, live or from the log."""
        self.last = record

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base."""
        return {"tier": self.last}

    def load(self, base: BaseRecord) -> None:
        """Take in this part's slice of a base."""
        self.last = base.tier
