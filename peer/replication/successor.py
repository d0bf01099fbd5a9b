"""Brings the agents of a dead host up on this one, from the copies of their logs (CP-8)."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from peer.agents.spec import AgentSpec
from peer.errors import LogCorrupt
from peer.replication.incoming import Kept
from peer.replication.inquiry import FoundCopy, Inquiry
from peer.site import Site
from protocol.action import CutReady, Tell
from protocol.checkpoints.messages import CheckpointRecord
from protocol.checkpoints.succession import Succession
from protocol.fact import Began
from protocol.ids import HOST, AgentId, HostId
from protocol.wire import decode_host_record

PATIENCE_S = 120.0
"""How long a successor asks for copies that it has not got itself, before it goes on without them."""
UNKNOWN = ""
"""Stands for agents of which it is not known yet who they are."""
EMPTY: Mapping[AgentId, FoundCopy] = {}


class Household(Site, Protocol):
    """The host that a dead one's agents come to."""

    def agents_of(self, host: HostId) -> list[AgentId]:
        """Return the agents that live on a host, as far as is known."""
        ...

    def agents_here(self) -> list[AgentId]:
        """Return the agents that are up here."""
        ...

    async def catch_up(self) -> None:
        """Hear what others know."""
        ...

    def adopt(self, spec: AgentSpec) -> None:
        """Bring up an agent that lived elsewhere: it lives here from now on (MB-8)."""
        ...

    def breaks(self, agent: AgentId, why: str) -> None:
        """An agent does not start; whoever asks is told why."""
        ...


class Carrier(Protocol):
    """The checkpoints of the host that succeeds: they are told how far it is."""

    hurt: Mapping[AgentId, str]
    """Logs that were not whole when this life began, as `Mending.mend` returns them."""

    def cut_newcomer(self, agent: AgentId) -> None:
        """An agent has come up here: it makes this host's cut."""
        ...

    def taken_over(
        self, dead: HostId, records: tuple[CheckpointRecord, ...], begun: tuple[Began, ...], agents: tuple[AgentId, ...]
    ) -> None:
        """A dead host's agents live here now.

        Args:
            dead: which.
            records: what it has said as a host.
            begun: the lives that its agents have begun here.
            agents: who they are.
        """
        ...


class Successor:
    """The successions that this host carries out."""

    def __init__(
        self, site: Household, kept: Kept, inquiry: Inquiry, succession: Succession, checkpoints: Carrier
    ) -> None:
        self._site = site
        self._kept = kept
        self._inquiry = inquiry
        self._succession = succession
        self._checkpoints = checkpoints
        self._waits: dict[HostId, dict[AgentId, CutReady | None]] = {}
        """By dead host, its agents, and their cuts here once they have made them."""
        self._said: dict[HostId, Sequence[CheckpointRecord]] = {}
        """By dead host, what it has said."""
        self._late: dict[HostId, asyncio.Task[None]] = {}

    def close(self) -> None:
        """Stop."""
        for task in list(self._late.values()):
            task.cancel()

    def take_over(self, dead: HostId) -> None:
        """Bring its agents up: each from its copy, or from its own log here if that was begun in an earlier life."""
        kept = self._kept.of(dead)
        agents = [name for name in dict.fromkeys((*kept, *self._kept.begun(dead))) if name != HOST]
        self._said[dead] = _decoded(self._kept.read(dead, HOST)[2] if HOST in kept else ())
        before = self._succession.left_by(dead)
        # A successor's copies may be a part of what it had taken over, if it died before its buddies had all of that.
        ready = [name for name in agents if not before or self._site.store.length(name)]
        self._waits[dead] = dict.fromkeys(ready)
        if before or any(agent not in agents for agent in self._site.agents_of(dead)):
            self._waits[dead][UNKNOWN] = None
            if dead in self._late:
                self._late.pop(dead).cancel()
            self._late[dead] = asyncio.ensure_future(self._hand_down(dead, before, ready))
            self._late[dead].add_done_callback(partial(self._ended, dead))
        self._begin_all(dead, ready)

    def _begin_all(self, dead: HostId, agents: Iterable[AgentId], found: Mapping[AgentId, FoundCopy] = EMPTY) -> None:
        for name in agents:
            try:
                self._begin(dead, name, found.get(name))
            except LogCorrupt as error:
                self._breaks(dead, name, str(error))
        self._finish(dead)

    # -- what this host has no copy of -----------------------------------------------------------------------------

    async def _hand_down(self, dead: HostId, before: list[HostId], known: Sequence[AgentId]) -> None:
        """Take over what this host has no copy of, also of whom the dead one had succeeded, from whoever has some.

        Where nobody has a copy of what a dead successor had begun with, nothing that it has said of that counts: the
        copies of the host before it are as good as new.
        """
        owners = (dead, *before)
        begun = {owner: self._kept.begun(owner) for owner in before}
        for owner, agents in begun.items():
            self._waits[owner] = dict.fromkeys((*agents, UNKNOWN))
            self._begin_all(owner, agents)
        await self._site.catch_up()
        here = dict.fromkeys(
            (*known, *self._site.agents_here(), *(agent for agents in begun.values() for agent in agents))
        )
        left = (*self._kept.of(dead), *(agent for owner in owners for agent in self._site.agents_of(owner)))
        agents = [agent for agent in dict.fromkeys(left) if agent not in here and agent != HOST]
        found: dict[HostId, dict[AgentId, FoundCopy]] = {owner: {} for owner in owners}
        # All at once: one answer, or one wait for a host that is away, serves for all of them.
        answers = await asyncio.gather(*(self._all(owners, agent) for agent in agents))
        for agent, copies in zip(agents, answers, strict=True):
            if copies:
                source = best_of(copies)
                found[source][agent] = copies[source]
            else:
                why = f"there is no copy of its log of {dead} any more"
                self._site.noticed(agent, Tell("not-succeeded", agent, why))
        for owner in owners:
            if owner != dead:
                said = await self._find(owner, HOST)
                # What its successor has said for it, it has said.
                self._said[owner] = [*_decoded(() if said is None else said.records), *self._said.get(dead, ())]
            waits = self._waits[owner]
            waits.update(dict.fromkeys(found[owner]))
            del waits[UNKNOWN]
            self._begin_all(owner, found[owner], found[owner])

    async def _all(self, owners: Sequence[HostId], log: AgentId) -> dict[HostId, FoundCopy]:
        return {owner: copy for owner in owners if (copy := await self._find(owner, log)) is not None}

    def _ended(self, dead: HostId, task: asyncio.Task[None]) -> None:
        if self._late.get(dead) is task:
            del self._late[dead]
        if not task.cancelled() and (error := task.exception()) is not None:
            text = f"a succession on host {self._site.host_id} stopped: {error}"
            asyncio.get_running_loop().call_exception_handler({"message": text, "exception": error})

    async def _find(self, owner: HostId, log: AgentId) -> FoundCopy | None:
        """Return the best copy of a log, once all have answered that must have one if anybody has."""
        holders = self._succession.holders(owner)
        others = [host for host in holders if host != self._site.host_id]
        clock = asyncio.get_running_loop().time
        until, told = clock() + PATIENCE_S, False
        while True:
            copies = await self._inquiry.ask(log, owner=owner, others=others)
            if all(host in copies and copies[host].is_whole for host in others):
                break
            if clock() > until:
                return None  # an older copy would be taken for all there was
            if not told:
                told = True
                away = ", ".join(host for host in others if host not in copies)
                text = f"waits for {away}, who may have a copy of {log} of {owner}"
                self._site.noticed(log, Tell("succession-waits", log, text))
        here = self._inquiry.here(owner, log)
        best = max((*copies.values(), here), key=lambda copy: copy.end)
        return best if best.records else None

    # -- one agent -------------------------------------------------------------------------------------------------

    def _begin(self, dead: HostId, name: AgentId, found: FoundCopy | None) -> None:
        # Its end may have been lost here since it was begun, as that of any agent's log.
        why = self._checkpoints.hurt.get(name)
        if why:
            self._breaks(dead, name, why)
        elif self._site.store.length(name):
            self._bring_up(dead, name, lost=why is not None or self._site.store.is_lost(name))
        else:
            if found is None:
                first, prev, records = self._kept.read(dead, name)
            else:
                first, prev, records = found.first, found.prev, found.records
                self._kept.adopts(dead, name, found.kind, found.options)
            up = partial(self._bring_up, dead, name, lost=True)
            self._site.store.begin_at(name, first, prev, records, up, lost=True)

    def _breaks(self, dead: HostId, agent: AgentId, why: str) -> None:
        """One agent can't come up: the others do."""
        self._waits[dead].pop(agent, None)
        self._site.noticed(agent, Tell("not-succeeded", agent, why))
        self._site.breaks(agent, why)

    def _bring_up(self, dead: HostId, agent: AgentId, lost: bool) -> None:
        spec = self._kept.spec(dead, agent, lost)
        if spec is None:
            self._waits[dead].pop(agent, None)
            self._finish(dead)
            return
        # A successor between may have begun a life of it: nothing of that is to be taken for a part of this one.
        self._site.adopt(replace(spec, unheard=self._succession.between(dead)))
        self._checkpoints.cut_newcomer(agent)

    def ready(self, agent: AgentId, action: CutReady) -> None:
        """An agent has made this host's cut."""
        for dead, waits in list(self._waits.items()):
            if agent in waits:
                waits[agent] = action
                self._finish(dead)

    def gone(self, agent: AgentId) -> None:
        """An agent lives elsewhere after all: nobody waits for its cut here."""
        for dead, waits in list(self._waits.items()):
            if waits.pop(agent, self) is not self:
                self._finish(dead)

    def _finish(self, dead: HostId) -> None:
        waits = self._waits.get(dead)
        if waits is None:
            return  # cuts made in an earlier life are there at once: the last of them has ended it
        ready = [action for action in waits.values() if action is not None]
        if len(ready) < len(waits):
            return
        del self._waits[dead]
        begun = tuple(began for action in ready for began in action.begun)
        self._checkpoints.taken_over(dead, tuple(self._said.get(dead, ())), begun, tuple(waits))


def _decoded(records: Iterable[bytes]) -> list[CheckpointRecord]:
    return [decode_host_record(data) for data in records]


def best_of(copies: Mapping[HostId, FoundCopy]) -> HostId:
    """Return whose copy of an agent's log to go on with.

    Args:
        copies: by owner, the last that had it first. One that holds no more than a part of an older owner's was not
            there in full: its owner has said nothing that counts.
    """
    owners = iter(copies)
    best = next(owners)
    for owner in owners:
        if _is_part(copies[best], copies[owner]):
            best = owner
    return best


def _is_part(part: FoundCopy, whole: FoundCopy) -> bool:
    if part.end > whole.end:
        return False
    at = part.end - whole.first
    return at < 0 or part.records[-1] == whole.records[at]
