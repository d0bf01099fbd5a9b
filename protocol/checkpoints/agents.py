"""The agents of one host as its checkpoints see them: which are here, and which of them have made the cut (CP-1)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from protocol.action import CutReady
from protocol.fact import Began
from protocol.ids import AgentId
from protocol.proposal import Restore


class Standing(NamedTuple):
    """What an agent's own log tells of cuts and restores."""

    colour: int
    """The newest cut in it."""
    restores: Sequence[Restore] = ()
    """Those carried out in it."""


class AllCut(NamedTuple):
    """Every agent here has made the cut of an epoch, durably."""

    epoch: int
    undecided: int
    """The oldest epoch that an undecided proposal of any of them needs."""
    begun: tuple[Began, ...]


class Agents:
    """Who lives on one host, and who of them is ready."""

    def __init__(self) -> None:
        self._here: dict[AgentId, None] = {}
        self._ready: dict[AgentId, CutReady] = {}
        """Whose cut of the host's colour is durable, the first of them first."""

    def begin(self, agents: Mapping[AgentId, Standing]) -> Standing:
        """These live here as the host begins a life; return the newest of what their logs tell."""
        self._here.update(dict.fromkeys(agents))
        colour = max((standing.colour for standing in agents.values()), default=0)
        return Standing(colour, max((standing.restores for standing in agents.values()), key=len, default=()))

    def joined(self, agent: AgentId) -> None:
        """An agent lives here now."""
        self._here[agent] = None

    def gone(self, agent: AgentId) -> None:
        """An agent lives elsewhere: nothing here waits for it."""
        self._here.pop(agent, None)

    def cut(self) -> None:
        """All are to make another cut."""
        self._ready = {}

    def ready(self, agent: AgentId, cut: CutReady) -> None:
        """An agent's cut is durable."""
        self._ready[agent] = cut

    def all_cut(self, colour: int) -> AllCut | None:
        """Return what the cuts of this colour tell, once all here have made theirs; None before, and where nobody is.

        Who is asked again answers again, so this may be told more than once.
        """
        if len(self._ready) < len(self._here):
            return None  # asked after each agent's cut, of thousands
        done = [cut for agent, cut in self._ready.items() if cut.epoch == colour and agent in self._here]
        if not done or len(done) < len(self._here):
            return None
        begun = tuple(began for cut in done for began in cut.begun)
        return AllCut(colour, min(cut.undecided for cut in done), begun)
