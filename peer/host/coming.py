"""Who can come up when a host begins a life: damaged logs are mended before, and who can't is told (CP-11)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from peer.agents.spec import AgentSpec
from peer.host.births import Births
from peer.host.checkpoints import Checkpoints
from peer.host.residents import Residents
from peer.ports import LogStore
from protocol.action import Tell
from protocol.hosts.machine import HostMachine
from protocol.ids import HOST, AgentId

CATCH_UP_S = 5.0
"""How long a host with a lost agent waits for others, whom it asks for what they know of it."""


async def heard(machine: HostMachine) -> None:
    """Go on once other hosts have been heard, or that takes too long."""
    until = asyncio.get_running_loop().time() + CATCH_UP_S
    while not machine.others() and asyncio.get_running_loop().time() < until:
        await asyncio.sleep(CATCH_UP_S / 100)
    await asyncio.sleep(CATCH_UP_S / 10)


class Beginning(Protocol):
    """The host that begins a life."""

    store: LogStore
    residents: Residents
    checkpoints: Checkpoints
    births: Births

    def announce(self) -> None:
        """Let the other hosts know who is here."""
        ...

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """Keep a line for whoever audits."""
        ...


def without_log(host: Beginning, agents: Sequence[AgentSpec]) -> Sequence[AgentSpec]:
    """Return who comes up on a host whose log is gone: nobody; of each it is told who goes on with it, or how to."""
    names = ", ".join(spec.name for spec in agents)
    if host.checkpoints.has_backups():
        host.noticed(HOST, Tell("log-gone", names, "a backup of the host that had them goes on with them"))
        return ()
    for spec in agents:
        host.residents.expect((spec,))
        host.residents.breaks(
            spec.name, "its log is gone, and no other host kept a copy: restore the folder from a backup"
        )
    return ()


async def startable(host: Beginning, agents: Sequence[AgentSpec]) -> list[AgentSpec]:
    """Mend damaged logs; return who can start, those included that handlers have made, and who has lost its log's end.

    Raises: LogCorrupt, if the host's own log is not whole.
    """
    wrong = await host.checkpoints.mend(spec.name for spec in agents)
    made, lacking = host.births.living(agents)
    host.residents.expect(made)
    if made:
        host.announce()
    for name, why in lacking.items():
        host.residents.breaks(name, why)
    specs: list[AgentSpec] = []
    for spec in (*agents, *made):
        if wrong.get(spec.name):
            host.residents.breaks(spec.name, wrong[spec.name])
        else:
            # A life before this one may have found that out, and ended before the agent had begun anew.
            lost = spec.lost or spec.name in wrong or host.store.is_lost(spec.name)
            specs.append(replace(spec, lost=lost))
    return specs
