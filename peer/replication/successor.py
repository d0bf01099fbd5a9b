"""Brings the agents of a dead host up on this one, from the copies of their logs (CP-8)."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from peer.agents.spec import AgentSpec
from peer.errors import AgentBroken, LogCorrupt, PayloadInvalid
from peer.replication.incoming import Kept
from peer.replication.inquiry import FoundCopy, Inquiry
from peer.replication.opener import Opener
from peer.replication.sealing import level_of
from peer.site import Site
from protocol.action import Tell
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.estates import Estate, best_of, commit_in, is_settled, longest, missing, reached_by
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.messages import CheckpointRecord, TakenRecord
from protocol.checkpoints.moves import Moves
from protocol.errors import WireInvalid
from protocol.ids import HOST, AgentId, HostId
from protocol.wire import decode_host_record

PATIENCE_S = 120.0
"""How long a successor asks for copies that it has not got itself, and for shares, before it goes on without them."""
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
    """The checkpoints of the host that succeeds."""

    hurt: Mapping[AgentId, str]
    """Logs that were not whole when this life began, as `Mending.mend` returns them."""

    def catches_up(self, colour: int, commit: Commit | None = None) -> None:
        """A log that comes here tells of a cut, and of the commit before it: no step here may fall before that."""
        ...

    def cut_newcomer(self, agent: AgentId) -> None:
        """An agent has come up here: it makes this host's cut."""
        ...

    def keep(self, record: CheckpointRecord, done: Callable[[], None]) -> None:
        """Keep a record of this host; `done` is called once it is durable and copied."""
        ...

    def inherits(self, left: Moves) -> None:
        """Go on with the moves that a dead host has begun."""
        ...

    def inherit(self) -> None:
        """Speak for the dead hosts whose agents are all up here."""
        ...


class Successor:
    """The successions that this host carries out.

    Args:
        site: the host.
        kept: the copies that it keeps for others.
        inquiry: asks others for theirs.
        opener: opens copies, and has others return what it takes.
        machine: its checkpoint machine, which says what is whose.
        checkpoints: what makes cuts and speaks for dead hosts.
    """

    def __init__(
        self, site: Household, kept: Kept, inquiry: Inquiry, opener: Opener, machine: CheckpointMachine,
        checkpoints: Carrier,
    ) -> None:  # fmt: skip
        self._site = site
        self._kept = kept
        self._inquiry = inquiry
        self._opener = opener
        self._machine = machine
        self._checkpoints = checkpoints
        self._late: dict[HostId, asyncio.Task[None]] = {}
        self._given_up: dict[HostId, None] = {}
        """Hosts for whose secret too few shares have come in time: the next life of this host asks again."""

    def close(self) -> None:
        """Stop."""
        for task in list(self._late.values()):
            task.cancel()

    def take_over(self, dead: HostId) -> None:
        """Bring its agents up: each from its copy, or from its own log here if that was begun in an earlier life."""
        levels = self._kept.levels(dead)
        if dead not in self._given_up and not self._opener.opens(dead, levels):
            self._machine.estates.expect(dead)
            self._go_on_late(dead, self._open(dead, levels))
            return
        kept = self._kept.of(dead)
        said = self._said(dead, lambda: self._kept.read(dead, HOST)[2] if HOST in kept else ())
        moves = self._heard(dead, said)

        def left(agent: AgentId) -> bool:
            return not moves.is_away(agent) and not self._machine.core.moves.has_moved_on(agent, dead)

        agents = [name for name in dict.fromkeys((*kept, *self._begun(dead))) if name != HOST and left(name)]
        begun = [name for name in agents if self._has_log(name)]
        homes = [name for name in self._site.agents_of(dead) if left(name)]
        estate = self._machine.inherits(dead, agents, begun, homes, said)
        if estate.is_open:
            self._go_on_late(dead, self._hand_down(estate))
        self._begin_all(dead, estate.agents)

    def _go_on_late(self, dead: HostId, rest: Coroutine[None, None, None]) -> None:
        if dead in self._late:
            self._late.pop(dead).cancel()
        self._late[dead] = asyncio.ensure_future(rest)
        self._late[dead].add_done_callback(partial(self._ended, dead))

    async def _open(self, dead: HostId, levels: Collection[int]) -> None:
        """Take a dead host over once its secret is here, or without what can't be opened, which people are told."""
        if not await self._opener.recover(dead, levels, PATIENCE_S):
            self._given_up[dead] = None
        del self._late[dead]  # this is done: what comes next may be late, too
        self.take_over(dead)

    def _heard(self, dead: HostId, said: Sequence[CheckpointRecord]) -> Moves:
        """Go on with moves that a dead host has begun; return what it says of agents that came and went (MB-9)."""
        # CP-13: where its agents slept, only the host's own log tells how far their cuts have come.
        self._checkpoints.catches_up(reached_by(said), commit_in(said))
        moves = Moves.of(dead, said)
        self._checkpoints.inherits(moves)
        return moves

    def _said(self, dead: HostId, read: Callable[[], Iterable[bytes]]) -> list[CheckpointRecord]:
        """Return what a dead host has said, by a copy of its log; nothing, if that can't be read: people are told."""
        try:
            return [decode_host_record(data) for data in read()]
        except (LogCorrupt, WireInvalid) as error:
            self._site.noticed(
                HOST, Tell("not-succeeded", dead, f"the copy of what it has said can't be read: {error}")
            )
            return []

    def _has_log(self, agent: AgentId) -> bool:
        """Tell whether the log of an agent goes on here; one that has moved away has left a part of it."""
        return bool(self._site.store.length(agent)) and not self._machine.core.moves.is_away(agent)

    def _begun(self, owner: HostId) -> list[AgentId]:
        return [agent for agent in self._kept.begun(owner) if self._has_log(agent)]

    def _begin_all(self, dead: HostId, agents: Iterable[AgentId], found: Mapping[AgentId, FoundCopy] = EMPTY) -> None:
        for name in agents:
            try:
                self._begin(dead, name, found.get(name))
            except LogCorrupt as error:
                self._breaks(dead, name, str(error))
        self._checkpoints.inherit()

    # -- what this host has no copy of -----------------------------------------------------------------------------

    async def _hand_down(self, estate: Estate) -> None:
        """Take over what this host has no copy of, also of whom the dead one had succeeded, from whoever has some.

        Where nobody has a copy of what a dead successor had begun with, nothing that it has said of that counts: the
        copies of the host before it are as good as new.
        """
        dead = estate.dead
        estates = [estate]
        for owner in estate.before:
            await self._opener.recover(owner, self._kept.levels(owner), PATIENCE_S)
            estates.append(self._machine.estates.reopen(owner, self._begun(owner)))
            self._begin_all(owner, estates[-1].agents)
        await self._site.catch_up()
        owners = [each.dead for each in estates]
        moves: list[Moves] = []
        for each in estates:
            said = estate.said
            if each is not estate:
                copy = await self.find(each.dead, HOST)
                said = self._said(each.dead, lambda copy=copy: () if copy is None else copy.records)
                # What its successor has said for it, it has said.
                each.said = [*said, *estate.said]
            moves.append(self._heard(each.dead, said))

        def had(agent: AgentId) -> list[HostId]:
            """Return the owners that had an agent when they died, and from whom nobody has moved it on since."""
            on = self._machine.core.moves.has_moved_on(agent, dead)
            return [
                owner for at, owner in enumerate(owners)
                if not on and not moves[at].is_away(agent)
                and not any(nearer.has_moved_on(agent, owner) for nearer in moves[:at])
            ]  # fmt: skip

        here = dict.fromkeys((*self._site.agents_here(), *(agent for each in estates for agent in each.agents)))
        left = (*self._kept.of(dead), *(agent for owner in owners for agent in self._site.agents_of(owner)))
        agents = [agent for agent in missing(left, here, HOST) if had(agent)]
        found: dict[HostId, dict[AgentId, FoundCopy]] = {owner: {} for owner in owners}
        # All at once: one answer, or one wait for a host that is away, serves for all of them.
        answers = await asyncio.gather(*(self._all(had(agent), agent) for agent in agents))
        for agent, copies in zip(agents, answers, strict=True):
            if copies:
                source = best_of(copies)
                found[source][agent] = copies[source]
            else:
                why = f"there is no copy of its log of {dead} any more"
                self._site.noticed(agent, Tell("not-succeeded", agent, why))
        for each in estates:
            each.found(found[each.dead])
            self._begin_all(each.dead, found[each.dead], found[each.dead])

    async def _all(self, owners: Sequence[HostId], log: AgentId) -> dict[HostId, FoundCopy]:
        return {owner: copy for owner in owners if (copy := await self.find(owner, log)) is not None}

    def _ended(self, dead: HostId, task: asyncio.Task[None]) -> None:
        if self._late.get(dead) is task:
            del self._late[dead]
        if not task.cancelled() and (error := task.exception()) is not None:
            text = f"a succession on host {self._site.host_id} stopped: {error}"
            asyncio.get_running_loop().call_exception_handler({"message": text, "exception": error})

    async def find(self, owner: HostId, log: AgentId) -> FoundCopy | None:
        """Return the best copy of a log, opened, once all have answered that must have one if anybody has."""
        holders = self._machine.succession.holders(owner)
        others = [host for host in holders if host != self._site.host_id]
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
                self._site.noticed(log, Tell("succession-waits", log, text))
        sealed = [data for copy in copies.values() for data in (*copy.records, copy.options)]
        levels = self._kept.levels(owner, log) | {*map(level_of, sealed)}
        # A level that a liar has made up opens for nobody: what can be opened then has to do.
        await self._opener.recover(owner, levels, PATIENCE_S)
        return longest((*self._inquiry.opened(owner, log, copies).values(), self._inquiry.here(owner, log)))

    # -- one agent -------------------------------------------------------------------------------------------------

    def _begin(self, dead: HostId, name: AgentId, found: FoundCopy | None) -> None:
        # Its end may have been lost here since it was begun, as that of any agent's log.
        why = self._checkpoints.hurt.get(name)
        if why:
            self._breaks(dead, name, why)
        elif self._has_log(name):
            self._bring_up(dead, name, lost=why is not None or self._site.store.is_lost(name))
        else:
            if found is None:
                first, prev, records = self._kept.read(dead, name)
            else:
                first, prev, records = found.first, found.prev, found.records
                self._kept.adopts(dead, name, found.kind, found.options)
            up = partial(self._bring_up, dead, name, lost=True)
            if self._machine.core.moves.is_away(name):
                up = partial(self._comes_back, TakenRecord(name, "", *self._kept.kind_of(dead, name)), up)
            self._site.store.begin_at(name, first, prev, records, up, lost=True)

    def _comes_back(self, record: TakenRecord, up: Callable[[], None]) -> None:
        """Write down that the log of an agent counts again that had moved away: what was left of it before did not."""

        def kept() -> None:
            self._machine.core.moves.apply(record)
            up()

        self._checkpoints.keep(record, kept)

    def _breaks(self, dead: HostId, agent: AgentId, why: str) -> None:
        """One agent can't come up: the others do."""
        self._machine.estates.drop(dead, agent)
        self._site.noticed(agent, Tell("not-succeeded", agent, why))
        self._site.breaks(agent, why)

    def _bring_up(self, dead: HostId, agent: AgentId, lost: bool) -> None:
        try:
            spec = self._kept.spec(dead, agent, lost)
            if spec is not None:
                # A successor between may have begun a life of it: nothing of that is to be taken for a part of this.
                self._site.adopt(replace(spec, unheard=self._machine.succession.between(dead)))
        except (AgentBroken, LogCorrupt, PayloadInvalid, WireInvalid) as error:
            self._breaks(dead, agent, str(error))
            self._checkpoints.inherit()
            return
        if spec is None:
            self._machine.estates.drop(dead, agent)
            self._checkpoints.inherit()
            return
        self._checkpoints.cut_newcomer(agent)
