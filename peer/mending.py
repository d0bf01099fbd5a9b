"""Brings damaged logs in order again when a host comes up: from the copies of whoever keeps some (CP-11)."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from peer import errors
from peer.asks import HOST
from peer.ports import Done
from peer.store.frame import FIRST_HASH, chain
from peer.store.index import Damage
from peer.store.segments import SegmentStore
from protocol.action import Tell
from protocol.copy import COPY_BYTES, Held, Lacking
from protocol.ids import AgentId, HostId
from protocol.wire import Frame

if TYPE_CHECKING:
    from peer.host import Host

logger = logging.getLogger("ebbtide")

WAIT_S = 5.0
"""How long others are waited for: first to be known, then to have answered."""
AGAIN_S = 0.2


class _Copy:
    """What one host has of a log."""

    def __init__(self) -> None:
        self.length = 0
        self.records: list[bytes] = []
        self.is_whole = False


class Mending:
    """The damaged logs of one host."""

    def __init__(self, host: "Host", prefix: str) -> None:
        self._host = host
        self._prefix = prefix
        """Of the names of copies' logs."""
        self._first: dict[AgentId, int] = {}
        self._copies: dict[AgentId, dict[HostId, _Copy]] = {}

    async def mend(self, kept: tuple[str, ...], names: Iterable[AgentId]) -> dict[AgentId, str]:
        """Mend every log here that is damaged.

        Args:
            kept: prefixes of logs that others send again: these begin anew.
            names: whose logs should be here: of some nothing may be left, not even the name.

        Returns: the logs that are not whole: "" for one whose end is lost (it goes on as one that has lost its end),
            else why it can't be brought back.
        """
        store = self._host.store
        if not isinstance(store, SegmentStore):
            return {}
        for finding in store.findings:
            self._host.noticed(finding.agent or HOST, Tell("log-damaged", str(finding.file), str(finding)))
        if store.torn:
            text = f"the last write, of {store.torn} bytes, was cut short by a crash; it had not been acknowledged"
            self._host.noticed(HOST, Tell("log-torn", str(store.folder), text))
        outcome: dict[AgentId, str] = {}
        hurt = [agent for agent in dict.fromkeys((*store.agents(), *names)) if store.damages(agent)]
        for agent in [agent for agent in hurt if agent.startswith(kept)]:
            await self._done(lambda done, agent=agent: store.begin_at(agent, 1, FIRST_HASH, (), done))
        own = [agent for agent in hurt if not agent.startswith(kept)]
        for damage in [(agent, damage) for agent in own for damage in store.damages(agent)]:
            agent, what = damage[0], await self._fill(store, *damage)
            if what is not None:
                outcome[agent] = outcome.get(agent, "") or what
        return outcome

    async def _fill(self, store: SegmentStore, agent: AgentId, damage: Damage) -> str | None:
        """Put copies in the place of what is damaged; None: it is whole again."""
        tail = store.tail(agent)[0]
        is_end = damage.first > tail
        copies = await self._ask(agent, damage.first) if self._host.checkpoints.has_buddies() else {}
        if not copies:
            why = f"{damage.what}, and nobody known here has a copy"
            return str(errors.LogCorrupt.at(damage.file, agent, damage.first, why))
        try:
            prev = store.hash_of(agent, damage.first - 1)
        except errors.LogCorrupt as error:
            return str(error)
        wanted = None if damage.end is None else damage.end - damage.first + 1
        host, copy = max(copies.items(), key=lambda item: (len(item[1].records), item[0]))
        records = copy.records if is_end else copy.records[:wanted]
        if not is_end and wanted is not None and not self._fits(store, agent, damage.first, prev, records, wanted):
            why = f"{damage.what}, and the copy of host {host} does not fit what stands after it"
            return str(errors.LogCorrupt.at(damage.file, agent, damage.first, why))
        if records:
            await self._done(lambda done: store.mend(agent, damage.first, prev, records, done))
        text = f"records {damage.first} to {damage.first + len(records) - 1} were taken from host {host}'s copy"
        self._host.noticed(agent, Tell("log-mended", agent, text if records else "there was nothing more to take"))
        if not is_end:
            return None
        if wanted is not None and len(records) >= wanted:
            return None
        # What came after is nowhere: the agent goes on as one that has lost its end.
        first = damage.first + len(records)
        prev = store.hash_of(agent, first - 1)
        await self._done(lambda done: store.begin_at(agent, first, prev, (), done))
        return ""

    @staticmethod
    def _fits(store: SegmentStore, agent: AgentId, first: int, prev: bytes, records: list[bytes], wanted: int) -> bool:
        """Whether copies fill a gap, and what stands after it follows them."""
        if len(records) < wanted:
            return False
        last = prev
        for number, record in enumerate(records, first):
            last = chain(last, agent, number, record)
        return store.prev_of(agent, first + wanted) == last

    @staticmethod
    async def _done(write: Callable[[Done], None]) -> None:
        durable = asyncio.Event()
        write(durable.set)
        await durable.wait()

    # -- asking ----------------------------------------------------------------------------------------------------

    async def _ask(self, log: AgentId, first: int) -> dict[HostId, _Copy]:
        """Return what others have of a log from a record on: of those that answer in time."""
        clock = asyncio.get_running_loop().time
        until = clock() + WAIT_S
        self._first[log], self._copies[log] = first, {}
        while clock() < until:
            others = [fact.host for fact in self._host.known_hosts() if fact.agents]
            found = self._copies[log]
            if others and all(host in found and found[host].is_whole for host in others):
                break
            for host in others:
                copy = found.get(host)
                if copy is None or not copy.is_whole:
                    begin = first + (0 if copy is None else len(copy.records))
                    self._host.send_frame(host, Frame(copies=(Lacking(log, begin),)))
            await asyncio.sleep(AGAIN_S)
        return {host: copy for host, copy in self._copies.pop(log).items() if copy.length}

    def lacking(self, sender: HostId, message: Lacking) -> None:
        """Another host's log is damaged: say what its copy here holds."""
        store, name = self._host.store, f"{self._prefix}{sender}/{message.log}"
        length, size = store.length(name), 0
        records: list[bytes] = []
        try:
            for record in store.read(name, max(message.first, store.begin(name)[0])):
                records.append(record)
                size += len(record)
                if size >= COPY_BYTES:
                    break
        except errors.LogCorrupt as error:
            logger.warning("can't say what is in the copy %s: %s", name, error)
            return
        if store.begin(name)[0] > message.first:
            records = []  # what is asked for is not kept any more
        self._host.send_frame(sender, Frame(copies=(Held(message.log, message.first, length, tuple(records)),)))

    def held(self, sender: HostId, message: Held) -> None:
        """Somebody has a part of a copy."""
        copies = self._copies.get(message.log)
        if copies is None:
            return
        copy = copies.setdefault(sender, _Copy())
        if message.first != self._first[message.log] + len(copy.records):
            return
        copy.length = message.length
        copy.records.extend(message.records)
        copy.is_whole = not message.records or message.first + len(message.records) > message.length
        if not copy.is_whole:
            begin = message.first + len(message.records)
            self._host.send_frame(sender, Frame(copies=(Lacking(message.log, begin),)))
