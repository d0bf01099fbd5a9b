"""Who can come up when a host begins a life: damaged logs are mended before, and who can't is told (CP-11)."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import msgspec

from peer.agents.spec import AgentSpec, made
from peer.agents.unstarted import Unstarted
from peer.errors import AgentBroken, LogCorrupt
from peer.host.births import Births
from peer.host.checkpoints import Checkpoints
from peer.host.driver import Driver, Surroundings
from peer.host.neighbours import Neighbours
from peer.host.residents import Residents
from protocol.action import Tell
from protocol.checkpoints.messages import CheckpointRecord
from protocol.checkpoints.moves import Moves
from protocol.event import Learned, LogStalled
from protocol.fact import Began
from protocol.hosts.machine import HostMachine
from protocol.ids import HOST, AgentId, HostId
from protocol.limits import Limits

CATCH_UP_S = 5.0
"""How long a host with a lost agent waits for others, whom it asks for what they know of it."""


async def heard(machine: HostMachine) -> None:
    """Go on once other hosts have been heard, or that takes too long."""
    until = asyncio.get_running_loop().time() + CATCH_UP_S
    while not machine.others() and asyncio.get_running_loop().time() < until:
        await asyncio.sleep(CATCH_UP_S / 100)
    await asyncio.sleep(CATCH_UP_S / 10)


class Beginning(Surroundings, Protocol):
    """The host that begins a life."""

    host_id: HostId
    residents: Residents
    births: Births
    neighbours: Neighbours
    limits: Limits
    stall: str

    @property
    def checkpoints(self) -> Checkpoints:
        """Its checkpoints, its own log and its copies."""
        ...

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


def present(host: Beginning, agents: Sequence[AgentSpec], records: Iterable[CheckpointRecord]) -> Sequence[AgentSpec]:
    """Return who has not moved to another host, as the host's log tells (MB-9), and forget the others."""
    moves = Moves.of(host.host_id, records)
    for record in moves.taken():
        # Before it is listed: where it was has claimed it, perhaps, and that is to be outdone.
        host.neighbours.claim(record.agent, record.term)
    for spec in agents:
        if moves.is_away(spec.name):
            host.residents.release(spec.name)
            if spec.lost:
                host.residents.shortened[spec.name] = None
    return [spec for spec in agents if not moves.is_away(spec.name)]


def expected(host: Beginning, agents: Sequence[AgentSpec]) -> Sequence[AgentSpec]:
    """Return who is likely to come up, before damaged logs are mended."""
    try:
        return present(host, agents, host.births.told())
    except LogCorrupt:
        return agents  # it is looked again once that is mended


async def startable(host: Beginning, agents: Sequence[AgentSpec]) -> list[AgentSpec]:
    """Mend damaged logs; return who can start, those included that handlers have made, and who has lost its log's end.

    Raises: LogCorrupt, if the host's own log is not whole.
    """
    wrong = await host.checkpoints.mend(spec.name for spec in agents)
    records = host.births.told()
    agents = present(host, agents, records)
    made, lacking = host.births.living(agents, records)
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


def bring_up(host: Beginning, spec: AgentSpec) -> None:
    """Make an agent, and have it go on from its log.

    Raises: AgentBroken, LogCorrupt, WireInvalid.
    """
    try:
        agent = made(spec, host.attempts)
    except AgentBroken as error:
        if not spec.is_made:
            raise
        # Whoever has made it may be undone, and nobody launches it again: it must be there to be asked.
        agent = Unstarted(spec.kind, str(error))
        host.noticed(spec.name, Tell("agent-broken", spec.name, str(error)))
    agent.name = spec.name
    most = spec.kind.attempts or host.limits.attempts_max
    limits = msgspec.structs.replace(host.limits, failures_max=spec.kind.tries, attempts_max=most)
    driver = Driver(host, agent, limits, host.births.origin(spec), host.births)
    driver.options = spec.options
    begun = [fact for fact in host.neighbours.machine.gossip.facts() if isinstance(fact, Began)]
    known = (fact.incarnation for fact in begun if fact.agent == spec.name)
    host.residents.drivers[spec.name] = driver
    host.checkpoints.copies.begin(spec.name, host.store.length(spec.name), spec.lost)
    driver.start(spec.lost, max(known, default=1), spec.unheard)
    for fact in begun:
        driver.feed(Learned(fact))
    host.checkpoints.joined(driver)
    if host.stall:
        driver.feed(LogStalled(True))
