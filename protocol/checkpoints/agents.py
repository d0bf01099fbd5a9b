"""The agents of one host as its checkpoints see them: which are here, which of them have made the cut (CP-1), and which
sleep (CP-13).

Who sleeps has nothing that a cut or a commit would change, so it is told of neither. Its place in every cut since is
the end of its log, which it does not write to before it is woken; and being woken it first makes its host's cut.
"""

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
    """Every agent here has made the cut of an epoch, durably, or sleeps."""

    epoch: int
    undecided: int
    """The oldest epoch that an undecided proposal of any of them needs."""
    begun: tuple[Began, ...]


class Agents:
    """Who lives on one host, and who of them is ready."""

    def __init__(self) -> None:
        self._here: dict[AgentId, None] = {}
        self._awake: dict[AgentId, None] = {}
        self._asleep: dict[AgentId, None] = {}
        self._waited: dict[AgentId, None] = {}
        """Whose cut of the host's colour is waited for."""
        self._ready: dict[AgentId, CutReady] = {}
        """Whose cut of the host's colour is durable, the first of them first."""
        self._begun: dict[AgentId, tuple[Began, ...]] = {}
        """What those that sleep, or have slept, have lost: they are not asked again."""

    def begin(self, agents: Mapping[AgentId, Standing]) -> Standing:
        """These live here as the host begins a life; return the newest of what their logs tell."""
        for agent in agents:
            self.joined(agent)
        colour = max((standing.colour for standing in agents.values()), default=0)
        return Standing(colour, max((standing.restores for standing in agents.values()), key=len, default=()))

    def joined(self, agent: AgentId) -> None:
        """An agent lives here now."""
        self._here[agent] = None
        self.woken(agent)
        if agent not in self._ready:
            self._waited[agent] = None

    def gone(self, agent: AgentId) -> None:
        """An agent lives elsewhere: nothing here waits for it."""
        for known in (self._here, self._awake, self._asleep, self._waited, self._begun):
            known.pop(agent, None)

    def awake(self) -> list[AgentId]:
        """Return those that do not sleep: who is told of a cut or a commit."""
        return list(self._awake)

    def is_awake(self, agent: AgentId) -> bool:
        """Tell whether an agent is told of a cut or a commit."""
        return agent in self._awake

    def sleeps(self, agent: AgentId) -> bool:
        """Tell whether an agent sleeps."""
        return agent in self._asleep

    def slept(self, agent: AgentId, begun: tuple[Began, ...]) -> None:
        """An agent sleeps from here on: where its log ends is its place in each cut until it is woken."""
        if agent in self._here:
            self._awake.pop(agent, None)
            self._waited.pop(agent, None)
            self._asleep[agent] = None
            if begun:
                self._begun[agent] = begun

    def woken(self, agent: AgentId) -> None:
        """An agent sleeps no more. The cut under way does not wait for it: its place in that is where it slept."""
        self._asleep.pop(agent, None)
        self._awake[agent] = None

    def cut(self) -> None:
        """All that are awake are to make another cut."""
        self._ready = {}
        self._waited = dict(self._awake)

    def ready(self, agent: AgentId, cut: CutReady) -> None:
        """An agent's cut is durable."""
        self._ready[agent] = cut
        self._waited.pop(agent, None)

    def all_cut(self, colour: int) -> AllCut | None:
        """Return what the cuts of this colour tell, once all here have made theirs; None before, and where nobody is.

        Who is asked again answers again, so this may be told more than once.
        """
        if self._waited or not self._here:
            return None  # asked after each agent's cut, of thousands
        done = {agent: cut for agent, cut in self._ready.items() if cut.epoch == colour and agent in self._here}
        begun = [began for cut in done.values() for began in cut.begun]
        # CP-4: also of those that were not asked, since who has missed the last commit may hear of this one alone.
        begun += [began for agent, lost in self._begun.items() if agent not in done for began in lost]
        return AllCut(colour, min((cut.undecided for cut in done.values()), default=colour), tuple(begun))
