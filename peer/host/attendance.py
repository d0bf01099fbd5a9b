"""Whether one agent is there, and what follows when that changes (NA-1)."""

from collections.abc import Callable
from typing import Protocol

from peer.agents.making import Origin, making_in
from peer.agents.presence import absence
from peer.errors import AgentAbsent, AgentBroken
from peer.ports import Clock
from protocol.action import Tell
from protocol.agent.machine import PeerMachine
from protocol.event import Event, LetterAsked
from protocol.ids import AgentId

_ABSENT = (AgentAbsent.__name__, AgentBroken.__name__)
"""Begin the reasons of what was refused because the agent was not there."""
_NOTICES = {"": "agent-came", "retired": "agent-retired", "not made": "agent-ended"}
"""By why it is not there, what people are told then."""


class Nursery(Protocol):
    """Who sees to it on a host that agents are made."""

    def sought(self, asker: AgentId, name: AgentId) -> None:
        """What an agent here has said to a name that nobody has is durable: it may be to make one."""
        ...

    def under_way(self, asker: AgentId) -> tuple[str, ...]:
        """Name the agents that one here wants made, and that are not heard of yet."""
        ...

    def there(self, agent: AgentId) -> None:
        """An agent that a handler has made is there: it is this host's, whoever else has brought it up too."""
        ...


class Attendance:
    """Looks, after whatever may have changed it, whether an agent is there.

    Args:
        machine: the agent's.
        origin: how it has come to be; from now on that says how long it has not been there.
        clock: the host's.
        feed: takes events for the machine.
        tell: takes what people should know.
        nursery: is told when it is there.
    """

    def __init__(
        self, machine: PeerMachine, origin: Origin, clock: Clock, feed: Callable[[Event], None],
        tell: Callable[[Tell], None], nursery: Nursery,
    ) -> None:  # fmt: skip
        self._machine = machine
        self._is_made = origin.is_made
        origin.absent_s = self.absent_s
        self._clock = clock
        self._feed = feed
        self._tell = tell
        self._nursery = nursery
        self._hurry: Callable[[], None] | None = None
        self._seen: tuple[int, int, int] | None = None
        self._since_us = clock.now_us()
        self.absence = "not made" if origin.is_made else ""
        """Why it is not there: `retired`, `not made`; empty if it is."""

    def open(self, hurry: Callable[[], None]) -> None:
        """Begin, once the agent's log is read.

        Args:
            hurry: called when it has come to be there.
        """
        self._look()
        self._hurry = hurry
        if self.absence:
            self._redrive()  # its class may be mended since

    def is_there(self) -> bool:
        """Tell whether it handles what comes."""
        return not self.absence

    def absent_s(self) -> float:
        """Return for how many seconds it has not been there."""
        return (self._clock.now_us() - self._since_us) / 1e6

    def look(self) -> None:
        """Look again, if the log is read."""
        if self._hurry is not None:
            self._look()

    def _look(self) -> None:
        core = self._machine.core
        seen = (core.incarnation, core.seq, core.undone)
        if seen == self._seen:
            return
        self._seen = seen
        why = absence(core.versions, self._is_made)
        if why == self.absence:
            return
        self.absence = why
        self._since_us = self._clock.now_us()
        if not why and self._is_made:
            self._nursery.there(core.agent)
        if self._hurry is not None:
            self._tell(Tell(_NOTICES[why], core.agent))
            if not why:
                self._hurry()
        self._redrive()

    def _redrive(self) -> None:
        """Have what was refused for its absence handled: all of it when it is back, what makes it when it is not."""
        core = self._machine.core
        for letter in list(core.dead_letters.letters):
            if letter.why.startswith(_ABSENT) and not core.is_undone(letter.input):
                makes = making_in(letter.input.payload) is not None
                if makes == bool(self.absence):
                    self._feed(LetterAsked(0, letter.input.lineage, "redrive"))
