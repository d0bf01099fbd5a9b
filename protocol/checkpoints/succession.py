"""Who succeeds a host that is dead for good: single-decree Paxos for each dead host, among the hosts (CP-8).

A host's facts (its cuts and votes) are with its backups before anybody else hears them, and a backup that succeeds it
takes no more of them: so whoever speaks in its place repeats what it has said, and it can't say anything new. A decree
needs a majority of each of the last two views, since a view may have doubled at a border. Without one, epochs and
undecided cones wait, and ordinary work goes on.

Source: Lamport 2001 (Paxos made simple); Thaler and Ravishankar 1998 (rendezvous hashing).
"""

from collections.abc import Callable, Iterable
from hashlib import blake2b

from protocol.checkpoints.core import HostCore
from protocol.checkpoints.decree import NOBODY, Decree
from protocol.checkpoints.messages import (
    Accept,
    Accepted,
    CheckpointRecord,
    DecreeMessage,
    PaxosRecord,
    Prepare,
    Promise,
    Refusal,
    RestoreVoteRecord,
    Round,
    StatedRecord,
    Succeeded,
    SucceededRecord,
    TakeOver,
)
from protocol.checkpoints.restores import behind
from protocol.checkpoints.tally import Count, Statement
from protocol.fact import Began
from protocol.ids import AgentId, HostId

ASKS = 8
"""How often a host whose backup has failed asks others about it, in the time until that one is succeeded."""


def node_of(host: HostId) -> str:
    """Return what hosts on one node have in common: the first byte of their ids (see `HostKeys.generate`)."""
    return host[:2]


def backups_of(host: HostId, hosts: Iterable[HostId], count: int) -> tuple[HostId, ...]:
    """Return the hosts that keep copies of `host`'s logs: the first `count` by rendezvous hashing, never itself.

    Those on other nodes come first: one on its own node is a backup only where there are too few others. Who is on
    which node shows in the ids alone, so all hosts agree on it.
    """

    def weight(other: HostId) -> tuple[bool, bytes, HostId]:
        is_near = node_of(other) == node_of(host)
        return is_near, blake2b(f"{host}\x1f{other}".encode(), digest_size=8).digest(), other

    return tuple(sorted((other for other in hosts if other != host), key=weight)[:count])


class Succession:
    """The decrees that one host knows of."""

    def __init__(self, core: HostCore) -> None:
        self._core = core
        self._decrees: dict[HostId, Decree] = {}
        self.copies: dict[HostId, None] = {}
        """Hosts whose logs are copied here: only who has a copy can succeed."""
        self.successors: dict[HostId, HostId] = {}
        """By dead host, who succeeds it."""
        self.cares: dict[HostId, int] = {}
        """Dead hosts whose agents live here now, and what these had folded: where a view has them, this one cuts and
        votes for them."""
        self._begun: dict[tuple[AgentId, int], Began] = {}
        self._said: dict[tuple[HostId, str], None] = {}
        """What this host has said for others, once and for all."""
        self._ask_us = 0
        self._repeats: dict[tuple[HostId, str], StatedRecord | RestoreVoteRecord] = {}
        """What they had said themselves, by the copies of their logs."""

    def is_refused(self, host: HostId) -> bool:
        """Tell whether a host has been succeeded: what it says counts no more."""
        return host in self.successors

    def remind(self, host: HostId) -> None:
        """Tell a host that has come back that it has been succeeded."""
        self._core.send(host, Succeeded(host, self.successors[host]))

    # -- the proposer ----------------------------------------------------------------------------------------------

    def failed(self, host: HostId) -> None:
        """A host does not answer any more."""
        self._core.failed.setdefault(host, self._core.now_us)
        self._answer_early(host)

    def left(self, host: HostId) -> None:
        """A host has said goodbye, its logs whole with its backups: one of them need not wait."""
        self._core.failed[host] = self._core.now_us - self._core.limits.successor_us
        self._answer_early(host)

    def recovered(self, host: HostId) -> None:
        """It was a false alarm, or it has come back."""
        self._core.failed.pop(host, None)
        self._decrees.get(host, Decree()).early.clear()

    def _answer_early(self, host: HostId) -> None:
        """Answer who had heard sooner than this host that another has failed or left: nobody asks again for long."""
        early = self._decrees.get(host, Decree()).early
        for sender, message in [(sender, early.pop(sender)) for sender in list(early)]:
            self.received(sender, message)

    def backups(self, host: HostId) -> tuple[HostId, ...]:
        """Return who keeps copies of a host's logs: backups by either of the last two views, less who was succeeded.

        By the views, not by who is thought to be alive: hosts may differ about that, and then a host could say
        something new with other backups, while one that has been given up is succeeding it.
        """
        by_view = self.nearest(host, self._core.limits.replicas)
        return tuple(dict.fromkeys(backup for backups in by_view for backup in backups))

    def nearest(
        self, host: HostId, count: int, can: Callable[[HostId], bool] = lambda _: True
    ) -> list[tuple[HostId, ...]]:
        """Return, by each of the last two views, so many of the hosts that are first to keep something for a host.

        Args:
            host: for whom.
            count: how many.
            can: tells whether one is asked at all.
        """
        views = [[other for other in view if other not in self.successors and can(other)] for view in self._views()]
        return [backups_of(host, living, count) for living in views]

    def _turn_us(self, host: HostId) -> int | None:
        """Return when this host is to propose itself: the backups of the dead one take turns; None if it is none."""
        core, commit = self._core, self._core.epochs.commit
        if host in self.successors or commit is None or host not in self.copies or not core.limits.replicas:
            return None
        living = [backup for backup in self.backups(host) if backup not in self._core.failed]
        if core.host not in living:
            return None
        turn_us = self._core.failed[host] + core.limits.successor_us * (1 + living.index(core.host))
        decree = self._decrees.get(host, Decree())
        # A ballot that a commit has outlived comes to nothing: the next need not wait for it.
        return max(turn_us, decree.due_us) if decree.epoch == core.epochs.committed else turn_us

    def deadline_us(self) -> int | None:
        """Return when this host is to propose itself for somebody."""
        times = [time_us for host in self._core.failed if (time_us := self._turn_us(host)) is not None]
        times += [max(self._ask_us, since_us) for since_us in self._missing().values()]
        return min(times, default=None)

    def _missing(self) -> dict[HostId, int]:
        """Return the failed hosts whose successors this one has to know, and since when it asks.

        Its own backups: it waits for them, to have copies of its logs, until they are succeeded. Others later, once
        each of their backups has had its turn: their successor may have died before it could tell.
        """
        limits, failed = self._core.limits, self._core.failed
        if not limits.replicas or not failed:
            return {}
        backups, turns_us = self.backups(self._core.host), limits.successor_us * (2 + limits.replicas)
        unknown = [host for host in self.members() if host in failed and host not in self.successors]
        return {host: 0 if host in backups else failed[host] + turns_us for host in unknown}

    def _ask(self) -> None:
        """Who was away when a succession was told asks others, or it would wait for a dead backup for good."""
        core = self._core
        missing = [host for host, since_us in self._missing().items() if since_us <= core.now_us]
        if core.now_us < self._ask_us or not missing:
            return
        self._ask_us = core.now_us + max(core.limits.gossip_us, core.limits.successor_us // ASKS)
        for dead in missing if core.others else ():
            # It is no ballot of anybody's; who knows more answers by what was decided.
            core.send(core.rng.choice(core.others), Refusal(dead, NOBODY))

    def elapsed(self) -> None:
        """Propose what is due."""
        self._ask()
        for host in list(self._core.failed):
            turn_us = self._turn_us(host)
            if turn_us is not None and turn_us <= self._core.now_us:
                self._propose(host)

    def _propose(self, dead: HostId) -> None:
        core, decree = self._core, self._decrees.setdefault(dead, Decree())
        decree.tries += 1
        # Two that contend for a while fall out of step.
        wait_us = core.limits.successor_us * decree.tries
        decree.due_us = core.now_us + wait_us + core.rng.choice(range(0, wait_us, 1 + wait_us // 16))
        decree.own = (max(decree.promised, decree.own or NOBODY)[0] + 1, core.host)
        decree.promises, decree.proposed, decree.accepts = {}, "", {}
        decree.epoch = core.epochs.committed
        self._to_all(Prepare(dead, decree.own, decree.epoch))

    def members(self) -> dict[HostId, None]:
        """Return who is in the last two views."""
        return dict.fromkeys(host for view in self._views() for host in view)

    def _to_all(self, message: DecreeMessage) -> None:
        for host in self.members():
            if host == self._core.host:
                self.received(host, message)
            elif host != message.dead:
                self._core.send(host, message)

    def _views(self) -> list[tuple[HostId, ...]]:
        commits = self._core.epochs.commits
        return [commits[epoch].next_view() for epoch in sorted(commits)[-2:]]

    def _has_majority(self, hosts: Iterable[HostId]) -> bool:
        spoken = dict.fromkeys(hosts)
        return all(2 * sum(host in spoken for host in view) > len(view) for view in self._views())

    def could_decide(self, hosts: Iterable[HostId]) -> bool:
        """Tell whether these hosts could decide who goes on with another, as the views that are known here stand."""
        return bool(self._views()) and self._has_majority(hosts)

    # -- messages --------------------------------------------------------------------------------------------------

    def received(self, sender: HostId, message: DecreeMessage) -> None:
        """Take in a step of a decree: that a host is dead a majority has to know itself, and not from who asks."""
        core = self._core
        decree = self._decrees.setdefault(message.dead, Decree())
        if isinstance(message, Succeeded):
            self._learn(message.dead, message.by)
        elif message.dead in self.successors:
            core.send(sender, Succeeded(message.dead, self.successors[message.dead]))
        elif isinstance(message, (Prepare, Accept)) and abs(message.epoch - core.epochs.committed) > 1:
            # Majorities of views that are further apart need have nobody in common.
            self._say(sender, Refusal(message.dead, decree.promised))
            core.send_commit(sender)
        elif isinstance(message, (Prepare, Accept)) and message.dead not in core.failed:
            decree.early[sender] = message
            self._say(sender, Refusal(message.dead, decree.promised))
        elif isinstance(message, Prepare) and message.ballot > decree.promised:
            self._write(message.dead, decree, message.ballot, decree.accepted, decree.value, sender)
        elif isinstance(message, Accept) and message.ballot >= decree.promised:
            self._write(message.dead, decree, message.ballot, message.ballot, message.by, sender)
        elif isinstance(message, (Prepare, Accept)):
            self._say(sender, Refusal(message.dead, decree.promised))
        elif isinstance(message, Promise):
            self._promised(sender, message, decree)
        elif isinstance(message, Accepted):
            if message.ballot == decree.own and decree.epoch == core.epochs.committed:
                decree.accepts[sender] = None
                if self._has_majority(decree.accepts):
                    self._learn(message.dead, message.by)
        else:
            # Somebody is ahead: go above it, when the turn comes again.
            decree.promised = max(decree.promised, message.promised)

    def _promised(self, sender: HostId, message: Promise, decree: Decree) -> None:
        if message.ballot != decree.own or decree.epoch != self._core.epochs.committed:
            return
        decree.promises[sender] = (message.accepted, message.by)
        # Once a ballot: a commit that is heard of meanwhile makes another majority of the same promises.
        if not decree.proposed and self._has_majority(decree.promises):
            # What may have been decided already is proposed again.
            accepted, by = max(decree.promises.values())
            decree.proposed = by if accepted > NOBODY else self._core.host
            self._to_all(Accept(message.dead, message.ballot, decree.proposed, decree.epoch))

    def _write(
        self, dead: HostId, decree: Decree, promised: Round, accepted: Round, value: HostId, sender: HostId
    ) -> None:
        """Promise or accept, durably before it is said."""
        decree.promised, decree.accepted, decree.value = promised, accepted, value
        self._core.append(PaxosRecord(dead, promised, accepted, value, sender))

    def written(self, record: PaxosRecord) -> None:
        """A promise or an acceptance is durable: say so."""
        if record.accepted == record.promised:
            self._say(record.sender, Accepted(record.dead, record.promised, record.value))
        else:
            self._say(record.sender, Promise(record.dead, record.promised, record.accepted, record.value))

    def _say(self, host: HostId, message: DecreeMessage) -> None:
        if host == self._core.host:
            self.received(host, message)
        else:
            self._core.send(host, message)

    # -- the outcome -----------------------------------------------------------------------------------------------

    def _learn(self, dead: HostId, by: HostId) -> None:
        if dead not in self.successors:
            self.successors[dead] = by
            self._core.append(SucceededRecord(dead, by))

    def decided(self, record: SucceededRecord) -> None:
        """A succession is durable here: the successor tells everybody, and takes over."""
        core = self._core
        core.tell("succeeded", record.dead, f"by {record.by}")
        if record.by == core.host:
            for host in core.others:
                core.send(host, Succeeded(record.dead, record.by))
            core.actions.append(TakeOver(record.dead))
        elif self.successor_of(record.by) == core.host:
            # Its successor had died before anybody knew of it, and this host has what that one has left.
            core.actions.append(TakeOver(record.by))

    def taken_over(
        self, dead: HostId, records: Iterable[CheckpointRecord], begun: tuple[Began, ...], horizon: int
    ) -> None:
        """Its agents live here, and have made the cut: repeat what the dead host has said, and go on in its name."""
        self.cares[dead] = horizon
        self._begun.update({(began.agent, began.incarnation): began for began in begun})
        for record in records:
            if isinstance(record, (StatedRecord, RestoreVoteRecord)) and record.statement.host == dead:
                self._repeats[dead, _about(record)] = record
        self.speak()

    def speak(self) -> None:
        """Cut and vote in the place of dead hosts, where they have not, and as this host does."""
        core, count, own = self._core, self._core.epochs.count, self._core.epochs.own
        begun = tuple(self._begun[name] for name in sorted(self._begun))
        for dead, horizon in self.cares.items():
            if count is not None and own is not None and core.epochs.colour == count.base + 1:
                undecided, all_begun = core.moves.said_for(core.epochs.colour, own.undecided, (*own.begun, *begun))
                said = Statement(dead, own.joined, (dead,), all_begun, undecided, own.top)
                self._say_for(dead, count, StatedRecord(count.base + 1, said))
            for motion in core.restores.open.values():
                if motion.own is not None:
                    # The dead host may have folded, before this one has, what it would have rejected to go back to.
                    why = motion.own.reject or behind(motion.restore, horizon)
                    vote = Statement(dead, motion.own.joined, top=motion.own.top, reject=why)
                    self._say_for(dead, motion.count, RestoreVoteRecord(motion.restore, vote, motion.commit))

    def _say_for(self, dead: HostId, count: Count, record: StatedRecord | RestoreVoteRecord) -> None:
        name = (dead, _about(record))
        if name not in self._said and count.concerns(dead) and not count.has(dead):
            self._said[name] = None
            # What the dead host has said itself stands: somebody may have heard it.
            self._core.append(self._repeats.get(name, record), is_fact=True)

    # -- the log ---------------------------------------------------------------------------------------------------

    def apply(self, record: PaxosRecord) -> None:
        """Take in a promise or an acceptance from the log."""
        decree = self._decrees.setdefault(record.dead, Decree())
        if record.promised >= decree.promised:
            decree.promised, decree.accepted, decree.value = record.promised, record.accepted, record.value

    def apply_decided(self, record: SucceededRecord) -> None:
        """Take in a succession, live or from the log."""
        self.successors[record.dead] = record.by

    def successor_of(self, host: HostId) -> HostId:
        """Return who has what lived on a host now: the last of those that succeeded each other, as far as is known."""
        for _ in self.successors:
            host = self.successors.get(host, host)
        return host

    def last_of(self, host: HostId) -> HostId:
        """Return the last of those that had what lived on a host before this one has; this one, if nobody had."""
        while host != self._core.host and self.successors.get(host, self._core.host) != self._core.host:
            host = self.successors[host]
        return host

    def between(self, dead: HostId) -> int:
        """Return how many successors have come and gone between a dead host and this one."""
        count, host = -1, dead
        while host in self.successors and host != self._core.host and count < len(self.successors):
            count, host = count + 1, self.successors[host]
        return max(count, 0)

    def left_by(self, dead: HostId) -> list[HostId]:
        """Return the hosts that a dead one had succeeded, the nearest first, and those that these had."""
        found: list[HostId] = []
        later = [dead]
        while later:
            later = [host for host, by in self.successors.items() if by in later and host not in (dead, *found)]
            found += later
        return found

    def holders(self, dead: HostId) -> list[HostId]:
        """Return who must have the copies of a dead host's logs, of those that were not succeeded themselves.

        Its backups, whoever of the views was succeeded when it chose them.
        """
        found = dict.fromkeys(self.backups(dead))
        for view in self._views():
            found.update(dict.fromkeys(backups_of(dead, view, self._core.limits.replicas)))
        return [host for host in found if host not in self.successors]

    def inherited(self) -> list[HostId]:
        """Return the dead hosts whose agents are to live here; spoken for only once they do: they know what is lost."""
        return [dead for dead, by in self.successors.items() if by == self._core.host]


def _about(record: StatedRecord | RestoreVoteRecord) -> str:
    return f"epoch {record.epoch}" if isinstance(record, StatedRecord) else f"restore {record.restore.id}"
