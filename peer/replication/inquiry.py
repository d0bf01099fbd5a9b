"""Asks other hosts for their copies of a log, and answers those that ask (CP-8, CP-11)."""

import asyncio
import logging
from collections.abc import Sequence

from peer import errors
from peer.replication.incoming import OPTIONS, PREFIX, Kept, of_class
from peer.replication.ledger import first_of
from peer.replication.opener import Opener
from peer.site import Site
from protocol.action import Tell
from protocol.checkpoints.copy import Held, Lacking
from protocol.ids import AgentId, HostId
from protocol.wire import Frame

logger = logging.getLogger("ebbtide")

WAIT_S = 5.0
"""How long others are waited for: first to be known, then to have answered."""
AGAIN_S = 0.2


class FoundCopy:
    """What one host has of a log."""

    def __init__(self) -> None:
        self.first = 0
        self.prev = b""
        """A hash for its first record to follow, where that can't be told otherwise."""
        self.anchor = 0
        self.length = 0
        self.records: list[bytes] = []
        self.kind = ""
        self.options = b""
        """Of an agent: its class, as `module:qualname`, and what that is given, as its owner has sealed it."""
        self.is_whole = False

    @property
    def end(self) -> int:
        """The number of its last record."""
        return self.first + len(self.records) - 1


class _Question:
    """One that is open: what has come of it so far."""

    def __init__(self, first: int, others: Sequence[HostId] | None) -> None:
        self.first = first
        self.others = others
        """Whose answers count; None: anybody's."""
        self.found: dict[HostId, FoundCopy] = {}


class Inquiry:
    """What one host asks of others' copies, and is asked."""

    def __init__(self, site: Site, kept: Kept, opener: Opener) -> None:
        self._site = site
        self._opener = opener
        self._kept = kept
        self._open: dict[tuple[HostId, AgentId], list[_Question]] = {}
        """By owner and log; several may ask at a time."""

    async def ask(
        self, log: AgentId, first: int = 0, owner: HostId = "", others: Sequence[HostId] | None = None
    ) -> dict[HostId, FoundCopy]:
        """Return what others have of a log, sealed, if only nothing, of those that answer in time.

        Args:
            log: whose.
            first: from that record on; 0: from which on a copy suffices to bring its agent back.
            owner: the host that it was of; empty: this one.
            others: whom to ask; None: all that are known.
        """
        clock = asyncio.get_running_loop().time
        until, question = clock() + WAIT_S, _Question(first, others)
        questions = self._open.setdefault((owner, log), [])
        questions.append(question)
        try:
            while clock() < until:
                known = [fact.host for fact in self._site.known_hosts() if fact.agents]
                asked = known if others is None else others
                if (asked or others is not None) and self._is_answered(question, asked):
                    break
                for host in asked:
                    copy = question.found.get(host)
                    if copy is None or not copy.is_whole:
                        begin = first if copy is None else copy.end + 1
                        self._site.send_frame(host, Frame(copies=(Lacking(log, begin, owner),)))
                await asyncio.sleep(AGAIN_S)
        finally:
            questions.remove(question)
            if not questions:
                del self._open[owner, log]
        return question.found

    @staticmethod
    def _is_answered(question: _Question, asked: Sequence[HostId]) -> bool:
        return all(host in question.found and question.found[host].is_whole for host in asked)

    def opened(self, owner: HostId, log: AgentId, copies: dict[HostId, FoundCopy]) -> dict[HostId, FoundCopy]:
        """Return copies of a log opened, less those that are not as their owner has sealed them: people are told."""
        found: dict[HostId, FoundCopy] = {}
        for host, copy in copies.items():
            try:
                copy.records = self._opener.open(owner, log, copy.first, copy.records)
                self._opener.open(owner, of_class(log, copy.kind), OPTIONS, (copy.options,) if copy.kind else ())
                found[host] = copy
            except errors.LogCorrupt as error:
                self._site.noticed(log, Tell("copy-refused", host, str(error)))
        return found

    def here(self, owner: HostId, log: AgentId) -> FoundCopy:
        """Return what this host has itself of another's log, opened, if only nothing."""
        copy = FoundCopy()
        if log in self._kept.of(owner):
            try:
                copy.first, copy.prev, copy.records = self._kept.read(owner, log)
            except errors.LogCorrupt as error:
                logger.warning("the copy of %s of %s here is no help: %s", log, owner, error)
                return FoundCopy()
            copy.kind, copy.options = self._kept.sealed_kind_of(owner, log)
        return copy

    def lacking(self, sender: HostId, message: Lacking) -> None:
        """Another host lacks a log: say what the copy here holds."""
        owner = message.owner or sender
        store, name = self._site.store, f"{PREFIX}{owner}/{message.log}"
        length = store.length(name)
        held = Held(message.log, message.first, length, (), owner=message.owner)
        if length and message.first <= length:
            try:
                held = self._part(message, owner, name)
            except errors.LogCorrupt as error:
                logger.warning("can't say what is in the copy %s: %s", name, error)
                return
        self._site.send_frame(sender, Frame(copies=(held,)))

    def _part(self, message: Lacking, owner: HostId, name: AgentId) -> Held:
        store = self._site.store
        anchor = store.reads_from(name)[0]
        first = message.first or anchor
        try:
            records, prev = self._from(name, first)
        except errors.LogCorrupt:
            if first >= anchor:
                raise
            # What is asked for is not kept any more: from the anchor on it is.
            first = anchor
            records, prev = self._from(name, first)
        kind, options = self._kept.sealed_kind_of(owner, message.log)
        return Held(
            message.log, first, store.length(name), tuple(records), prev, anchor, message.owner, kind, options
        )  # fmt: skip

    def _from(self, name: AgentId, first: int) -> tuple[list[bytes], bytes]:
        return first_of(self._site.store.read(name, first)), self._site.store.prev_of(name, first)

    def held(self, sender: HostId, message: Held) -> None:
        """Somebody has a part of a copy."""
        for question in self._open.get((message.owner, message.log), ()):
            if question.others is None or sender in question.others:
                self._take(question, sender, message)

    def _take(self, question: _Question, sender: HostId, message: Held) -> None:
        copy = question.found.setdefault(sender, FoundCopy())
        if not copy.records:
            if message.first < question.first:
                return
            copy.first, copy.prev, copy.anchor = message.first, message.prev, message.anchor
            copy.kind, copy.options = message.kind, message.options
        elif message.first != copy.end + 1:
            return
        copy.length = message.length
        copy.records.extend(message.records)
        copy.is_whole = not message.records or copy.end >= message.length
        if not copy.is_whole:
            self._site.send_frame(sender, Frame(copies=(Lacking(message.log, copy.end + 1, message.owner),)))
