"""Copies of one host's logs on its buddies, and of others' logs here (CP-8).

What is a fact (a cut, a vote, a tool's intent) counts once it is with the buddies, with everything before it in its
log. So whoever succeeds a host repeats what that has said. Copies are streams: each log's records in order, by number.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from peer import payload
from peer.ports import Cancel
from peer.spec import AgentSpec, kind_at, path_of
from protocol.action import Tell
from protocol.copy import COPY_BYTES, Copied, Copy
from protocol.ids import AgentId, HostId
from protocol.wire import Frame

if TYPE_CHECKING:
    from peer.host import Host

PREFIX = "copy:"
SPEC = "spec:"
"""Names of logs here: of copies, and of what it takes to bring their agents up."""
AGAIN_US = 500_000
"""How long a buddy may take to say that it has something, before it is sent again."""
ALONE_US = 5_000_000
"""How long a host that comes back and knows nobody waits for buddies, before it goes on without."""
UNSENT_RECORDS_MAX = 2_000
"""Records that wait for a fact before they are sent anyway."""
TAIL_RECORDS_MAX = 20_000
"""Records of a log kept in memory for a buddy that lags; what it lacks before those is read again."""


@dataclass
class _Log:
    """One of this host's logs: how long it is, and its end in memory."""

    length: int = 0
    tail: deque[bytes] = field(default_factory=deque)
    """The last records, those that some buddy may lack."""


@dataclass
class _Fact:
    """Something that waits until the buddies have every log as far as here."""

    lengths: dict[AgentId, int]
    done: Callable[[], None]


class Copies:
    """The copies that one host has elsewhere, and keeps for others."""

    def __init__(self, host: "Host", count: int) -> None:
        self._host = host
        self._count = count
        self._logs: dict[AgentId, _Log] = {}
        self._buddies: tuple[HostId, ...] = ()
        self._chosen_by = (-2, 0)
        self._has: dict[HostId, dict[AgentId, int]] = {}
        """By buddy and log, how much it is known to have; a log that is not there has not been asked about."""
        self._sent: dict[tuple[HostId, AgentId], int] = {}
        self._facts: deque[_Fact] = deque()
        self._kept: dict[str, int] = {}
        """By name of a copy here, its length, what is being written included."""
        self._durable: dict[str, int] = {}
        self._specs: dict[tuple[HostId, AgentId], list[Any]] = {}
        self._again: Cancel | None = None
        self._alone: Cancel | None = None
        """While it runs, a host that has come back waits until it knows others."""
        self._unsent = 0

    # -- this host's logs ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Find what is kept here for others."""
        for name in self._host.store.agents():
            if name.startswith(SPEC):
                owner, agent = name[len(SPEC) :].split("/", 1)
                *_, spec = self._host.store.read(name)
                self._specs[owner, agent] = payload.decode(spec)  # type: ignore[assignment]
            if name.startswith(PREFIX):
                self._kept[name] = self._durable[name] = self._host.store.length(name)
                self._host.checkpoints.machine.keeps(name[len(PREFIX) :].split("/", 1)[0])

    def close(self) -> None:
        """Stop."""
        for cancel in (self._again, self._alone):
            if cancel is not None:
                cancel()

    def wrote(self, log: AgentId, records: list[bytes]) -> None:
        """Note records that are durable here."""
        if not self._count:
            return
        known = self._log(log)
        known.length += len(records)
        known.tail.extend(records)
        self._unsent += len(records)
        while len(known.tail) > TAIL_RECORDS_MAX:
            known.tail.popleft()
        if self._unsent > UNSENT_RECORDS_MAX:
            self._send_all(again=False)

    def _log(self, log: AgentId) -> _Log:
        known = self._logs.get(log)
        if known is None:
            # What was written before this life is read again if a buddy lacks it.
            known = self._logs[log] = _Log()
        return known

    def begin(self, log: AgentId, length: int) -> None:
        """Note how long a log is when this life begins."""
        self._log(log).length = length

    def place(self, done: Callable[[], None]) -> None:
        """Call `done` once the buddies have everything that is durable here now; at once, if there are none."""
        if not self._count or (not self._choose() and self._alone is None):
            done()
            return
        self._facts.append(_Fact({name: log.length for name, log in self._logs.items()}, done))
        self._send_all(again=False)

    def buddies(self) -> tuple[HostId, ...]:
        """Return the hosts that keep the copies, as things stand."""
        return self._choose() if self._count else ()

    def recover(self, done: Callable[[], None]) -> None:
        """Call `done` once the buddies have what earlier lives have written: a fact there may not have been placed."""
        if not self._count or not any(log.length for log in self._logs.values()):
            done()
            return
        if not self._choose():
            self._alone = self._host.clock.wake(self._host.clock.now_us() + ALONE_US, self._stays_alone)
        self._facts.append(_Fact({name: log.length for name, log in self._logs.items()}, done))
        self._send_all(again=False)

    def _stays_alone(self) -> None:
        self._alone = None
        self._settle()

    def changed(self) -> None:
        """An epoch is committed, or a host succeeded: others may be the buddies now."""
        if self._count:
            if self._choose() and self._alone is not None:
                self._alone()
                self._alone = None
            if self._facts:
                self._send_all(again=False)
            self._settle()

    def _choose(self) -> tuple[HostId, ...]:
        machine = self._host.checkpoints.machine
        known = (machine.epochs.committed, len(machine.succession.heirs))
        if known != self._chosen_by:
            self._chosen_by = known
            self._buddies = machine.succession.buddies(self._host.host_id)
        return self._buddies

    # -- sending ---------------------------------------------------------------------------------------------------

    def _send_all(self, again: bool) -> None:
        self._unsent = 0
        for buddy in self._buddies:
            for name in list(self._logs):
                self._send(buddy, name, again)
        if self._again is None and self._buddies:
            self._again = self._host.clock.wake(self._host.clock.now_us() + AGAIN_US, self._send_again)

    def _send_again(self) -> None:
        self._again = None
        if self._facts:
            self._send_all(again=True)

    def _send(self, buddy: HostId, name: AgentId, again: bool) -> None:
        log, has = self._logs[name], self._has.get(buddy, {}).get(name)
        if has is None:
            if again or (buddy, name) not in self._sent:
                self._sent[buddy, name] = 0
                self._host.send_frame(buddy, Frame(copies=(Copy(name, 1, ()),)))
            return
        first = (has if again else max(has, self._sent.get((buddy, name), 0))) + 1
        if first > log.length:
            return
        records: list[bytes] = []
        size = 0
        for record in self._records(name, first):
            records.append(record)
            size += len(record)
            if size >= COPY_BYTES:
                break
        kind, options = self._spec_of(name)
        self._sent[buddy, name] = first + len(records) - 1
        self._host.send_frame(buddy, Frame(copies=(Copy(name, first, tuple(records), kind, options),)))

    def _records(self, name: AgentId, first: int) -> list[bytes]:
        log = self._logs[name]
        begin = log.length - len(log.tail) + 1
        if first < begin:
            return list(self._host.store.read(name, whole=True))[first - 1 :]
        return list(log.tail)[first - begin :]

    def _spec_of(self, name: AgentId) -> tuple[str, bytes]:
        driver = self._host.drivers.get(name)
        if driver is None:
            return "", b""
        return path_of(type(driver.agent)), payload.encode(driver.options)

    def _settle(self) -> None:
        """Go on with the facts that all buddies have."""
        if self._alone is not None:
            return
        while self._facts and all(self._has_all(buddy, self._facts[0].lengths) for buddy in self._buddies):
            self._facts.popleft().done()
        for name, log in self._logs.items():
            least = min((self._has.get(buddy, {}).get(name, 0) for buddy in self._buddies), default=log.length)
            while log.tail and log.length - len(log.tail) < least:
                log.tail.popleft()

    def _has_all(self, buddy: HostId, lengths: dict[AgentId, int]) -> bool:
        has = self._has.get(buddy, {})
        return all(has.get(name, -1) >= length for name, length in lengths.items())

    # -- messages --------------------------------------------------------------------------------------------------

    def received(self, sender: HostId, message: Copy | Copied) -> None:
        """Take in records of another host's log, or word that a buddy has some of this one's."""
        if isinstance(message, Copied):
            has = self._has.setdefault(sender, {})
            has[message.log] = max(message.have, has.get(message.log, 0))
            if message.log in self._logs:
                self._send(sender, message.log, again=False)
            self._settle()
        elif not self._host.checkpoints.machine.succession.is_refused(sender):
            # CP-8: from who has been succeeded nothing is taken any more, so it can say nothing new.
            self._keep(sender, message)

    def _keep(self, owner: HostId, copy: Copy) -> None:
        name = f"{PREFIX}{owner}/{copy.log}"
        have = self._kept.get(name, 0)
        if copy.kind and self._specs.get((owner, copy.log)) != [copy.kind, copy.options]:
            self._specs[owner, copy.log] = [copy.kind, copy.options]
            spec = payload.encode([copy.kind, copy.options])
            self._host.store.append(f"{SPEC}{owner}/{copy.log}", (spec,), lambda: None)
        fresh = copy.records[have + 1 - copy.first :] if copy.first <= have + 1 else ()
        if not fresh:
            self._host.send_frame(owner, Frame(copies=(Copied(copy.log, self._durable.get(name, 0)),)))
            return
        self._kept[name] = have + len(fresh)
        self._host.checkpoints.machine.keeps(owner)

        def durable() -> None:
            self._durable[name] = have + len(fresh)
            self._host.send_frame(owner, Frame(copies=(Copied(copy.log, have + len(fresh)),)))

        self._host.store.append(name, fresh, durable)

    # -- succeeding ------------------------------------------------------------------------------------------------

    def of(self, owner: HostId) -> list[tuple[AgentId, list[bytes]]]:
        """Return the logs of a host of which there are copies here, with their records."""
        begin = f"{PREFIX}{owner}/"
        names = [name for name in self._kept if name.startswith(begin)]
        return [(name[len(begin) :], list(self._host.store.read(name, whole=True))) for name in sorted(names)]

    def spec(self, owner: HostId, agent: AgentId, lost: bool) -> AgentSpec | None:
        """Return what it takes to bring up an agent of which there is a copy; None if its class can't be found here."""
        kind, options = self._specs.get((owner, agent), ["", b""])
        found = kind_at(kind) if kind else None
        if found is None:
            self._host.noticed(
                agent, Tell("not-succeeded", agent, f"its class {kind or '(unknown)'} is not found here")
            )
            return None
        decoded = payload.decode(options)
        return AgentSpec(agent, found, decoded if isinstance(decoded, dict) else {}, lost)
