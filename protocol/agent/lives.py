"""The lives of agents: where this one's own stands, which beginnings are known, and what went with a disk (CL-2, FR-1).

What a loss undoes is for others to work out.
"""

from collections.abc import Callable
from typing import Any

from protocol.clock import Clock, names_lost
from protocol.fact import Began
from protocol.ids import AgentId
from protocol.records import BaseRecord


class Lives:
    """What one agent knows of its own lives, and of others'."""

    def __init__(self, agent: AgentId) -> None:
        self._agent = agent
        self.incarnation = 1
        self.seq = 0
        """The own last step's, in this incarnation."""
        self.lost: dict[tuple[AgentId, int], int] = {}
        """By agent and incarnation, the first lost step."""
        self._newest: dict[AgentId, int] = {}
        """The newest incarnation whose beginning is known, if it is not the first."""
        self._beginnings: list[Began] = []
        """This agent's own, and those of others that it has heard of."""

    def begun(self, incarnation: int, is_anew: bool) -> None:
        """This agent begins an incarnation: anew, after a loss, or its first."""
        self.incarnation = incarnation
        if is_anew:
            self.seq = 0

    def took(self, incarnation: int, seq: int) -> None:
        """This agent has taken a step."""
        if incarnation == self.incarnation:
            self.seq = max(self.seq, seq)

    def heard(self, began: Began) -> None:
        """Take in a beginning after a loss."""
        self._beginnings.append(began)
        self._newest[began.agent] = max(began.incarnation, self._newest.get(began.agent, 1))
        for life, last in began.lost:
            first = self.lost.get((began.agent, life), last + 1)
            self.lost[began.agent, life] = min(last + 1, first)

    def knows(self, began: Began) -> bool:
        """Tell whether a beginning says nothing new.

        Beginnings come in any order: an earlier one tells of lives that a later one does not name, or, where a
        successor has died and another has had more of its log, of more of them.
        """
        is_newer = began.incarnation > self._newest.get(began.agent, 1)
        known = (self.lost.get((began.agent, life), last + 2) <= last + 1 for life, last in began.lost)
        return not is_newer and all(known)

    def beginnings(self, wanted: Callable[[Began], bool] = lambda began: True) -> tuple[Began, ...]:
        """Return the beginnings after a loss that are known here."""
        return tuple(began for began in self._beginnings if wanted(began))

    def own(self) -> tuple[Began, ...]:
        """Return every beginning of this agent after a loss: its cuts name them (CP-4)."""
        return self.beginnings(lambda began: began.agent == self._agent)

    def newest(self, agent: AgentId) -> int:
        """Return the newest incarnation of another agent whose beginning is known here."""
        return self._newest.get(agent, 1)

    def is_lost(self, agent: AgentId, incarnation: int, seq: int) -> bool:
        """Tell whether a step went with its agent's disk."""
        first = self.lost.get((agent, incarnation))
        return first is not None and seq >= first

    def is_orphan(self, clock: Clock) -> bool:
        """Tell whether whatever carries this clock hangs on a lost step, whatever its edges say (FR-2)."""
        return any(names_lost(clock, agent, life, first) for (agent, life), first in self.lost.items())

    def is_unheard(self, clock: Clock) -> bool:
        """Tell whether a clock names an incarnation whose beginning is not known here (CL-2).

        Its entry would hide an older one of the same agent, which may be of a lost step.
        """
        if not clock or max(clock.values())[0] <= 1:
            # First incarnations need no beginning; the usual case, and long clocks pass at C's speed.
            return False
        return any(entry[0] > max(1, self._newest.get(agent, 1)) for agent, entry in clock.items())

    # -- bases -----------------------------------------------------------------------------------------------------

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base."""
        return {"incarnation": self.incarnation, "seq": self.seq, "beginnings": self.beginnings()}

    def load(self, base: BaseRecord) -> None:
        """Take in this part's slice of a base; what followed from the beginnings is told otherwise."""
        self.incarnation, self.seq = base.incarnation, base.seq
        for began in base.beginnings:
            self.heard(began)
