"""Hands agents inputs from outside, numbered, so that each is taken once however often it is handed over."""

import asyncio
import secrets
from collections.abc import Sequence

from peer import errors
from peer.host import questions
from peer.host.host import Host
from peer.host.questions import Submit
from protocol.ids import AgentId

BATCH = 200
"""Inputs handed over at a time; each batch is durable before the next."""


class Inlet:
    """One source of inputs."""

    def __init__(self, source: str, timeout_s: float) -> None:
        self._source = source
        self._timeout_s = timeout_s
        self._sources: dict[AgentId, str] = {}
        """By agent, the name of the source where it is another one."""
        self._numbers: dict[AgentId, int] = {}
        self._turns: dict[AgentId, asyncio.Lock] = {}

    def turn(self, agent: AgentId) -> asyncio.Lock:
        """Return what is held while inputs are handed to an agent.

        Two calls at once would give their inputs the same numbers, and one would be taken for the other's repetition.
        """
        return self._turns.setdefault(agent, asyncio.Lock())

    async def submit(self, host: Host, agent: AgentId, payloads: Sequence[bytes]) -> None:
        """Hand over inputs; when this returns they are durable.

        Raises: AgentUnknown, AskTimeout.
        """
        async with self.turn(agent):
            for at in range(0, len(payloads), BATCH):
                await self._hand_over(host, agent, tuple(payloads[at : at + BATCH]))

    async def _hand_over(self, host: Host, agent: AgentId, batch: tuple[bytes, ...]) -> None:
        first = self._numbers.get(agent, 0) + 1
        source = self._sources.get(agent, self._source)
        try:
            await self._ask(host, agent, Submit(source, first, batch))
        except errors.InputsOutOfOrder:
            if first == 1:
                raise
            # It has lost the end of its log, and what it had taken on with it: it knows no source by this name.
            first, self._sources[agent] = 1, f"{self._source}.{secrets.token_hex(4)}"
            await self._ask(host, agent, Submit(self._sources[agent], first, batch))
        self._numbers[agent] = first + len(batch) - 1

    async def _ask(self, host: Host, agent: AgentId, inputs: Submit) -> None:
        await host.ask(agent, "submit", questions.encode(inputs), timeout_s=self._timeout_s)
