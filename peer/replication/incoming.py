"""Copies of other hosts' logs, kept here (CP-8)."""

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from peer.agents.spec import AgentSpec
from peer.replication.ledger import cut_back, spec_of
from peer.values import payload
from protocol.action import Tell
from protocol.checkpoints.copy import Copied, Copy
from protocol.ids import AgentId, HostId
from protocol.wire import Frame

if TYPE_CHECKING:
    from peer.host.host import Host

PREFIX = "copy:"
SPEC = "spec:"
"""Names of logs here: of copies, and of what it takes to bring their agents up."""


class Kept:
    """The copies that one host keeps for others."""

    def __init__(self, host: "Host", flush_soon: Callable[[], None]) -> None:
        self._host = host
        self._flush_soon = flush_soon
        self._kept: dict[str, int] = {}
        """By name of a copy here, its length, what is being written included."""
        self._durable: dict[str, int] = {}
        self._specs: dict[tuple[HostId, AgentId], list[Any]] = {}
        self._said: dict[HostId, dict[AgentId, Copied]] = {}
        """What owners are to be told of their copies here, with the loop's next turn."""

    def open(self) -> None:
        """Find what is kept here for others."""
        for name in self._host.store.agents():
            if name.startswith(SPEC):
                owner, agent = name[len(SPEC) :].split("/", 1)
                specs = list(self._host.store.read(name))
                if specs:
                    found: Any = payload.decode(specs[-1])
                    self._specs[owner, agent] = [*found, 0][:3]
            if name.startswith(PREFIX):
                self._kept[name] = self._durable[name] = self._host.store.length(name)
                self._host.checkpoints.machine.keeps(name[len(PREFIX) :].split("/", 1)[0])

    def keep(self, owner: HostId, copy: Copy) -> None:
        """Take in records of another host's log."""
        name = f"{PREFIX}{owner}/{copy.log}"
        known = self._specs.get((owner, copy.log), ["", b"", 0])
        if copy.life < known[2]:
            return
        if copy.life > known[2] and self._kept.get(name, 0) > copy.since:
            # Its owner has lost what it has not got, and has begun anew.
            self._kept[name] = self._durable[name] = cut_back(self._host.store, name, copy.since)
        spec = [copy.kind or known[0], copy.options if copy.kind else known[1], copy.life]
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
        self._host.checkpoints.machine.keeps(owner)

        def durable() -> None:
            # What an earlier life has sent, and was cut off meanwhile, does not count.
            if self._specs.get((owner, copy.log), known)[2] == copy.life:
                self._durable[name] = have
                self._say(owner, Copied(copy.log, have, life=copy.life))

        store = self._host.store
        if begins:
            store.begin_at(name, first, copy.prev, fresh, durable)
            return
        # Where reading may begin in the original, it may begin in the copy.
        ends = [number for number in copy.anchors if number > first]
        for begin, end in pairwise((first, *ends, have + 1)):
            some = fresh[begin - first : end - first]
            is_last = end == have + 1
            store.append(name, some, durable if is_last else lambda: None, anchor=begin in copy.anchors)

    def _say(self, owner: HostId, copied: Copied) -> None:
        self._said.setdefault(owner, {})[copied.log] = copied
        self._flush_soon()

    def flush(self) -> None:
        """Tell owners what one turn of the loop has made durable."""
        for owner, said in self._said.items():
            self._host.send_frame(owner, Frame(copies=tuple(said.values())))
        self._said = {}

    # -- succeeding ------------------------------------------------------------------------------------------------

    def of(self, owner: HostId) -> list[AgentId]:
        """Return the logs of a host of which there are copies here."""
        begin = f"{PREFIX}{owner}/"
        return sorted(name[len(begin) :] for name in self._kept if name.startswith(begin))

    def read(self, owner: HostId, log: AgentId) -> tuple[int, bytes, list[bytes]]:
        """Return what a copy here holds: the number of its first record, the hash that it follows, and the records."""
        name = f"{PREFIX}{owner}/{log}"
        first, prev = self._host.store.begin(name)
        return first, prev, list(self._host.store.read(name, first))

    def kind_of(self, owner: HostId, agent: AgentId) -> tuple[str, bytes]:
        """Return the class of an agent of which there is a copy, as `module:qualname`, and its encoded options."""
        kind, options, _ = self._specs.get((owner, agent), ["", b"", 0])
        return kind, options

    def adopts(self, owner: HostId, agent: AgentId, kind: str, options: bytes) -> None:
        """Keep what it takes to bring an agent up, of which there is no copy here: others had one."""
        if (owner, agent) not in self._specs:
            self._write_spec(owner, agent, [kind, options, 0])

    def _write_spec(self, owner: HostId, log: AgentId, spec: list[Any]) -> None:
        self._specs[owner, log] = spec
        self._host.store.append(f"{SPEC}{owner}/{log}", (payload.encode(spec),), lambda: None, anchor=True)

    def begun(self, owner: HostId) -> list[AgentId]:
        """Return the agents of a host whose logs go on here."""
        return sorted(agent for host, agent in self._specs if host == owner and self._host.store.length(agent))

    def spec(self, owner: HostId, agent: AgentId, lost: bool) -> AgentSpec | None:
        """Return what it takes to bring up an agent of which there is a copy; None if its class can't be found here."""
        kind, options = self.kind_of(owner, agent)
        found = spec_of(agent, kind, options, lost)
        if found is None:
            self._host.noticed(
                agent, Tell("not-succeeded", agent, f"its class {kind or '(unknown)'} is not found here")
            )
        return found
