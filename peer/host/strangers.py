"""Names that agents here have sent to, and that no agent is known to have: who waits for which (CL-7)."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Protocol

from msgspec.structs import replace

from protocol.action import Tell
from protocol.event import Event, Reached
from protocol.ids import AgentId, HostId


class Feeds(Protocol):
    """An agent that is told what has happened."""

    def feed(self, event: Event) -> None:
        """Handle an event."""
        ...


class Strangers:
    """Tells one host's agents whom anybody has heard of, and remembers who has asked in vain.

    Args:
        homes: by agent, where it lives, as far as is known.
        here: the agents that are up on this host.
    """

    def __init__(self, homes: Mapping[AgentId, HostId], here: Mapping[AgentId, Feeds]) -> None:
        self._homes = homes
        self._here = here
        self._asked: dict[AgentId, dict[AgentId, None]] = {}

    def knows(self, asker: AgentId, name: AgentId) -> bool:
        """Tell whether an agent of a name has been heard of; if not, `asker` is told when it is."""
        if self._is_known(name):
            return True
        self._asked.setdefault(name, {})[asker] = None
        return False

    def look(self) -> None:
        """More agents may be known than before: tell those who have asked for one of them in vain."""
        for name in [name for name in self._asked if self._is_known(name)]:
            for asker in self._asked.pop(name):
                driver = self._here.get(asker)
                if driver is not None:
                    driver.feed(Reached(name))

    def advised(self, notice: Tell) -> Tell:
        """Return a notice, with a remedy if it is of a name that nobody has."""
        if notice.notice != "undeliverable":
            return notice
        return replace(notice, detail=f"{notice.detail}. {nearest(notice.subject, self._homes)}")

    def _is_known(self, name: AgentId) -> bool:
        return name in self._here or name in self._homes


def nearest(name: AgentId, known: Iterable[AgentId]) -> str:
    """Return a remedy for a name that no agent has: the nearest one, if any is near."""
    near = get_close_matches(name, sorted(known), 1)
    return f"Did you mean {near[0]!r}?" if near else "Look at the name, or launch it first."
