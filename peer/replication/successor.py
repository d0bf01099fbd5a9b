"""Brings the agents of a dead host up on this one, from the copies of their logs (CP-8)."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from peer.errors import LogCorrupt
from peer.replication.incoming import Kept
from peer.replication.inquiry import FoundCopy, Inquiry
from protocol.action import Tell
from protocol.checkpoints.estates import Estate, best_of, is_settled, longest, missing
from protocol.checkpoints.messages import CheckpointRecord
from protocol.event import CutWanted
from protocol.ids import AgentId, HostId
from protocol.wire import decode_host_record

if TYPE_CHECKING:
    from peer.host.host import Host

PATIENCE_S = 120.0
"""How long an heir asks for copies that it has not got itself, before it goes on without them."""
EMPTY: Mapping[AgentId, FoundCopy] = {}


class Heir:
    """The successions that this host carries out."""

    def __init__(self, host: "Host", kept: Kept, inquiry: Inquiry, log: str) -> None:
        self._host = host
        self._kept = kept
        self._inquiry = inquiry
        self._log = log
        self._late: dict[HostId, asyncio.Task[None]] = {}

    def close(self) -> None:
        """Stop."""
        for task in list(self._late.values()):
            task.cancel()

    def take_over(self, dead: HostId) -> None:
        """Bring its agents up: each from its copy, or from its own log here if that was begun in an earlier life."""
        kept = self._kept.of(dead)
        agents = [name for name in dict.fromkeys((*kept, *self._kept.begun(dead))) if name != self._log]
        said = _decoded(self._kept.read(dead, self._log)[2] if self._log in kept else ())
        begun = [name for name in agents if self._host.store.length(name)]
        machine = self._host.checkpoints.machine
        estate = machine.inherits(dead, agents, begun, self._host.agents_of(dead), said)
        if estate.is_open:
            if dead in self._late:
                self._late.pop(dead).cancel()
            self._late[dead] = asyncio.ensure_future(self._hand_down(estate))
            self._late[dead].add_done_callback(partial(self._ended, dead))
        self._begin_all(dead, estate.agents)

    def _begin_all(self, dead: HostId, agents: Iterable[AgentId], found: Mapping[AgentId, FoundCopy] = EMPTY) -> None:
        for name in agents:
            try:
                self._begin(dead, name, found.get(name))
            except LogCorrupt as error:
                self._breaks(dead, name, str(error))
        self._host.checkpoints.inherit()

    # -- what this host has no copy of -----------------------------------------------------------------------------

    async def _hand_down(self, estate: Estate) -> None:
        """Take over what this host has no copy of, also of whom the dead one had succeeded, from whoever has some.

        Where nobody has a copy of what a dead heir had begun with, nothing that it has said of that counts: the copies
        of the host before it are as good as new.
        """
        machine, dead = self._host.checkpoints.machine, estate.dead
        estates = [estate]
        for owner in estate.before:
            estates.append(machine.estates.reopen(owner, self._kept.begun(owner)))
            self._begin_all(owner, estates[-1].agents)
        await self._host.catch_up()
        owners = [each.dead for each in estates]
        here = dict.fromkeys((*self._host.drivers, *(agent for each in estates for agent in each.agents)))
        left = (*self._kept.of(dead), *(agent for owner in owners for agent in self._host.agents_of(owner)))
        agents = missing(left, here, self._log)
        found: dict[HostId, dict[AgentId, FoundCopy]] = {owner: {} for owner in owners}
        # All at once: one answer, or one wait for a host that is away, serves for all of them.
        answers = await asyncio.gather(*(self._all(owners, agent) for agent in agents))
        for agent, copies in zip(agents, answers, strict=True):
            if copies:
                source = best_of(copies)
                found[source][agent] = copies[source]
            else:
                why = f"there is no copy of its log of {dead} any more"
                self._host.noticed(agent, Tell("not-succeeded", agent, why))
        for each in estates:
            if each is not estate:
                said = await self._find(each.dead, self._log)
                # What its heir has said for it, it has said.
                each.said = [*_decoded(() if said is None else said.records), *estate.said]
            each.found(found[each.dead])
            self._begin_all(each.dead, found[each.dead], found[each.dead])

    async def _all(self, owners: Sequence[HostId], log: AgentId) -> dict[HostId, FoundCopy]:
        return {owner: copy for owner in owners if (copy := await self._find(owner, log)) is not None}

    def _ended(self, dead: HostId, task: asyncio.Task[None]) -> None:
        if self._late.get(dead) is task:
            del self._late[dead]
        if not task.cancelled() and (error := task.exception()) is not None:
            text = f"a succession on host {self._host.host_id} stopped: {error}"
            asyncio.get_running_loop().call_exception_handler({"message": text, "exception": error})

    async def _find(self, owner: HostId, log: AgentId) -> FoundCopy | None:
        """Return the best copy of a log, once all have answered that must have one if anybody has."""
        holders = self._host.checkpoints.machine.succession.holders(owner)
        others = [host for host in holders if host != self._host.host_id]
        clock = asyncio.get_running_loop().time
        until, told = clock() + PATIENCE_S, False
        while True:
            copies = await self._inquiry.ask(log, owner=owner, others=others)
            if is_settled(copies, others):
                break
            if clock() > until:
                return None  # an older copy would be taken for all there was
            if not told:
                told = True
                away = ", ".join(host for host in others if host not in copies)
                text = f"waits for {away}, who may have a copy of {log} of {owner}"
                self._host.noticed(log, Tell("succession-waits", log, text))
        return longest((*copies.values(), self._inquiry.here(owner, log)))

    # -- one agent -------------------------------------------------------------------------------------------------

    def _begin(self, dead: HostId, name: AgentId, found: FoundCopy | None) -> None:
        # Its end may have been lost here since it was begun, as that of any agent's log.
        why = self._host.checkpoints.hurt.get(name)
        if why:
            self._breaks(dead, name, why)
        elif self._host.store.length(name):
            self._bring_up(dead, name, lost=why is not None or self._host.store.is_lost(name))
        else:
            if found is None:
                first, prev, records = self._kept.read(dead, name)
            else:
                first, prev, records = found.first, found.prev, found.records
                self._kept.adopts(dead, name, found.kind, found.options)
            up = partial(self._bring_up, dead, name, lost=True)
            self._host.store.begin_at(name, first, prev, records, up, lost=True)

    def _breaks(self, dead: HostId, agent: AgentId, why: str) -> None:
        """One agent can't come up: the others do."""
        self._host.checkpoints.machine.estates.drop(dead, agent)
        self._host.noticed(agent, Tell("not-succeeded", agent, why))
        self._host.breaks(agent, why)

    def _bring_up(self, dead: HostId, agent: AgentId, lost: bool) -> None:
        spec = self._kept.spec(dead, agent, lost)
        if spec is None:
            self._host.checkpoints.machine.estates.drop(dead, agent)
            self._host.checkpoints.inherit()
            return
        # An heir between may have begun a life of it: nothing of that is to be taken for a part of this one.
        self._host.adopt(replace(spec, unheard=self._host.checkpoints.machine.succession.between(dead)))
        self._host.drivers[agent].feed(CutWanted(self._host.checkpoints.machine.epochs.colour))


def _decoded(records: Iterable[bytes]) -> list[CheckpointRecord]:
    return [decode_host_record(data) for data in records]
