"""Shared entries: who is sent them, and what arrives (SH-1, SH-3).

An author alone serves its own entries, and writes down whom it serves before the first: so its debits name everyone
who can have read them. While an entry of a space is frozen, no newcomer is admitted to it.
"""

from collections.abc import Sequence

from protocol.action import Admit
from protocol.agent.core import Core
from protocol.event import Merged, SubscriberSeen
from protocol.ids import AgentId
from protocol.records import SubscribedRecord
from protocol.step import Entry


class Sharing:
    """One author's subscribers, and one reader's entries."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._waiting: dict[tuple[str, AgentId], None] = {}
        self._unheard: list[Entry] = []

    def seen(self, event: SubscriberSeen) -> None:
        """Somebody asks for this agent's entries in a space."""
        self._waiting[event.space, event.subscriber] = None
        self.work()

    def work(self) -> None:
        """Admit those who may be; the others wait for a decision."""
        core = self._core
        for space, subscriber in list(self._waiting):
            if subscriber in core.subscribers.get(space, ()):
                del self._waiting[space, subscriber]
                core.actions.append(Admit(space, subscriber))
            elif not core.quarantine.freezes_space(core.own_entries, space):
                del self._waiting[space, subscriber]
                record = SubscribedRecord(space, subscriber)
                self.apply_subscribed(record)
                core.append((record,), lambda space=space, subscriber=subscriber: self._admit(space, subscriber))

    def _admit(self, space: str, subscriber: AgentId) -> None:
        self._core.actions.append(Admit(space, subscriber))

    def apply_subscribed(self, record: SubscribedRecord) -> None:
        """Take in a subscriber, live or from the log."""
        self._core.subscribe(record.space, record.subscriber)

    def merged(self, event: Merged) -> None:
        """Entries of others have arrived; those of lost steps stay hidden."""
        self._merge(event.entries)

    def has_waiting(self) -> bool:
        """Tell whether anybody waits to be admitted, or an entry for a beginning."""
        return bool(self._waiting or self._unheard)

    def heard(self) -> None:
        """A beginning has become known: look again at what waited for one."""
        waiting, self._unheard = self._unheard, []
        self._merge(waiting)

    def _merge(self, entries: Sequence[Entry]) -> None:
        core = self._core
        for entry in entries:
            if core.lives.is_unheard(entry.clock):
                self._unheard.append(entry)
                continue
            if entry.writer.agent == core.agent or not core.versions.merge(entry):
                continue
            if core.lives.is_orphan(entry.clock) or core.colours.is_passed(entry.epoch, entry.era):
                core.retraction.add(entry.writer)
