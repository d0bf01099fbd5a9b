"""One question to many agents: their hosts are asked, each once for all of its own, until all have answered."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from peer import errors
from peer.host import questions
from peer.host.patience import doubling
from peer.host.together import EACH, Each, Said
from peer.values.texts import asked_name
from protocol.ids import AgentId, HostId

PAUSE_S = 0.05
PAUSE_S_MAX = 0.5
"""How long it takes, at first and at most, before who has not answered is asked again."""
HOST_S = 5.0
"""For how long a host is asked before it is looked whether its agents live elsewhere by now."""


class Asks(Protocol):
    """Asks hosts, and knows where agents live."""

    @property
    def lives(self) -> Mapping[AgentId, HostId]:
        """By agent, the host where it lives, as far as is known."""
        ...

    def is_here(self, agent: AgentId) -> bool:
        """Tell whether an agent is up here."""
        ...

    @property
    def here(self) -> HostId:
        """The host that asks."""
        ...

    async def ask_host(self, host: HostId, what: str, body: bytes, *, timeout_s: float) -> bytes:
        """Ask something of a host itself. Raises: AskTimeout, and others, as the host says."""
        ...

    def unheard_s(self, agent: AgentId, timeout_s: float) -> float:
        """Return for how long nobody may have heard of an agent before that is an error."""
        ...

    def unknown(self, agent: AgentId, waited_s: float) -> errors.AgentUnknown:
        """Return what is to be said of an agent of whom nobody has heard."""
        ...

    def meeting(self, agent: AgentId) -> asyncio.Future[None]:
        """Return what is done once it is heard where an agent lives."""
        ...


class _Round:
    """One question to many agents, on its way."""

    def __init__(self, asks: Asks, what: str, body: bytes, timeout_s: float) -> None:
        self._asks, self._what, self._body, self._timeout_s = asks, what, body, timeout_s
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self.found: dict[AgentId, bytes | errors.EbbtideError] = {}

    def left_s(self) -> float:
        """Return how much time is left."""
        return self._began + self._timeout_s - self._clock()

    async def go(self, agents: Sequence[AgentId]) -> None:
        """Ask until all have answered, or the time is over."""
        pauses = doubling(PAUSE_S, PAUSE_S_MAX)
        left = agents
        while left and self.left_s() > 0:
            by_host, unmet = self._grouped(left)
            await asyncio.gather(*(self._ask(host, names) for host, names in by_host.items()))
            left = [agent for agent in left if agent not in self.found]
            if left:
                await self._wait(unmet, min(next(pauses), max(0.0, self.left_s())))
        for agent in left:
            self.found[agent] = questions.silent(agent, self._what, self._timeout_s)

    def _grouped(self, agents: Iterable[AgentId]) -> tuple[dict[HostId, list[AgentId]], list[AgentId]]:
        by_host: dict[HostId, list[AgentId]] = {}
        unmet: list[AgentId] = []
        waited_s = self._clock() - self._began
        for agent in agents:
            host = self._asks.here if self._asks.is_here(agent) else self._asks.lives.get(agent)
            if host is not None:
                by_host.setdefault(host, []).append(agent)
            elif waited_s >= (unheard_s := self._asks.unheard_s(agent, self._timeout_s)):
                self.found[agent] = self._asks.unknown(agent, unheard_s)
            else:
                unmet.append(agent)
        return by_host, unmet

    async def _wait(self, unmet: list[AgentId], pause_s: float) -> None:
        if unmet:
            await asyncio.wait((self._asks.meeting(unmet[0]),), timeout=pause_s)
        else:
            await asyncio.sleep(pause_s)

    async def _ask(self, host: HostId, agents: list[AgentId]) -> None:
        body = questions.encode(Each(self._what, tuple(agents), self._body))
        try:
            answer = await self._asks.ask_host(host, EACH, body, timeout_s=min(HOST_S, max(0.0, self.left_s())))
        except errors.AskTimeout:
            return  # who lived there may live elsewhere by now
        wanted = frozenset(agents)
        for said in questions.decode(answer, list[Said]):
            if said.agent in wanted:
                self.found[said.agent] = questions.failure(said.error, said.body) if said.error else said.body


async def ask_each(
    asks: Asks, agents: Iterable[AgentId], what: str, body: bytes, timeout_s: float
) -> dict[AgentId, bytes | errors.EbbtideError]:
    """Ask the same of many agents, in one question a host.

    Args:
        asks: asks the hosts.
        agents: who is asked.
        what: a question that is answered at once.
        body: what belongs to it.
        timeout_s: for how long.

    Returns: by agent, in the order given, what it says, or why there is no answer: AgentUnknown, AskTimeout, and
        others, as its host says.

    Raises: CallerError, for a question that can't be asked so, and for what is no name.
    """
    names = list(dict.fromkeys(map(asked_name, agents)))
    asked = _Round(asks, what, body, timeout_s)
    await asked.go(names)
    return {name: asked.found[name] for name in names}
