"""Brings up the agents that handlers make, here or on another host, and again in every later life (NA-1).

What makes an agent is a message to a name that nobody has: it waits with its sender until somebody has it (CL-7). So
nothing is lost or comes twice, however often a host is asked to bring the agent up: it handles nothing before that.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

from peer import errors
from peer.agents.kinds import is_importable, kind_at, kind_near
from peer.agents.making import Making, Origin, making_in
from peer.agents.spec import AgentSpec
from peer.host import questions
from peer.host.neighbours import Neighbours
from peer.host.residents import Residents
from peer.ports import LogStore
from peer.values import payload
from protocol.action import Tell
from protocol.checkpoints.messages import CheckpointRecord, ComingRecord, MadeRecord, MovedRecord, TakenRecord
from protocol.ids import HOST, AgentId, HostId
from protocol.step import Input
from protocol.wire import decode_host_record

ASK_S = 5.0
"""How long the host that was chosen may take, before it is looked whether another has succeeded it."""
SOON_S = 0.01
"""How often it is looked for what comes in a moment."""
THERE = 2
"""The term by which a host has an agent that a handler has made, from when that is there: more than who lists it."""
QUESTION = "make"
"""What a host is asked: to bring an agent up."""

Answered = Callable[[bytes, str], None]


class Keeps(Protocol):
    """The host's own log, what that tells of the others, and the copies that they have."""

    def place(self, log: AgentId, done: Callable[[], None]) -> None:
        """Call `done` once the backups have all that is durable here."""
        ...

    def unheard(self) -> list[HostId]:
        """Return the hosts of which nothing is known in this life yet."""
        ...

    def now_at(self, host: HostId) -> HostId:
        """Return who has what lived on a host: itself, or its successor."""
        ...

    def keep(self, record: MadeRecord, done: Callable[[], None]) -> None:
        """Keep a record; `done` is called once it is durable and copied. Raises: NotUp, before the host is up."""
        ...


class Asks(Protocol):
    """What asks other hosts."""

    async def ask_host(self, host: HostId, what: str, body: bytes, agent: AgentId, timeout_s: float) -> bytes:
        """Ask something of a host, again and again until it answers. Raises: AskTimeout, and what the host says."""
        ...

    def ended(self, agent: AgentId) -> None:
        """An agent has stopped here, and may come up again: what it has not answered is asked anew."""
        ...


class Cradle(Protocol):
    """The host, as far as bringing up agents needs it."""

    host_id: HostId
    homes: Mapping[AgentId, HostId]
    store: LogStore
    neighbours: Neighbours

    @property
    def asking(self) -> "Asks":
        """What asks other hosts."""
        ...

    @property
    def checkpoints(self) -> "Keeps":
        """The host's own log."""
        ...

    def living(self) -> list[HostId]:
        """Return the other hosts that have agents, and answer."""
        ...

    def come_up(self, spec: AgentSpec) -> None:
        """Bring up one more agent, and let others know; of one that can't start people are told."""
        ...

    def announce(self) -> None:
        """Let the other hosts know who is here."""
        ...

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """Keep a line for whoever audits."""
        ...


class Births:
    """The agents of one host that handlers have made, and those that its agents want made."""

    def __init__(self, cradle: Cradle, residents: Residents) -> None:
        self._cradle = cradle
        self._residents = residents
        self._seen_to: dict[AgentId, dict[AgentId, asyncio.Task[None]]] = {}
        """By who wants one, the names of agents that are not heard of yet."""
        self._beginning: dict[AgentId, list[Answered]] = {}
        self._replacing: dict[AgentId, None] = {}

    # -- who lives here --------------------------------------------------------------------------------------------

    def living(
        self, launched: Sequence[AgentSpec], records: Iterable[CheckpointRecord]
    ) -> tuple[list[AgentSpec], dict[AgentId, str]]:
        """Return who lives here besides those launched, as the host's log tells; and who does whose class is not here.

        Of these there is a remedy.
        """
        taken = dict.fromkeys(spec.name for spec in launched)
        found: list[AgentSpec] = []
        lacking: dict[AgentId, str] = {}
        for record in made_in(records).values():
            if record.agent in taken:
                continue
            kind = kind_at(record.kind) or kind_near(record.kind, (spec.kind for spec in launched))
            if kind is None:
                lacking[record.agent] = _lacking(record.kind)
                continue
            try:
                found.append(AgentSpec(record.agent, kind, options_in(record.options)))
            except errors.PayloadInvalid as error:
                lacking[record.agent] = str(error)
        return found, lacking

    def told(self) -> list[CheckpointRecord]:
        """Return what the host's log tells. Raises: LogCorrupt."""
        return [decode_host_record(data) for data in self._cradle.store.read(HOST)]

    def begin(self, name: AgentId, making: Making, answered: Answered) -> None:
        """Bring an agent up, unless there is one; `answered` is told once it is up.

        Raises: CallerError, if its class is not here; NotUp, if this host is not up yet, or can't tell yet whether
            another has the agent: two that live under one name would contradict each other.
        """
        if self._residents.is_up(name) or name in self._residents.coming or name in self._cradle.homes:
            answered(b"", "")
            return
        if unheard := self._cradle.checkpoints.unheard():
            raise errors.NotUp(f"nothing is known of hosts {', '.join(unheard)} yet")
        kind = kind_at(making.kind) or kind_near(making.kind, self._residents.kinds().values())
        if kind is None:
            raise errors.CallerError(_lacking(making.kind))
        if name in self._beginning:
            self._beginning[name].append(answered)
            return
        spec = AgentSpec(name, kind, options_in(making.options))

        def begun() -> None:
            waiting = self._beginning.pop(name, [])
            self._bring_up(spec)
            for each in waiting:
                each(b"", "")

        self._cradle.checkpoints.keep(MadeRecord(name, making.kind, making.options), begun)
        self._beginning[name] = [answered]

    def replace(self, name: AgentId, making: Making) -> None:
        """Bring up an agent as of another class, or with other options: a re-run has made it otherwise.

        Raises: CallerError, if its class is not here.
        """
        kind = kind_at(making.kind)
        if kind is None:
            raise errors.CallerError(_lacking(making.kind))
        if name in self._replacing:
            return
        self._replacing[name] = None
        spec = AgentSpec(name, kind, options_in(making.options))

        def kept() -> None:
            del self._replacing[name]
            self._bring_up_again(spec)

        self._cradle.checkpoints.keep(MadeRecord(name, making.kind, making.options), kept)

    def _bring_up(self, spec: AgentSpec) -> None:
        name, unlisted = spec.name, self._residents.unlisted

        def copied() -> None:
            if unlisted.pop(name, True) is None:
                self._cradle.announce()

        # CP-8: what others send to it must not go with this host's disk, and its beginning is not copied yet.
        unlisted[name] = None
        self._cradle.come_up(spec)
        driver = self._residents.drivers.get(name)
        if driver is None:
            copied()
        else:
            driver.machine.core.when_durable(lambda: self._cradle.checkpoints.place(name, copied))

    def _bring_up_again(self, spec: AgentSpec) -> None:
        """Bring an agent up anew from its log, once it has ended what it does."""

        def again() -> None:
            self._residents.drivers.pop(spec.name).stop()
            self._cradle.asking.ended(spec.name)
            self._cradle.come_up(spec)

        driver = self._residents.drivers.get(spec.name)
        if driver is not None:
            driver.rest(again)

    def origin(self, spec: AgentSpec) -> Origin:
        """Return how an agent that comes up has come to be."""
        name = spec.name
        options = payload.encode(spec.options) if spec.is_made else b""
        return Origin(
            spec.is_made, options, self.place, lambda kind, given: self.replace(name, Making(kind, given, ""))
        )

    # -- who is wanted ---------------------------------------------------------------------------------------------

    def place(self, name: AgentId, kind: str) -> HostId:
        """Return where a new agent is to live: hosts get their share, and all choose the same for one name.

        Source: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates" (1998): rendezvous hashing.
        """
        if not is_importable(kind):
            return self._cradle.host_id
        if name in self._cradle.homes:
            return self._cradle.homes[name]
        return max((self._cradle.host_id, *self._cradle.living()), key=lambda host: _weight(name, host))

    def there(self, agent: AgentId) -> None:
        """An agent that a handler has made is there: it is this host's, whoever else has brought it up too."""
        if self._cradle.neighbours.machine.term(agent) < THERE:
            self._cradle.neighbours.claim(agent, THERE)

    def sought(self, asker: AgentId, name: AgentId) -> None:
        """What an agent here has said to a name that nobody has is durable: it may be to make one."""
        if self._wanted(asker, name) is not None and name not in self._seen_to.get(asker, ()):
            task = asyncio.ensure_future(self._see_to(asker, name))
            self._seen_to.setdefault(asker, {})[name] = task
            task.add_done_callback(lambda _: self._seen_to.get(asker, {}).pop(name, None))

    def under_way(self, asker: AgentId) -> tuple[str, ...]:
        """Name the agents that one here waits for to be made."""
        return tuple(f"the making of {name}" for name in self._seen_to.get(asker, ()))

    def close(self) -> None:
        """Bring up nobody any more."""
        for tasks in list(self._seen_to.values()):
            for task in list(tasks.values()):
                task.cancel()

    def _wanted(self, asker: AgentId, name: AgentId) -> Making | None:
        driver = self._residents.drivers.get(asker)
        letters: list[Input] = [] if driver is None else driver.machine.core.unplaced.letters(name)
        found = [making for making in (making_in(letter.payload) for letter in letters) if making is not None]
        return found[-1] if found else None

    async def _see_to(self, asker: AgentId, name: AgentId) -> None:
        cradle = self._cradle
        while (making := self._wanted(asker, name)) is not None and name not in cradle.homes:
            host = cradle.checkpoints.now_at(making.host or cradle.host_id)
            try:
                if host == cradle.host_id:
                    await self._here(name, making)
                else:
                    await cradle.asking.ask_host(host, QUESTION, questions.encode(making), name, ASK_S)
                    await self._news_of(name)
            except errors.AskTimeout:
                continue
            except errors.NotUp:
                await asyncio.sleep(SOON_S)
            except errors.CallerError as error:
                cradle.noticed(asker, Tell("make-refused", name, str(error)))
                return

    async def _news_of(self, name: AgentId) -> None:
        """Wait for the news that an agent is up, which comes by gossip; not for long, since it may be down again."""
        clock = asyncio.get_running_loop().time
        until = clock() + ASK_S
        while name not in self._cradle.homes and clock() < until:
            await asyncio.sleep(SOON_S)

    async def _here(self, name: AgentId, making: Making) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answered(body: bytes, error: str) -> None:
            if not done.done():
                done.set_result(None)

        self.begin(name, making, answered)
        await done


def made_in(records: Iterable[CheckpointRecord]) -> dict[AgentId, MadeRecord | TakenRecord]:
    """Return the agents that a host's own log names as made there, or come there; the last word on each counts."""
    found: dict[AgentId, MadeRecord | TakenRecord] = {}
    for record in records:
        if isinstance(record, MadeRecord | TakenRecord):
            found[record.agent] = record
        elif isinstance(record, MovedRecord | ComingRecord):
            found.pop(record.agent, None)
    return found


def options_in(data: bytes) -> dict[str, Any]:
    """Return what the class of an agent was given, as a log or a message has it. Raises: PayloadInvalid."""
    found = payload.decode(data)
    if not isinstance(found, dict):
        raise errors.PayloadInvalid(f"options of an agent that are a {type(found).__name__}, not a dict of them")
    return found


def _weight(name: AgentId, host: HostId) -> bytes:
    return blake2b(f"{host}/{name}".encode(), digest_size=8).digest()


def _lacking(kind: str) -> str:
    return (
        f"class {kind} can't be found in the process of this host. Put it into a module that all hosts can import,"
        " beside those of the agents that are launched."
    )
