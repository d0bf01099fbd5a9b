"""Which steps no longer count: a lattice that only grows (ST-4).

Source: state-based CRDTs, Shapiro, Preguica, Baquero, Zawirski 2011, section 2 (join-semilattice); Damani and Garg
1996 for the open interval of a lost incarnation.
"""

from collections.abc import Iterable

from protocol.ids import AgentId, StepId
from protocol.interval import OPEN, IntervalSet


class Retraction:
    """`(agent, incarnation) -> set of seq intervals`, joined by union."""

    __slots__ = ("_by_life",)

    def __init__(self) -> None:
        self._by_life: dict[tuple[AgentId, int], IntervalSet] = {}

    def __contains__(self, step: StepId) -> bool:
        intervals = self._by_life.get((step[0], step[1]))
        return intervals is not None and step[2] in intervals

    def add(self, step: StepId) -> bool:
        """Retract one step; True if it was not retracted before."""
        return self._of(step.agent, step.incarnation).add(step.seq)

    def add_all(self, steps: Iterable[StepId]) -> None:
        """Retract each of `steps`."""
        for step in steps:
            self.add(step)

    def add_lost(self, agent: AgentId, incarnation: int, first: int) -> bool:
        """Retract every step of a lost incarnation from `first` on; True if that was news."""
        return self._of(agent, incarnation).add(first, OPEN)

    def join(self, other: "Retraction") -> "Retraction":
        """Return the least retraction that covers both: commutative, associative, idempotent.

        Source: Shapiro et al. 2011, section 2.
        """
        joined = Retraction()
        for part in (self, other):
            for (agent, incarnation), intervals in part._by_life.items():
                for start, end in intervals.intervals():
                    joined._of(agent, incarnation).add(start, end)
        return joined

    def intervals(self) -> dict[tuple[AgentId, int], tuple[tuple[int, int], ...]]:
        """Return the retracted intervals, by agent and incarnation in order."""
        return {life: self._by_life[life].intervals() for life in sorted(self._by_life)}

    def listed(self) -> tuple[tuple[AgentId, int, int, int], ...]:
        """Return every interval: agent, incarnation, first, last."""
        return tuple((*life, *interval) for life, intervals in self.intervals().items() for interval in intervals)

    def load(self, listed: tuple[tuple[AgentId, int, int, int], ...]) -> None:
        """Add what `listed` has told."""
        for agent, incarnation, first, last in listed:
            self._of(agent, incarnation).add(first, last)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Retraction) and self.intervals() == other.intervals()

    def _of(self, agent: AgentId, incarnation: int) -> IntervalSet:
        life = (agent, incarnation)
        intervals = self._by_life.get(life)
        if intervals is None:
            intervals = self._by_life[life] = IntervalSet()
        return intervals
