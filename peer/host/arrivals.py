"""The agents that come to one host from others, each with its whole log (MB-9)."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from peer import errors
from peer.agents.agent import Agent
from peer.agents.kinds import kind_at, kind_near
from peer.agents.spec import AgentSpec
from peer.host import questions
from peer.host.births import THERE, options_in
from peer.host.custody import Custody
from peer.host.residents import Residents
from peer.host.transit import Passing, Room, Take, Taken
from peer.site import Site
from peer.trust.badge import Badge
from protocol.checkpoints.messages import ComingRecord, TakenRecord
from protocol.fact import Claim
from protocol.ids import AgentId

Answered = Callable[[bytes, str], None]


class Platform(Site, Protocol):
    """The host to which agents come."""

    badge: Badge

    def receive(self, spec: AgentSpec, term: int) -> None:
        """Bring up an agent that has come from elsewhere: it lives here from now on, by this term at least."""
        ...

    def term(self, agent: AgentId) -> int:
        """Return the term by which an agent is where it is."""
        ...


class Arrivals:
    """The agents that come.

    Args:
        platform: the host.
        residents: its agents.
        custody: its own log, theirs, and the copies of both.
    """

    def __init__(self, platform: Platform, residents: Residents, custody: Custody) -> None:
        self._platform = platform
        self._residents = residents
        self._custody = custody
        self._parts: dict[AgentId, tuple[str, list[bytes]]] = {}
        """By agent, the move, and the records that have come, in order."""
        self._taking: dict[str, Answered] = {}
        """By move that is being written down, who waits for that: the last that has asked."""
        self._writing: dict[AgentId, None] = {}
        """The agents that these are about."""

    def room(self, agent: AgentId, asked: Room) -> None:
        """Check that an agent may come. Raises: CallerError, saying why not; NotUp, if this host is not up yet."""
        if not self._custody.register.takes_part:
            raise errors.NotUp("this host is not up yet")
        if why := (self._residents.draining and "it is drained") or self._custody.why_full():
            raise errors.CallerError(
                f"agent {agent!r} can't move to host {self._platform.host_id} now: {why}. Nothing changed."
            )
        self._kind(agent, asked.kind)

    def _kind(self, agent: AgentId, path: str) -> type[Agent]:
        kind = kind_at(path) or kind_near(path, self._residents.kinds().values())
        if kind is None:
            raise errors.CallerError(
                f"agent {agent!r} can't move: its class {path} can't be found in the process of host"
                f" {self._platform.host_id}. Nothing changed. Put it into a module that all hosts can import."
            )
        return kind

    def take(self, agent: AgentId, part: Take, answered: Answered) -> None:
        """Take in a part of an agent's log; with the last one the agent comes up here, once that is written down.

        Raises: NotUp, while this host can't take it: whoever hands it over asks again. PayloadInvalid, for options
            that are none.
        """
        core = self._custody.machine.core
        if not self._is_ours(part):
            raise errors.NotUp("it is not this host's to take")
        if part.moved.id in self._custody.moves.known:
            answered(self._over(agent), "")
            return
        if self._residents.is_up(agent):
            raise errors.NotUp("it lives here, so nobody else can hand it over")  # its log would be written over
        options_in(part.moved.options)  # before anything is written that no life of this host could go on from
        if part.moved.id in self._taking:
            self._taking[part.moved.id] = answered
            return
        if self._parts.get(agent, ("", []))[0] != part.moved.id:
            self._parts[agent] = (part.moved.id, [])
        _, parts = self._parts[agent]
        if part.at <= len(parts):
            parts[part.at :] = part.records
        if not part.is_last or part.at + len(part.records) != len(parts):
            answered(questions.encode(Taken(len(parts))), "")
            return
        if core.restores.open or core.restores.era < part.moved.era or not core.estates.are_settled():
            # RQ-2: who has voted on a restore has not voted for this agent.
            raise errors.NotUp("a restore is voted on, or a dead host's agents are coming")
        del self._parts[agent]
        self._taking[part.moved.id] = answered
        self._write(agent, part, parts)

    def _is_ours(self, part: Take) -> bool:
        """Tell whether an agent is to live here: on this host, or on one that it has succeeded.

        Whose last one may have taken it: so not before this host has read what that had written.
        """
        register, here = self._custody.register, self._platform.host_id
        if not register.takes_part or register.now_at(part.moved.to) != here:
            return False
        last = self._custody.machine.succession.last_of(part.moved.to)
        return last == here or self._custody.moves.has_inherited(last)

    def is_taking(self, agent: AgentId) -> bool:
        """Tell whether an agent's log is being written down that does not count here yet."""
        return agent in self._writing

    def _bring_up(self, agent: AgentId, part: Take, term: int) -> None:
        try:
            kind = self._kind(agent, part.moved.kind)
        except errors.CallerError as error:
            self._residents.breaks(agent, str(error))
            return
        self._platform.receive(AgentSpec(agent, kind, options_in(part.moved.options), part.is_lost), term)
        if self._residents.is_up(agent):
            self._custody.register.cut_newcomer(agent)

    def _over(self, agent: AgentId) -> bytes:
        term = self._platform.term(agent) if self._residents.is_up(agent) else 0
        proof = self._platform.badge.vouch(Claim(agent, term, self._platform.host_id)).proof if term else b""
        return questions.encode(Taken(0, True, term, self._custody.machine.epochs.colour, proof))

    def _write(self, agent: AgentId, part: Take, records: list[bytes]) -> None:
        platform, register = self._platform, self._custody.register
        term = max(THERE, part.term, platform.term(agent) + 1)
        record = TakenRecord(agent, part.moved.id, part.moved.kind, part.moved.options, term)

        def begun() -> None:
            self._custody.passes(agent)
            # CP-8: logs are copied side by side, and who reads that it is here must have it, too.
            self._custody.place(partial(register.keep, record, kept))

        def kept() -> None:
            # From here on it is this host's, in every life of it.
            self._custody.moves.apply(record)
            self._residents.passing.pop(agent, None)
            self._writing.pop(agent, None)
            register.catches_up(part.moved.colour)
            self._bring_up(agent, part, term)
            self._taking.pop(part.moved.id)(self._over(agent), "")

        self._residents.passing[agent] = Passing(part.moved.life, part.moved.kind, part.moved.options)
        self._writing[agent] = None
        if part.moved.source == platform.host_id:
            begun()  # it comes back before it was anywhere else: its log is here
            return
        # CP-8: with the backups before any of it is copied, or who succeeds this host would take that for its own.
        coming = ComingRecord(agent, part.moved.id)
        self._custody.moves.apply(coming)
        begin = partial(platform.store.begin_at, agent, part.first, part.prev, records, begun, lost=part.is_lost)
        register.keep(coming, begin)
