"""Copies of other hosts' logs, kept here (CP-8)."""

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

from peer.agents.spec import AgentSpec
from peer.errors import LogCorrupt
from peer.replication.ledger import cut_back, spec_of
from peer.replication.opener import Opener
from peer.replication.sealing import level_of
from peer.site import Site
from peer.values import payload
from protocol.action import Tell
from protocol.checkpoints.copy import Copied, Copy
from protocol.ids import AgentId, HostId
from protocol.wire import Frame

PREFIX = "copy:"
SPEC = "spec:"
"""Names of logs here: of copies, and of what it takes to bring their agents up."""


OPTIONS = 0
"""Where in a log what its agent's class is given is sealed: before all records."""


def of_class(log: AgentId, kind: str) -> str:
    """Return as whose that is sealed: it is given to this class, and to no other that somebody says is the agent's."""
    return f"{log} ({kind})"


class KeptSpec(NamedTuple):
    """What it takes to bring up an agent of which there is a copy here."""

    kind: str = ""
    """Its class, as `module:qualname`."""
    options: bytes = b""
    """What that is given, as its owner has sent it: sealed."""
    life: int = 0
    """How many lives it had had when its owner last said something of it."""


class Kept:
    """The copies that one host keeps for others.

    Args:
        site: the host.
        opener: opens them, once their owner is succeeded.
        keeps: told whose copies are kept here.
        flush_soon: called when owners are to be told something.
    """

    def __init__(
        self, site: Site, opener: Opener, keeps: Callable[[HostId], None], flush_soon: Callable[[], None]
    ) -> None:
        self._site = site
        self._opener = opener
        self._keeps = keeps
        self._flush_soon = flush_soon
        self._kept: dict[str, int] = {}
        """By name of a copy here, its length, what is being written included."""
        self._durable: dict[str, int] = {}
        self._specs: dict[tuple[HostId, AgentId], KeptSpec] = {}
        self._cuts: dict[str, int] = {}
        """By name of a copy here, how often a part of it was cut off: writes of before then do not count."""
        self._sealed: dict[str, None] = {}
        """Copies here of which that is known."""
        self._said: dict[HostId, dict[AgentId, Copied]] = {}
        """What owners are to be told of their copies here, with the loop's next turn."""

    def open(self) -> None:
        """Find what is kept here for others."""
        for name in self._site.store.agents():
            if name.startswith(SPEC):
                owner, agent = name[len(SPEC) :].split("/", 1)
                specs = list(self._site.store.read(name))
                if specs:
                    self._specs[owner, agent] = _decoded(specs[-1])
            if name.startswith(PREFIX):
                self._kept[name] = self._durable[name] = self._site.store.length(name)
                self._keeps(name[len(PREFIX) :].split("/", 1)[0])

    def keep(self, owner: HostId, copy: Copy) -> None:
        """Take in records of another host's log."""
        name = f"{PREFIX}{owner}/{copy.log}"
        known = self._specs.get((owner, copy.log), KeptSpec())
        if copy.life < known.life:
            return
        if copy.life > known.life and self._kept.get(name, 0) > copy.since:
            # Its owner has lost what it has not got, and has begun anew.
            self._cut_back(name, copy.since)
        elif copy.is_sealed and self._is_plain(name):
            # Its owner did not seal before.
            self._cut_back(name, 0)
        spec = KeptSpec(copy.kind or known.kind, copy.options if copy.kind else known.options, copy.life)
        if spec != known:
            self._write_spec(owner, copy.log, spec)
        have = self._kept.get(name, 0)
        begins = bool(copy.prev) and copy.first > have + 1
        first = copy.first if begins else have + 1
        fresh = copy.records[first - copy.first :] if copy.first <= first else ()
        if not fresh:
            self._say(owner, Copied(copy.log, self._durable.get(name, 0), copy.first > have + 1, copy.life))
            return
        self._kept[name] = have = first + len(fresh) - 1
        self._keeps(owner)

        cuts = self._cuts.get(name, 0)

        def durable() -> None:
            # What was cut off meanwhile does not count.
            if self._cuts.get(name, 0) == cuts and self._specs.get((owner, copy.log), known).life == copy.life:
                self._durable[name] = have
                self._say(owner, Copied(copy.log, have, life=copy.life))

        store = self._site.store
        if begins:
            store.begin_at(name, first, copy.prev, fresh, durable)
            return
        # Where reading may begin in the original, it may begin in the copy.
        ends = [number for number in copy.anchors if number > first]
        for begin, end in pairwise((first, *ends, have + 1)):
            some = fresh[begin - first : end - first]
            is_last = end == have + 1
            store.append(name, some, durable if is_last else lambda: None, anchor=begin in copy.anchors)

    def _cut_back(self, name: str, since: int) -> None:
        self._cuts[name] = self._cuts.get(name, 0) + 1
        self._kept[name] = self._durable[name] = cut_back(self._site.store, name, since)

    def _is_plain(self, name: str) -> bool:
        """Tell whether a copy here is not sealed."""
        if not self._kept.get(name) or name in self._sealed:
            return False
        store = self._site.store
        try:
            first = next(iter(store.read(name, store.reads_from(name)[0])), None)
        except LogCorrupt:
            return True  # it is worth nothing as it is
        if first is not None and level_of(first):
            self._sealed[name] = None
        return first is not None and not level_of(first)

    def _say(self, owner: HostId, copied: Copied) -> None:
        self._said.setdefault(owner, {})[copied.log] = copied
        self._flush_soon()

    def flush(self) -> None:
        """Tell owners what one turn of the loop has made durable."""
        for owner, said in self._said.items():
            self._site.send_frame(owner, Frame(copies=tuple(said.values())))
        self._said = {}

    # -- succeeding ------------------------------------------------------------------------------------------------

    def of(self, owner: HostId) -> list[AgentId]:
        """Return the logs of a host of which there are copies here."""
        begin = f"{PREFIX}{owner}/"
        return sorted(name[len(begin) :] for name in self._kept if name.startswith(begin))

    def levels(self, owner: HostId, log: AgentId | None = None) -> set[int]:
        """Return at which levels a host has sealed the copies here, of one log or of all; damaged ones tell nothing."""
        logs = [each for each in self.of(owner) if log in (None, each)]
        specs = (spec for (host, agent), spec in self._specs.items() if host == owner and log in (None, agent))
        found = {level_of(spec.options) for spec in specs}
        for name in (f"{PREFIX}{owner}/{each}" for each in logs):
            with suppress(LogCorrupt):  # whoever reads it is told
                found.update(map(level_of, self._site.store.read(name, self._site.store.reads_from(name)[0])))
        return found - {0}

    def read(self, owner: HostId, log: AgentId) -> tuple[int, bytes, list[bytes]]:
        """Return what a copy here holds: the number of its first record, the hash that it follows, and the records.

        Raises: LogCorrupt, if it is damaged or can't be opened.
        """
        name = f"{PREFIX}{owner}/{log}"
        first, prev = self._site.store.reads_from(name)
        sealed = list(self._site.store.read(name, first))
        return first, prev, self._opener.open(owner, log, first, sealed, is_here=True)

    def sealed_kind_of(self, owner: HostId, agent: AgentId) -> tuple[str, bytes]:
        """Return the class of an agent of which there is a copy, as `module:qualname`, and its options, as sent."""
        spec = self._specs.get((owner, agent), KeptSpec())
        return spec.kind, spec.options

    def kind_of(self, owner: HostId, agent: AgentId) -> tuple[str, bytes]:
        """Return the class of an agent of which there is a copy, and its encoded options. Raises: LogCorrupt."""
        kind, options = self.sealed_kind_of(owner, agent)
        return kind, self._opener.open(owner, of_class(agent, kind), OPTIONS, (options,), is_here=True)[0]

    def adopts(self, owner: HostId, agent: AgentId, kind: str, options: bytes) -> None:
        """Keep what it takes to bring an agent up, as its owner has sealed it: others had a copy, and here is none."""
        if (owner, agent) not in self._specs:
            self._write_spec(owner, agent, KeptSpec(kind, options))

    def _write_spec(self, owner: HostId, log: AgentId, spec: KeptSpec) -> None:
        self._specs[owner, log] = spec
        self._site.store.append(f"{SPEC}{owner}/{log}", (payload.encode(list(spec)),), lambda: None, anchor=True)

    def begun(self, owner: HostId) -> list[AgentId]:
        """Return the agents of a host whose logs go on here."""
        return sorted(agent for host, agent in self._specs if host == owner and self._site.store.length(agent))

    def spec(self, owner: HostId, agent: AgentId, lost: bool) -> AgentSpec | None:
        """Return what it takes to bring up an agent of which there is a copy; None if its class can't be found here.

        Raises: LogCorrupt, if that can't be opened.
        """
        kind, options = self.kind_of(owner, agent)
        found = spec_of(agent, kind, options, lost)
        if found is None:
            self._site.noticed(
                agent, Tell("not-succeeded", agent, f"its class {kind or '(unknown)'} is not found here")
            )
        return found


def _decoded(data: bytes) -> KeptSpec:
    """Return what an earlier life has written; the first releases wrote no life."""
    found = payload.decode(data)
    assert isinstance(found, list)
    return KeptSpec(*found)
