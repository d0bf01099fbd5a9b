"""Whether the agents of a host are at rest: who has done nothing since the last look is not looked at again."""

from itertools import islice

from peer.host.births import Births
from peer.host.departures import Departures
from peer.host.driver import Driver
from peer.host.residents import Residents
from peer.host.together import AtRest, InSpaces, Said
from protocol.checkpoints.looking import voted_on
from protocol.checkpoints.machine import CheckpointMachine
from protocol.ids import AgentId

NAMED = 12
"""Agents that an answer names at most, of all that are busy."""


class Rest:
    """What one host says of its agents' rest.

    Args:
        residents: its agents.
        births: those that they want made.
        departures: those that move elsewhere.
        checkpoints: restores that are voted on.
        life: when this life of the host began.
    """

    def __init__(
        self, residents: Residents, births: Births, departures: Departures, checkpoints: CheckpointMachine, life: int
    ) -> None:  # fmt: skip
        self._residents = residents
        self._births = births
        self._departures = departures
        self._checkpoints = checkpoints
        self._life = life
        self._counts: dict[AgentId, tuple[int, int, int]] = {}
        """By agent, of which life, how many steps, and how many of them undone, at the last look."""
        self._busy: dict[AgentId, tuple[str, ...]] = {}
        self._unplaced: dict[AgentId, tuple[AgentId, ...]] = {}
        self._moved = 0

    def look(self, version: int) -> AtRest:
        """Look at who has done anything since, and at who was busy.

        Args:
            version: in which the host has announced who lives there.
        """
        residents = self._residents
        touched, residents.stirred = residents.stirred, {}
        for agent in dict.fromkeys((*touched, *self._busy)):
            self._look_at(agent, residents.drivers.get(agent))
        busy = dict(islice(self._busy.items(), NAMED))
        busy.update(self._departures.under_way())
        votes = voted_on(self._checkpoints)
        if votes and residents.drivers:
            busy.setdefault(next(iter(residents.drivers)), votes)
        spaced = [driver for driver in residents.drivers.values() if driver.agent.spaces]
        broken = {agent: residents.why_broken(agent) for agent in residents.broken}
        return AtRest(
            self._life, version, self._moved, max(len(busy), len(self._busy)), tuple(busy.items()),
            tuple(self._unplaced.items()),
            {driver.agent.name: _in_spaces(driver) for driver in spaced},
            tuple(Said(agent, str(why).encode(), type(why).__name__) for agent, why in broken.items()),
        )  # fmt: skip

    def _look_at(self, agent: AgentId, driver: Driver | None) -> None:
        for known in (self._busy, self._unplaced):
            known.pop(agent, None)
        if driver is None:
            self._moved += self._counts.pop(agent, None) is not None
            return
        seen = driver.machine.looking.status()
        counts = (seen.incarnation, seen.steps, seen.undone)
        self._moved += self._counts.get(agent) != counts
        self._counts[agent] = counts
        if under_way := (*seen.under_way, *self._births.under_way(agent)):
            self._busy[agent] = under_way
        if seen.unplaced:
            self._unplaced[agent] = seen.unplaced


def _in_spaces(driver: Driver) -> InSpaces:
    replicas = driver.replicas
    return InSpaces({space: replicas.serves(space) for space in driver.agent.spaces}, replicas.has())
