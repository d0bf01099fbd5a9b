"""Brings damaged logs in order again when a host comes up: from the copies of whoever keeps some (CP-11)."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from peer import errors
from peer.chain import FIRST_HASH, chained
from peer.damage import Damage
from peer.ports import Done, Mendable
from peer.replication.inquiry import FoundCopy, Inquiry
from peer.site import Site
from protocol.action import Tell
from protocol.ids import HOST, AgentId, HostId

LOOK_S = 0.5
"""How often a write that is not durable yet is looked after: a disk that fails tells nobody who waits."""


class Mending:
    """The damaged logs of one host.

    Args:
        site: the host.
        inquiry: asks others for copies; None if nobody keeps any.
    """

    def __init__(self, site: Site, inquiry: Inquiry | None) -> None:
        self._site = site
        self._inquiry = inquiry

    async def mend(self, kept: tuple[str, ...], names: Iterable[AgentId]) -> dict[AgentId, str]:
        """Mend every log here that is damaged.

        Args:
            kept: prefixes of logs that others send again: these begin anew.
            names: whose logs should be here: of some nothing may be left, not even the name.

        Returns: the logs that are not whole: "" for one whose end is lost (it goes on as one that has lost its end),
            else why it can't be brought back.
        """
        store = self._site.store.mendable()
        if store is None:
            return {}
        for finding in store.findings:
            self._site.noticed(finding.agent or HOST, Tell("log-damaged", str(finding.file), str(finding)))
        if store.torn:
            text = f"the last write, of {store.torn} bytes, was cut short by a crash; it had not been acknowledged"
            self._site.noticed(HOST, Tell("log-torn", str(store.folder), text))
        hurt = [agent for agent in dict.fromkeys((*store.agents(), *names)) if store.damages(agent)]
        for agent in [agent for agent in hurt if agent.startswith(kept)]:
            await self._done(store, lambda done, agent=agent: store.begin_at(agent, 1, FIRST_HASH, (), done))
        own = [agent for agent in hurt if not agent.startswith(kept)]
        # All at once: one answer, or one wait for a host that is away, serves for all of them.
        wrong = await asyncio.gather(*(self._mend(store, agent) for agent in own))
        return {agent: why for agent, why in zip(own, wrong, strict=True) if why is not None}

    async def _mend(self, store: Mendable, agent: AgentId) -> str | None:
        """Mend one log, the damage that its agent need not have mended too; None: it is whole."""
        outcome: str | None = None
        for damage in store.damages(agent):
            if damage not in store.damages(agent):
                continue
            what = await self._fill(store, agent, damage)
            if what is not None and (what == "" or damage.end is None or damage.end >= store.begin_of(agent)):
                outcome = outcome or what
        needed = store.needed(agent)
        if needed and not outcome:
            return str(errors.LogCorrupt.at(needed[0].file, agent, needed[0].first, needed[0].what))
        return "" if outcome is None and store.is_lost(agent) else outcome

    async def _fill(self, store: Mendable, agent: AgentId, damage: Damage) -> str | None:
        """Put copies in the place of what is damaged; None: it is whole again."""
        is_end = damage.first > store.tail(agent)[0]
        copies: dict[HostId, FoundCopy] = {}
        if self._inquiry is not None:
            copies = self._inquiry.opened(self._site.host_id, agent, await self._inquiry.ask(agent, damage.first))
        copies = {host: copy for host, copy in copies.items() if copy.length}
        if not copies:
            why = f"{damage.what}, and nobody known here has a copy"
            return str(errors.LogCorrupt.at(damage.file, agent, damage.first, why))
        host, copy = max(copies.items(), key=lambda item: (item[1].end, -item[1].first, item[0]))
        taken = await self._take(store, agent, damage, copy, is_end) if copy.records else 0
        if taken is None:
            why = f"{damage.what}, and the copy of host {host} does not fit what stands around it"
            return str(errors.LogCorrupt.at(damage.file, agent, damage.first, why))
        text = f"records {copy.first} to {taken} were taken from host {host}'s copy"
        self._site.noticed(agent, Tell("log-mended", agent, text if taken else "there was nothing more to take"))
        if not is_end or (damage.end is not None and copy.end >= damage.end):
            return None
        # What came after is nowhere: the agent goes on as one that has lost its end.
        tail = store.tail(agent)
        await self._done(store, lambda done: store.begin_at(agent, tail[0] + 1, tail[1], (), done, lost=True))
        return ""

    async def _take(self, store: Mendable, agent: AgentId, damage: Damage, copy: FoundCopy, is_end: bool) -> int | None:
        """Write what a copy has of what is damaged; return the last record that was taken, None if it does not fit."""
        try:
            prev = store.hash_of(agent, damage.first - 1) if copy.first == damage.first else None
        except errors.LogCorrupt:
            prev = None
        if prev is None:
            return await self._begin_anew(store, agent, damage, copy)
        end = copy.end if is_end or damage.end is None else damage.end
        records = copy.records[: end - copy.first + 1]
        if not is_end and not self._fits(store, agent, copy.first, prev, records, end):
            return None
        # Where the copy has an anchor, the log has it again.
        before = min(max(0, copy.anchor - copy.first), len(records))
        middle = chained(prev, agent, copy.first, records[:before])
        if before:
            await self._done(store, lambda done: store.mend(agent, copy.first, prev, records[:before], done))
        if before < len(records):
            first, rest, anchor = copy.first + before, records[before:], copy.anchor == copy.first + before
            await self._done(store, lambda done: store.mend(agent, first, middle, rest, done, anchor))
        return end

    async def _begin_anew(self, store: Mendable, agent: AgentId, damage: Damage, copy: FoundCopy) -> int | None:
        """Have a log begin with a copy's anchor, where nothing tells what that follows; then comes what is here."""
        begin = copy.anchor - copy.first
        if not 0 <= begin < len(copy.records):
            return None
        records, own, end = copy.records[begin:], dict[int, bytes](), store.tail(agent)[0]
        after = damage.first if damage.end is None else damage.end + 1
        first = max(after, copy.anchor)
        try:
            for number, record in enumerate(store.read(agent, first) if first <= end else (), first):
                own[number] = record
        except errors.LogCorrupt:
            return None if end > copy.end else await self._replace(store, agent, copy, records)
        if any(record != copy.records[number - copy.first] for number, record in own.items() if number <= copy.end):
            return None
        records += [record for number, record in own.items() if number > copy.end]
        return await self._replace(store, agent, copy, records)

    async def _replace(self, store: Mendable, agent: AgentId, copy: FoundCopy, records: list[bytes]) -> int:
        prev, end = copy.prev, copy.anchor + len(records) - 1
        # What is known to be missing behind that is forgotten with this write, unless it says so itself.
        behind = [each for each in store.damages(agent) if each.first > store.tail(agent)[0]]
        lost = store.is_lost(agent) or any(each.end is None or each.end > end for each in behind)
        await self._done(
            store, lambda done: store.begin_at(agent, copy.anchor, prev, records, done, anchor=True, lost=lost)
        )
        return copy.end

    @staticmethod
    def _fits(store: Mendable, agent: AgentId, first: int, prev: bytes, records: list[bytes], end: int) -> bool:
        """Whether copies fill a gap, and what stands after it follows them."""
        if len(records) < end - first + 1:
            return False
        last = chained(prev, agent, first, records)
        tail = store.tail(agent)
        try:
            return last == (tail[1] if end == tail[0] else store.prev_of(agent, end + 1))
        except errors.LogCorrupt:
            return True  # that is damaged, too, and is judged when it is mended

    @staticmethod
    async def _done(store: Mendable, write: Callable[[Done], None]) -> None:
        durable = asyncio.Event()
        write(durable.set)
        while not durable.is_set():
            if (failure := store.failure()) is not None:
                raise failure
            with suppress(TimeoutError):
                await asyncio.wait_for(durable.wait(), LOOK_S)
