"""Who asks in a simulated world: `peer.Cluster` itself, on a host of its own in the simulated network."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peer.agents.spec import AgentSpec
from peer.backends import Came, Room
from peer.cluster.cluster import Cluster
from peer.host import questions
from peer.host.host import Host
from peer.keys import HostKeys
from peer.trust.badge import Badge
from protocol.ids import AgentId, HostId
from protocol.limits import HostLimits, Limits
from sims.virtual.chance import SeededRandomness, stream
from sims.virtual.clock import VirtualClock
from sims.virtual.disk import Disk, VirtualStore
from sims.virtual.loop import VirtualLoop
from sims.virtual.network import Network, VirtualTransport

NAME = "operator"
HAND_IN_S = 600.0
"""Virtual seconds until an agent that does not answer ends the world."""


class Operator(Cluster):
    """A cluster whose backend is the simulator: it asks, and launches nothing."""

    def __init__(
        self, seed: int, loop: VirtualLoop, network: Network, limits: Limits | None,
        host_limits: HostLimits | None = None,
    ) -> None:  # fmt: skip
        super().__init__(backend="local", folder=Path())
        launched = self._launched = _Launched(seed, loop, network, limits, host_limits)
        self._backend = launched
        self._keeping = launched.host.keeping
        self._source = NAME
        self._calls = 0
        self.authority = launched.authority
        self.address = launched.transport.address

    async def hand_in(self, agent: AgentId, messages: Sequence[Any]) -> None:
        """Hand inputs in, one caller at a time for each agent, so that they are taken in order.

        Each call is a source of its own: an agent that loses its disk forgets what it had accepted, and would take
        nothing more from a source whose numbers go on.
        """
        payloads = self.encoded(messages)
        await self.hand_on(agent, questions.Submit(self.new_source(), 1, payloads))

    async def hand_on(self, agent: AgentId, inputs: questions.Submit) -> None:
        """Hand inputs to an agent's host, and wait until they are durable; those that it has already are left."""
        async with self._inlet.turn(agent):
            await self.host.ask(agent, "submit", questions.encode(inputs), timeout_s=HAND_IN_S)

    def new_source(self) -> str:
        """Return the name of a source of inputs that is like no other."""
        self._calls += 1
        return f"{NAME}-{self._calls}"

    def know(self, agent: AgentId) -> None:
        """An agent has come: somebody to ask about the whole cluster."""
        self._agents.append(agent)
        self._launched.host.asking.expect((agent,))

    async def restore_to(self, epoch: int, inputs: str, timeout_s: float) -> int:
        """Have everything go back to a checkpoint, and wait until every agent has; return the restore's number."""
        self._calls += 1
        ask = questions.RestoreTo(f"{NAME}/{self._calls}", epoch, inputs, "", 0)
        number = int(await self.host.ask(self._agents[0], "restore", questions.encode(ask), timeout_s=timeout_s))
        while True:
            looks = [await self.status(agent, timeout_s=timeout_s) for agent in self._agents]
            if all(look.era >= number for look in looks):
                return number
            await asyncio.sleep(0.02)

    def cut_off(self) -> None:
        """Stop dead."""
        self._launched.host.crash()
        self._launched.transport.cut_off()


class _Launched:
    """Implements `peer.backends.Backend` as far as somebody who only asks needs it."""

    def __init__(
        self, seed: int, loop: VirtualLoop, network: Network, limits: Limits | None,
        host_limits: HostLimits | None,
    ) -> None:  # fmt: skip
        keys = HostKeys.from_seed(f"{seed}/{NAME}".encode())
        self.authority = HostKeys.from_seed(f"{seed}/authority".encode())
        self.transport = VirtualTransport(network, keys)
        self.host = Host(
            Badge.issued(self.authority, keys), self.transport,
            VirtualStore(loop, Disk(), stream(seed, f"disk/{NAME}")), VirtualClock(loop), limits=limits,
            randomness=SeededRandomness(seed, f"host/{NAME}"), host_limits=host_limits,
        )  # fmt: skip

    async def start(self) -> Host:
        await self.host.open()
        return self.host

    def room(self) -> Room:
        raise NotImplementedError("agents of a simulated world are launched by World.spawn")

    async def launch(self, specs: list[AgentSpec], agents_per_host: int, came: Came) -> None:
        raise NotImplementedError("agents of a simulated world are launched by World.spawn")

    async def release(self, agent: AgentId) -> None:
        raise NotImplementedError("agents of a simulated world are launched by World.spawn")

    async def kill(self, agent: AgentId, for_good: bool, with_disk: bool = False) -> None:
        raise NotImplementedError("hosts of a simulated world are killed by World.crash")

    async def retire(self, host: HostId) -> None:
        raise NotImplementedError("hosts of a simulated world are taken away by World.crash")

    async def leave(self) -> None:
        raise NotImplementedError("a simulated world ends with its program")

    async def stop(self) -> None:
        await self.host.close()
