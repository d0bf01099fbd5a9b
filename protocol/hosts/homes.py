"""Which agent lives where (MB-8): a function of the facts held, whatever their order of arrival."""

from protocol.ids import AgentId, HostId

LISTED = 1
"""The term of an agent that its host lists and nobody has claimed."""


class Homes:
    """The claims on agents. The highest term stands, ties by host id."""

    def __init__(self) -> None:
        self.by_agent: dict[AgentId, HostId] = {}
        self._listers: dict[AgentId, tuple[HostId, ...]] = {}
        """Who lists an agent, where that is not just its home: a host knows every agent, so the usual is not kept."""
        self._claims: dict[AgentId, tuple[int, HostId]] = {}

    def term(self, agent: AgentId) -> int:
        """Return the term by which an agent is where it is; 0 if nobody has it."""
        return self._best(agent, self._listed_by(agent))[0]

    def listed(self, host: HostId, before: tuple[AgentId, ...], now: tuple[AgentId, ...]) -> None:
        """A host lists these agents, and no longer those of `before`."""
        kept = dict.fromkeys(now)
        for agent in before:
            if agent not in kept:
                self._settle(agent, tuple(other for other in self._listed_by(agent) if other != host))
        for agent in kept:
            listers = self._listed_by(agent)
            if host not in listers:
                self._settle(agent, (*listers, host))

    def claimed(self, agent: AgentId, term: int, host: HostId) -> None:
        """A host claims an agent."""
        listers = self._listed_by(agent)
        self._claims[agent] = max((term, host), self._claims.get(agent, (0, "")))
        self._settle(agent, listers)

    def _listed_by(self, agent: AgentId) -> tuple[HostId, ...]:
        listers = self._listers.get(agent)
        if listers is not None:
            return listers
        home = self.by_agent.get(agent)
        return () if home is None else (home,)

    def _best(self, agent: AgentId, listers: tuple[HostId, ...]) -> tuple[int, HostId]:
        listed = max(listers, default="")
        return max((LISTED if listed else 0, listed), self._claims.get(agent, (0, "")))

    def _settle(self, agent: AgentId, listers: tuple[HostId, ...]) -> None:
        if len(listers) > 1 or agent in self._claims:
            self._listers[agent] = listers
        else:
            self._listers.pop(agent, None)
        _, host = self._best(agent, listers)
        if host:
            self.by_agent[agent] = host
        else:
            self.by_agent.pop(agent, None)
