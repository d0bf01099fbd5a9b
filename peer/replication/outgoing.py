"""Copies of one host's logs on its backups (CP-8); of the copies here it lets `Kept` take care.

What is a fact (a cut, a vote, a tool's intent) counts once it is with the backups, with everything before it in its
log. So whoever succeeds a host repeats what that has said. Copies are streams: each log's records in order, by number.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol

from peer import errors
from peer.ports import Cancel
from peer.replication.escrow import Escrow
from peer.replication.incoming import OPTIONS, Kept, of_class
from peer.replication.ledger import Backup, OwnLog, first_of
from peer.replication.opener import Opener
from peer.site import Site
from protocol.action import Tell
from protocol.checkpoints.copy import COPY_BYTES, Copied, Copy
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.succession import node_of
from protocol.ids import HOST, AgentId, HostId
from protocol.wire import Frame

AGAIN_US = 500_000
"""How long a backup may take to say that it has something, before it is sent again."""
ALONE_US = 5_000_000
"""How long a host that comes back and knows nobody waits for backups, before it goes on without."""
UNSENT_RECORDS_MAX = 2_000
"""Records that wait for a fact before they are sent anyway."""
PARTS_MAX = 1000
"""Logs in one frame."""
TAIL_RECORDS_MAX = 20_000
"""Records of a log kept in memory for a backup that lags; what it lacks before those is read again."""

Shown = Callable[[bool | None], None]
"""Told whether a backup has shown what it says that it has; None if it did not answer."""


class Own(Protocol):
    """The agents here, as far as copies of their logs need them."""

    def is_up(self, agent: AgentId) -> bool:
        """Tell whether an agent is up here."""
        ...

    def life_of(self, log: AgentId) -> int:
        """Return how many lives its agent has had before this one; 0 for a log that is nobody's here."""
        ...

    def spec_of(self, log: AgentId) -> tuple[str, bytes]:
        """Return its agent's class, as `module:qualname`, and its encoded options; nothing if it is nobody's."""
        ...


class Copies:
    """The copies that one host has elsewhere.

    Args:
        site: the host.
        machine: its checkpoint machine, which says who the backups are.
        own: its agents.
        escrow: seals what they keep.
        opener: opens what is kept here, once its owner is succeeded.
        count: how many backups there are to be.
        show: has a backup show that it has a log from a record on.
        failed: told if this host can't go on with its log.
    """

    def __init__(
        self, site: Site, machine: CheckpointMachine, own: Own, escrow: Escrow, opener: Opener, count: int,
        show: Callable[[HostId, AgentId, int, Shown], None], failed: Callable[[Exception], None],
    ) -> None:  # fmt: skip
        self._site = site
        self._machine = machine
        self._own = own
        self._escrow = escrow
        self._show = show
        self._failed = failed
        self._doubted: dict[tuple[HostId, AgentId], None] = {}
        self._count = count
        self._logs: dict[AgentId, OwnLog] = {}
        self._backups: dict[HostId, Backup] = {}
        self._chosen_by = (-2, 0)
        self._few = -1
        """How many backups there were when it was last said that these are too few."""
        self._written = 0
        """How many writes there have been, over all logs."""
        self._facts: deque[tuple[int, Callable[[], None]]] = deque()
        """What waits until the backups have every write up to a place."""
        self.kept = Kept(site, opener, machine.has_copy, self._flush_soon)
        self._flushing = False
        self._again: Cancel | None = None
        self._alone: Cancel | None = None
        """While it runs, a host that has come back waits until it knows others."""
        self._unsent = 0

    # -- this host's logs ------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop."""
        for cancel in (self._again, self._alone):
            if cancel is not None:
                cancel()

    def wrote(self, log: AgentId, records: list[bytes], anchor: bool = False) -> None:
        """Note records that are durable here; with `anchor`, they stand for all before them."""
        if not self._count or not records:
            return
        known = self._log(log)
        if anchor:
            known.anchors[known.length + 1] = None
        known.length += len(records)
        known.tail.extend(records)
        self._unsent += len(records)
        while len(known.tail) > TAIL_RECORDS_MAX:
            known.tail.popleft()
        self._written += 1
        for backup in self._backups.values():
            backup.waits.append((self._written, log, known.length))
            backup.unsent[log] = None
        if self._unsent > UNSENT_RECORDS_MAX:
            self._flush_soon()

    def _log(self, log: AgentId) -> OwnLog:
        known = self._logs.get(log)
        if known is None:
            # What was written before this life is read again if a backup lacks it.
            known = self._logs[log] = OwnLog()
        return known

    def begin(self, log: AgentId, length: int, lost: bool = False) -> None:
        """Note how long a log is when this life begins, and whether its end was lost."""
        known = self._log(log)
        known.length = length
        known.since = length if lost else 0
        self._written += 1
        for backup in self._backups.values():
            backup.waits.append((self._written, log, length))
            backup.unsent[log] = None

    def forget(self, log: AgentId) -> None:
        """Let the backups' copies of a log be as they are: its agent lives elsewhere, and nothing here waits for it."""
        self._logs.pop(log, None)
        for backup in self._backups.values():
            backup.forget(log)
        self._settle()

    def length(self, log: AgentId) -> int:
        """Return how many records a log has of which this is told."""
        return self._log(log).length

    def place(self, done: Callable[[], None]) -> None:
        """Call `done` once the backups have everything that is durable here now; at once, if there are none."""
        if not self._count or (not self._choose() and self._alone is None):
            done()
            return
        self._facts.append((self._written, done))
        self._flush_soon()

    def backups(self) -> tuple[HostId, ...]:
        """Return the hosts that keep the copies, as things stand."""
        return tuple(self._choose()) if self._count else ()

    def recover(self, done: Callable[[], None]) -> None:
        """Call `done` once the backups have what earlier lives have written: a fact there may not have been placed."""
        if not self._count or not any(log.length for log in self._logs.values()):
            done()
            return
        if not self._choose():
            self._alone = self._site.clock.wake(self._site.clock.now_us() + ALONE_US, self._stays_alone)
        self._facts.append((self._written, done))
        self._flush_soon()

    def _stays_alone(self) -> None:
        self._alone = None
        self._settle()

    def changed(self) -> None:
        """An epoch is committed, or a host succeeded: others may be the backups now."""
        if self._count:
            if self._choose() and self._alone is not None:
                self._alone()
                self._alone = None
            if self._facts:
                self._flush_soon()
            self._settle()

    def _choose(self) -> dict[HostId, Backup]:
        machine = self._machine
        known = (machine.epochs.committed, len(machine.succession.successors))
        if known != self._chosen_by:
            self._chosen_by = known
            chosen = machine.succession.backups(self._site.host_id)
            near = [host for host in chosen if node_of(host) == node_of(self._site.host_id)]
            if near and set(near) - set(self._backups):
                text = "there are too few hosts on other nodes: a copy is lost with this node"
                self._site.noticed(HOST, Tell("backup-near", near[0], text))
            # The first views of a cluster are small.
            if len(chosen) < self._count and machine.epochs.committed > 1 and len(chosen) != self._few:
                self._few = len(chosen)
                text = f"{self._count} other hosts are to keep copies, and there are {self._few}: fewer may be lost"
                self._site.noticed(HOST, Tell("replicas-few", str(self._site.host_id), text))
            self._backups = {host: self._backups.get(host) or self._new_backup() for host in chosen}
            self._escrow.chosen()
        return self._backups

    def _new_backup(self) -> Backup:
        lengths = ((name, log.length) for name, log in self._logs.items() if log.length)
        # Of what anybody waits for, it has nothing yet.
        waits = deque((0, name, length) for name, length in lengths)
        return Backup(unsent=dict.fromkeys(self._logs), waits=waits)

    # -- sending ---------------------------------------------------------------------------------------------------

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Send what one turn of the loop has made: to each backup, and to each owner of copies here."""
        self._flushing = False
        self.kept.flush()
        self._unsent = 0
        self._escrow.look()
        for host, backup in self._backups.items():
            self._send_all(host, backup)
        if self._again is None and self._backups:
            self._again = self._site.clock.wake(self._site.clock.now_us() + AGAIN_US, self._send_again)
        self._settle()

    def _send_again(self) -> None:
        self._again = None
        if self._facts:
            for backup in self._backups.values():
                backup.asked.clear()
                backup.sent = dict(backup.has)
                backup.unsent.update((log, None) for _, log, _ in backup.waits)
            self._escrow.offer()
            self._flush_soon()

    def _send_all(self, host: HostId, backup: Backup) -> None:
        parts: list[Copy] = []
        size, seals = 0, self._escrow.can_open(host)
        if seals and not self._escrow.is_ready:
            return
        unsent, backup.unsent = backup.unsent, {}
        for name in unsent:
            part = self._part(backup, name, seals)
            if part is None:
                continue
            parts.append(part)
            size += sum(map(len, part.records)) + len(name)
            if size >= COPY_BYTES or len(parts) >= PARTS_MAX:
                self._site.send_frame(host, Frame(copies=tuple(parts)))
                parts, size = [], 0
        if parts:
            self._site.send_frame(host, Frame(copies=tuple(parts)))

    def _part(self, backup: Backup, name: AgentId, seals: bool) -> Copy | None:
        """Return what a backup is to be sent of a log next, sealed or not, or the question what it has."""
        log, has = self._logs[name], backup.has.get(name)
        if has is None:
            if name in backup.asked:
                return None
            backup.asked[name] = None
            return Copy(name, 1, (), life=self._own.life_of(name), since=log.since, is_sealed=seals)
        first = max(has, backup.sent.get(name, 0)) + 1
        if first > log.length:
            return None
        prev = b""
        try:
            if has == 0:
                first, prev = self._from_anchor(name, first)
            try:
                records = first_of(self._records(name, first))
            except errors.LogCorrupt:
                # A backup of long ago lacks what has been put away since: its copy goes on from the anchor.
                first, prev = self._from_anchor(name, first)
                records = first_of(self._records(name, first))
        except errors.LogCorrupt as error:
            self._site.noticed(name, Tell("not-copied", name, str(error)))
            return None
        kind, options = self._own.spec_of(name)
        if seals:
            options = self._escrow.close(of_class(name, kind), OPTIONS, (options,))[0] if kind else options
            records = self._escrow.close(name, first, records)
        last = first + len(records) - 1
        backup.sent[name] = last
        anchors = tuple(number for number in (*log.anchors, *((first,) if prev else ())) if first <= number <= last)
        life, since = self._own.life_of(name), log.since
        return Copy(name, first, tuple(records), kind, options, prev, anchors, life, since, seals)

    def _from_anchor(self, name: AgentId, first: int) -> tuple[int, bytes]:
        """Return where a copy goes on: nobody needs what is before the last anchor to bring an agent back."""
        begin, prev = self._site.store.reads_from(name)
        return (begin, prev) if begin > first else (first, b"")

    def _records(self, name: AgentId, first: int) -> Iterable[bytes]:
        log = self._logs[name]
        begin = log.length - len(log.tail) + 1
        if first < begin:
            return self._site.store.read(name, first)
        return islice(log.tail, first - begin, None)

    def _settle(self) -> None:
        """Go on with the facts that all backups have, and that could be read there if this host were lost."""
        if self._alone is not None or (self._backups and not self._escrow.is_placed):
            return
        while self._facts and all(backup.has_all(self._facts[0][0]) for backup in self._backups.values()):
            self._facts.popleft()[1]()

    def _drop(self, name: AgentId) -> None:
        """Forget the part of a log's tail that every backup has."""
        log = self._logs[name]
        least = min((backup.has.get(name, 0) for backup in self._backups.values()), default=log.length)
        while log.tail and log.length - len(log.tail) < least:
            log.tail.popleft()
        while log.anchors and next(iter(log.anchors)) <= log.length - len(log.tail):
            del log.anchors[next(iter(log.anchors))]

    # -- messages --------------------------------------------------------------------------------------------------

    def placed(self) -> None:
        """More shares of this host's secrets are where they are to be."""
        if self._backups:
            self._flush_soon()

    def received(self, sender: HostId, message: Copy | Copied) -> None:
        """Take in records of another host's log, or word that a backup has some of this one's."""
        if isinstance(message, Copied):
            backup = self._backups.get(sender)
            if backup is not None and message.log in self._logs:
                self._acknowledged(sender, backup, message)
        elif not self._machine.succession.is_refused(sender):
            # CP-8: from who has been succeeded nothing is taken any more, so it can say nothing new.
            self.kept.keep(sender, message)

    def _doubts(self, host: HostId, name: AgentId, have: int) -> None:
        """A backup says that it has more of a log than there is here: it has to show what this host has sealed."""
        here = self._logs[name].length

        def shown(is_so: bool | None) -> None:
            del self._doubted[host, name]
            if is_so:
                # Whatever this log has said after that is forgotten here, and would be said again in another way.
                error = (
                    f"The log of {name} has {here} records here, and a backup has {have}: this folder is an older state"
                    " of it. Its agents stop. Start the host with an empty folder: its backups go on with its agents."
                )
                self._failed(errors.LogCorrupt(error))
            elif is_so is not None and host in self._backups and name in self._logs:
                # It lies about what it has more, and what it has less it may lie about as well.
                self._backups[host].has[name] = self._backups[host].sent[name] = self._logs[name].length
                self._settle()

        if (host, name) not in self._doubted:
            self._doubted[host, name] = None
            self._show(host, name, here + 1, shown)

    def _acknowledged(self, sender: HostId, backup: Backup, message: Copied) -> None:
        name = message.log
        if message.life != self._own.life_of(name):
            return  # it was said of another life's records
        before = backup.has.get(name, 0)
        if message.have > self._logs[name].length and self._own.is_up(name):
            self._doubts(sender, name, message.have)
            return
        backup.has[name] = message.have if message.again else max(message.have, before)
        if message.again:
            backup.sent[name] = message.have
            if message.have < before:
                # Its copy was damaged, or it has begun anew: what it had said it had counts no more.
                backup.waits.appendleft((0, name, self._logs[name].length))
        self._drop(name)
        if backup.has[name] < self._logs[name].length:
            backup.unsent[name] = None
            self._flush_soon()
        self._settle()
