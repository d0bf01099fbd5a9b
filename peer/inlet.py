"""Hands agents inputs from outside, numbered, so that each is taken once however often it is handed over."""

import asyncio
from collections.abc import Sequence

from peer import asks
from peer.asks import Submit
from peer.host import Host
from protocol.ids import AgentId

BATCH = 200
"""Inputs handed over at a time; each batch is durable before the next."""


class Inlet:
    """One source of inputs."""

    def __init__(self, source: str, timeout_s: float) -> None:
        self._source = source
        self._timeout_s = timeout_s
        self._numbers: dict[AgentId, int] = {}
        self._turns: dict[AgentId, asyncio.Lock] = {}

    async def submit(self, host: Host, agent: AgentId, payloads: Sequence[bytes]) -> None:
        """Hand over inputs; when this returns they are durable.

        Raises: AgentUnknown, AskTimeout.
        """
        # Two calls at once would give their inputs the same numbers, and one would be taken for the other's repetition.
        async with self._turns.setdefault(agent, asyncio.Lock()):
            for at in range(0, len(payloads), BATCH):
                first = self._numbers.get(agent, 0) + 1
                batch = tuple(payloads[at : at + BATCH])
                body = asks.encode(Submit(self._source, first, batch))
                await host.ask(agent, "submit", body, timeout_s=self._timeout_s)
                self._numbers[agent] = first + len(batch) - 1
