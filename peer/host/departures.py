"""The agents of one host that move to others: each is at rest, is given up by one record, and handed over (MB-9)."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol

from peer import errors
from peer.agents.kinds import kind_at, path_of
from peer.agents.spec import AgentSpec
from peer.agents.unstarted import kind_of
from peer.host import questions
from peer.host.births import Asks, options_in
from peer.host.custody import Custody
from peer.host.driver import Driver
from peer.host.neighbours import Neighbours
from peer.host.residents import Residents
from peer.host.resting import REST_S
from peer.host.transit import ROOM, TAKE, Passing, Room, Take, Taken, on_its_way
from peer.replication.inquiry import FoundCopy
from peer.replication.ledger import first_of
from peer.site import Site
from peer.values import payload
from protocol.action import Tell
from protocol.checkpoints.messages import HandedRecord, KnownRecord, MovedRecord
from protocol.checkpoints.moves import Moves
from protocol.event import LogStalled
from protocol.fact import Claim
from protocol.ids import AgentId, HostId

ASK_S = 5.0
"""How long whoever is to have an agent may take, before it is looked whether another has succeeded it."""
ROOM_S = 10.0
"""How long it may take to say whether it takes the agent."""

Answered = Callable[[bytes, str], None]


class Station(Site, Protocol):
    """The host from which agents depart."""

    stall: str
    neighbours: Neighbours

    @property
    def asking(self) -> Asks:
        """What asks other hosts."""
        ...

    def living(self) -> list[HostId]:
        """Return the other hosts that have agents, and answer."""
        ...

    def term(self, agent: AgentId) -> int:
        """Return the term by which an agent is where it is."""
        ...

    def announce(self) -> None:
        """Let the other hosts know who is here."""
        ...


class Departures:
    """The agents of one host that go.

    Args:
        station: the host.
        residents: its agents.
        custody: its own log, theirs, and the copies of both.
    """

    def __init__(self, station: Station, residents: Residents, custody: Custody) -> None:
        self._station = station
        self._residents = residents
        self._custody = custody
        self._leaving: dict[AgentId, asyncio.Task[None]] = {}
        self._handing: dict[str, asyncio.Task[None]] = {}

    # -- what is asked ---------------------------------------------------------------------------------------------

    def wanted(self, driver: Driver, to: HostId, answered: Answered) -> None:
        """Have an agent move; `answered` once it lives there, or when it stays, with the reason.

        Raises: CallerError, for what can't be.
        """
        station, agent = self._station, driver.agent.name
        if to == station.host_id:
            answered(b"", "")
            return
        if agent in self._leaving:
            raise errors.CallerError(f"agent {agent!r} is about to move already. Nothing changed.")
        if to not in station.living():
            raise errors.CallerError(
                f"agent {agent!r} can't move to host {to!r}: no such host with agents answers. Nothing changed."
                f" These do: {', '.join(station.living()) or 'none'}."
            )
        if len(self._residents.drivers) == 1:
            raise errors.CallerError(
                f"agent {agent!r} is the last one on its host, which would have no part in checkpoints any more."
                " Nothing changed. Move another one here first; or let the host leave (`leave`)."
            )
        self._begin(self._leaving, agent, self._depart(driver, to, answered))

    def under_way(self) -> dict[AgentId, tuple[str, ...]]:
        """Name the agents that are on their way from here."""
        return {each.agent: (on_its_way(each.agent, each.to),) for each in self._custody.moves.pending()}

    def close(self) -> None:
        """Stop."""
        for task in (*self._leaving.values(), *self._handing.values()):
            task.cancel()

    def _begin(self, tasks: dict[str, asyncio.Task[None]], name: str, work: Coroutine[None, None, None]) -> None:
        task = tasks[name] = asyncio.ensure_future(work)

        def ended(task: asyncio.Task[None]) -> None:
            if tasks.get(name) is task:
                del tasks[name]
            if not task.cancelled() and (error := task.exception()) is not None:
                text = f"a move from host {self._station.host_id} stopped: {error}"
                asyncio.get_running_loop().call_exception_handler({"message": text, "exception": error})

        task.add_done_callback(ended)

    # -- giving up -------------------------------------------------------------------------------------------------

    async def _depart(self, driver: Driver, to: HostId, answered: Answered) -> None:
        agent = driver.agent.name
        try:
            kind, options = self._luggage(driver)
            await self._station.asking.ask_host(to, ROOM, questions.encode(Room(kind)), agent, ROOM_S)
            await self._rest(driver)
        except errors.EbbtideError as error:
            answered(str(error).encode(), type(error).__name__)
            return
        if self._residents.drivers.get(agent) is not driver:
            if agent in self._residents.drivers:
                answered(f"agent {agent!r} did not move: it was made anew meanwhile.".encode(), "CallerError")
            return  # or it lives elsewhere by now: whoever asked asks there
        if len(self._residents.drivers) == 1 or self._custody.machine.restores.open:
            self._stay(driver)
            answered(
                f"agent {agent!r} did not move: others went first, or a restore is voted on.".encode(), "CallerError"
            )
            return
        record = self._give_up(driver, to, kind, options)
        await self._kept(record)
        self._begin(self._handing, record.id, self._hand_over(record, lambda: answered(b"", "")))

    def _luggage(self, driver: Driver) -> tuple[str, bytes]:
        try:
            return path_of(kind_of(driver.agent)), payload.encode(driver.options)
        except errors.PayloadUnsupported as error:
            raise errors.CallerError(
                f"agent {driver.agent.name!r} can't move: what its class was given can't go to another host: {error}"
            ) from error

    async def _rest(self, driver: Driver) -> None:
        """Let an agent end what it does. Raises: CallerError, if that takes too long: it goes on then."""
        rests: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def ends(rested: bool) -> None:
            if not rests.done():
                rests.set_result(rested)

        clock = self._station.clock
        cancel = clock.wake(clock.now_us() + int(REST_S * 1e6), lambda: ends(False))
        driver.rest(lambda: ends(True))
        is_at_rest = await rests
        cancel()
        if not is_at_rest:
            self._stay(driver)
            raise errors.CallerError(
                f"agent {driver.agent.name!r} did not move: its step or call has not ended within {REST_S:g} s. It goes"
                " on where it is. Move it when that is over."
            )

    def _stay(self, driver: Driver) -> None:
        if not self._station.stall:
            driver.feed(LogStalled(False))

    def _give_up(self, driver: Driver, to: HostId, kind: str, options: bytes) -> MovedRecord:
        """Stop an agent that is at rest: nothing of it happens here any more."""
        agent, core = driver.agent.name, driver.machine.core
        # CP-13: one that sleeps has its place in the cuts of its host that its log does not tell of.
        colour = max(core.epoch, self._custody.machine.epochs.colour)
        record = MovedRecord(
            agent, f"{self._station.randomness.seed():016x}", to, self._station.host_id, kind, options,
            core.incarnation - 1, colour, core.era, core.lives.own(), driver.machine.rollback.least_epoch(),
        )  # fmt: skip
        self._residents.drivers.pop(agent)
        driver.stop()
        self._station.asking.ended(agent)
        self._expect(record, AgentSpec(agent, kind_of(driver.agent), driver.options))
        self._custody.moves.apply(record)
        self._custody.register.gone(agent, is_passing=True)
        return record

    def _expect(self, record: MovedRecord, spec: AgentSpec | None) -> None:
        """Have others look for it here until it is there: they wait, and what they say comes again."""
        residents = self._residents
        residents.passing[record.agent] = Passing(record.life, record.kind, record.options)
        residents.stirred[record.agent] = None
        if spec is not None:
            residents.expect((spec,))

    # -- handing over ----------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Go on with what an earlier life of this host has begun."""
        for record in self._custody.moves.pending():
            if record.source == self._station.host_id:
                self._custody.passes(record.agent)
            kind = kind_at(record.kind)
            self._expect(record, None if kind is None else AgentSpec(record.agent, kind, options_in(record.options)))
            self._begin(self._handing, record.id, self._hand_over(record, lambda: None))

    def inherit(self, left: Moves) -> None:
        """Go on with what a host has begun that this one has succeeded; what it had taken is over for good."""
        for record in self._custody.moves.pending():
            if record.id in left.known and self._custody.moves.is_last(record):
                # It was there, and comes from there with all that this host inherits.
                self._residents.passing.pop(record.agent, None)
                self._residents.coming.pop(record.agent, None)
                self._custody.forget(record.agent)
        known = tuple(name for name in left.known if name not in self._custody.moves.known)
        if known:
            record = KnownRecord(known)
            self._custody.moves.apply(record)
            self._custody.keep(record, lambda: None)
        for record in left.pending():
            if record.id not in self._custody.moves.known and record.id not in self._handing:
                self._begin(self._handing, record.id, self._go_on(record))

    async def _go_on(self, record: MovedRecord) -> None:
        if record.id in self._custody.moves.known:
            return  # it has been taken here meanwhile
        self._custody.moves.apply(record)
        await self._kept(record)
        await self._hand_over(record, lambda: None)

    async def _kept(self, record: MovedRecord) -> None:
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done() -> None:
            if not kept.done():
                kept.set_result(None)

        self._custody.keep(record, done)
        await kept

    async def _hand_over(self, record: MovedRecord, done: Callable[[], None]) -> None:
        station, agent, told = self._station, record.agent, False
        found: FoundCopy | None = None
        at = 0
        while True:
            if found is None:
                try:
                    found = await self._log_of(record)
                except errors.LogCorrupt as error:
                    station.noticed(agent, Tell("not-moved", agent, str(error)))
                    return
                if found is None:
                    station.noticed(agent, Tell("not-moved", agent, f"there is no copy of its log of {record.source}"))
                    return
            part = first_of(found.records[at:])
            ask = Take(
                record, found.first, found.prev, station.term(agent) + 1, at, tuple(part),
                at + len(part) == len(found.records), record.source == station.host_id and self._is_lost(agent),
            )  # fmt: skip
            try:
                body = await station.asking.ask_host(
                    self._custody.register.now_at(record.to), TAKE, questions.encode(ask), agent, ASK_S
                )
            except errors.AskTimeout:
                if not told:
                    told = True
                    station.noticed(agent, Tell("move-waits", agent, f"host {record.to} does not answer"))
                continue
            taken: Taken = questions.decode(body, Taken)
            if taken.is_taken:
                self._handed(record, taken, done)
                return
            at = taken.have

    def _is_lost(self, agent: AgentId) -> bool:
        return agent in self._residents.shortened or self._station.store.is_lost(agent)

    async def _log_of(self, record: MovedRecord) -> FoundCopy | None:
        if record.source != self._station.host_id:
            return await self._custody.copy_of(record.source, record.agent)
        found, store = FoundCopy(), self._station.store
        found.first, found.prev = store.reads_from(record.agent)
        found.records = list(store.read(record.agent, found.first))
        return found

    def _handed(self, record: MovedRecord, taken: Taken, done: Callable[[], None]) -> None:
        """It is there: it is given up here, and what it has left is spoken for in cuts that others have made before."""
        station, agent, handed = self._station, record.agent, HandedRecord(record.agent, record.id, taken.epoch)
        self._custody.moves.apply(handed)
        self._custody.keep(handed, lambda: None)
        home = self._custody.register.now_at(record.to)
        if self._custody.moves.is_last(record):
            self._residents.passing.pop(agent, None)
            self._custody.forget(agent)
            if taken.term:
                station.neighbours.publish(Claim(agent, taken.term, home, taken.proof))
            if self._residents.coming.pop(agent, None) is not None:
                station.announce()
        station.noticed(agent, Tell("moved", agent, f"to host {home}"))
        done()
