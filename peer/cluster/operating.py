"""What operators ask of the hosts of a cluster: numbers, whether they are well, what they run on."""

import asyncio
from typing import Any

from peer import errors
from peer.cluster.moving import Mover
from peer.host import questions
from peer.host.condition import About
from peer.host.health import ABOUT, HEALTH, MEASURE, Health
from peer.host.measures import Measured
from protocol.fact import State
from protocol.ids import HostId

LOOK_S = 5.0
"""How long a host may take to say how it is."""


class Operating(Mover):
    """What looks at hosts; each is asked once, all at the same time, and one that does not answer is told as that."""

    async def measures(self, *, timeout_s: float = LOOK_S) -> dict[HostId, Measured | errors.EbbtideError]:
        """Return what each host with agents has counted in this life: see `peer.host.measures`; or why it does not say.

        Args:
            timeout_s: how long each may take.
        """
        return await self._each_host(MEASURE, Measured, timeout_s)

    async def health(self, *, timeout_s: float = LOOK_S) -> dict[HostId, Health | errors.EbbtideError]:
        """Return how each host with agents stands, or why it does not say.

        Args:
            timeout_s: how long each may take.
        """
        return await self._each_host(HEALTH, Health, timeout_s)

    async def about(self, *, timeout_s: float = LOOK_S) -> dict[HostId, About | errors.EbbtideError]:
        """Return what each host with agents runs on, or why it does not say.

        Args:
            timeout_s: how long each may take.
        """
        return await self._each_host(ABOUT, About, timeout_s)

    def hosts(self) -> list[HostId]:
        """Return the hosts with agents that have been heard of, those too that do not answer any more."""
        return sorted(dict.fromkeys(self.host.homes.values()))

    async def _each_host(self, what: str, kind: Any, timeout_s: float) -> dict[HostId, Any]:
        hosts = self.hosts()

        async def ask(host: HostId) -> Any:
            if self.host.neighbours.machine.standing(host) == State.FAILED:
                return errors.AskTimeout(f"host {host} has failed: it does not answer the others")
            try:
                return questions.decode(await self.host.asking.ask_host(host, what, b"", timeout_s=timeout_s), kind)
            except errors.EbbtideError as error:
                return error

        return dict(zip(hosts, await asyncio.gather(*map(ask, hosts)), strict=True))
