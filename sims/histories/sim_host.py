"""One host of a history: its checkpoint machine and log, and the peers that live with it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Protocol

from protocol.action import CutReady
from protocol.checkpoints.agents import Standing
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.estates import commit_in, reached_by
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.messages import (
    AppendHost,
    CarryOut,
    CheckpointAction,
    CheckpointMessage,
    CheckpointRecord,
    CommitRecord,
    ForAgent,
    MakeCut,
    Pause,
    ReplyHost,
    SendHost,
    Settle,
    StatedRecord,
    TakeOver,
    TellHost,
)
from protocol.event import Event
from protocol.ids import HostId
from protocol.limits import CheckpointLimits
from protocol.proposal import Restore
from sims.histories.ground import Ground, Stamp
from sims.histories.node import Node
from sims.histories.plan import MS


@dataclass
class HostMail:
    message: CheckpointMessage
    stamp: Stamp


@dataclass
class HostDurable:
    order: AppendHost


class Loses(Protocol):
    """What takes the ends of disks."""

    def lose_end(self, host: SimHost, most: int = 0) -> None:
        """The disk is lost; what comes back is what the backups have, or a little more (CP-8)."""
        ...

    def dies(self, host: SimHost) -> None:
        """A host dies for good."""
        ...


class Land(Ground, Protocol):
    """The history that a host is in, with all the others."""

    hosts: dict[str, SimHost]
    host_replies: list[ReplyHost]
    host_notices: list[TellHost]

    @property
    def mishaps(self) -> Loses:
        """What befalls the history."""
        ...

    def hosts_changed(self) -> None:
        """Let every host know which others there are."""
        ...

    def carry(self, sender: SimHost, receiver: SimHost, mail: HostMail) -> None:
        """Carry what one host says to another."""
        ...

    def note_commit(self, commit: Commit) -> None:
        """A host knows an epoch to be committed."""
        ...

    def note_restore(self, restore: Restore) -> None:
        """A host carries out a restore."""
        ...


class SimHost:
    """One host: all its peers cut, stop and come back together."""

    def __init__(self, world: Land, name: HostId, founder: bool) -> None:
        self.world = world
        self.name = name
        self.founder = founder
        self.nodes: list[Node] = []
        self.log: list[CheckpointRecord] = []
        self.life = 0
        self.up = False
        self.begun = False
        self.written_us = 0
        self.timer_us: int | None = None
        self.placed = 0
        self.dead = False
        self.is_doomed = False
        """It dies for good as soon as it has a cut that it could tell of."""
        self.machine = self._fresh()

    def _fresh(self) -> CheckpointMachine:
        limits = CheckpointLimits(gossip_us=15 * MS, epochs_kept=self.world.plan.kept, replicas=2, successor_us=60 * MS)
        machine = CheckpointMachine(self.name, Random(f"{self.world.plan.seed}/{self.name}/{self.life}"), limits)
        machine.core.let_go = lambda: max((node.machine.requesting.floor for node in self.nodes), default=0)
        return machine

    def start(self) -> None:
        """Begin a life from what is on the disks."""
        self.life += 1
        self.up = self.begun = True
        self.timer_us = None
        for node in self.nodes:
            node.start()
        self.machine = self._fresh()
        agents = {node.agent: Standing(node.machine.core.epoch, node.machine.core.restores) for node in self.nodes}
        self.do(self.machine.start(self.log, agents, self.founder, self.world.now_us))
        self.world.hosts_changed()
        for host in self.world.hosts.values():
            self.machine.has_copy(host.name)
            if host.dead and host is not self:
                self.do(self.machine.failed(host.name, self.world.now_us))

    def crash(self) -> None:
        """Lose everything but the disks."""
        self.up = False
        self.life += 1
        for node in self.nodes:
            node.crash()

    def stamp(self) -> Stamp:
        """Return what this host's frames carry now."""
        return Stamp(self.name, self.machine.epochs.colour, self.machine.restores.era)

    def takes(self, stamp: Stamp) -> bool:
        """See a frame's stamp, before anything in it: False if the frame must come again."""
        if stamp.host == self.name:
            return True
        self.do(self.machine.stamped(stamp.host, stamp.epoch, stamp.era, self.world.now_us))
        return self.machine.takes(stamp.host, stamp.era)

    def heard(self, mail: HostMail) -> None:
        """Take in what another host says."""
        self.takes(mail.stamp)
        self.do(self.machine.received(mail.stamp.host, mail.message, self.world.now_us))

    def cut_ready(self, node: Node, action: CutReady) -> None:
        """An agent's cut is durable."""
        for actions in self.machine.agent_cut(node.agent, action, node.machine.core.horizon, self.world.now_us):
            self.do(actions)

    def do(self, actions: list[CheckpointAction]) -> None:
        """Carry out what the machine says to an event."""
        world = self.world
        world.events += 1
        for action in actions:
            match action:
                case MakeCut() | Settle() | Pause() | CarryOut():
                    self._tell(action)
                    if isinstance(action, CarryOut):
                        world.note_restore(action.restore)
                case TakeOver():
                    self.take_over(action.dead)
                case AppendHost():
                    self.written_us = max(self.written_us, world.now_us + world.rng.randint(100, 3 * MS))
                    if action.is_fact:
                        self.written_us += world.rng.randint(100, 3 * MS)
                    world.at(self.written_us, self, self.life, HostDurable(action))
                case SendHost():
                    world.carry(self, world.hosts[action.host], HostMail(action.message, self.stamp()))
                case ReplyHost():
                    world.host_replies.append(action)
                case TellHost():
                    world.host_notices.append(action)
        deadline = self.machine.deadline_us
        if deadline is not None and (self.timer_us is None or deadline < self.timer_us):
            self.timer_us = deadline
            world.at(max(deadline, world.now_us + 1), self, self.life, None)

    def _tell(self, action: MakeCut | Settle | Pause | CarryOut) -> None:
        """Tell the peers here, but for those that sleep and whom it does not concern."""
        agents, asleep = self.machine.core.agents, {}
        for node in list(self.nodes):
            if isinstance(action, MakeCut | Settle) and agents.sleeps(node.agent):
                node.missed.append(action.event)
                continue
            node.feed(action.event)
            if self.world.plan.sleeps and isinstance(action, Settle) and node.machine.is_dormant():
                asleep[node.agent] = node.machine.core.lives.own()
                node.missed = []
        for actions in self.machine.slept(asleep, self.world.now_us):
            self.do(actions)

    def before(self, node: Node, event: Event) -> list[ForAgent]:
        """Return what a node is to be told before an event."""
        return self.machine.core.before(node.agent, event, node.machine.core.epoch)

    def sleeps(self, node: Node) -> bool:
        """Tell whether a node sleeps."""
        return self.machine.core.agents.sleeps(node.agent)

    def elapsed(self) -> None:
        """A timer has come."""
        self.timer_us = None
        self.do(self.machine.elapsed(self.world.now_us))

    def durable(self, order: AppendHost) -> None:
        """A record of the host is on its disk."""
        self.log.append(order.record)
        if order.is_fact:
            # All that its agents have written is with the backups by then, too.
            self.placed = len(self.log)
            for node in self.nodes:
                node.placed = len(node.disk)
        if self.is_doomed and isinstance(order.record, StatedRecord):
            # Its cut is with the backups, and nobody has heard of it.
            self.is_doomed = False
            self.world.mishaps.dies(self)
            return
        if isinstance(order.record, CommitRecord):
            self.world.note_commit(order.record.commit)
        self.do(self.machine.appended(order.ticket, self.world.now_us))

    def take_over(self, dead: str) -> None:
        """Bring the agents of a dead host up here, from what its backups have of their logs."""
        host = self.world.hosts[dead]
        said = host.log[: host.placed]
        if self.world.plan.sleeps:
            self.do(self.machine.catches_up(reached_by(said), self.world.now_us, commit_in(said)))
        moved = host.nodes or [node for node in self.nodes if node.home == dead]
        if host.nodes:
            self.world.mishaps.lose_end(host)
            self.nodes.extend(host.nodes)
            host.nodes = []
        names = [node.agent for node in moved]
        self.machine.inherits(dead, names, names, names, said)
        told = [self.machine.joined(name, 0, is_inherited=True) for name in names]
        for node, events in zip(moved, told, strict=True):
            node.host = self
            if not node.up:
                node.start()
            if self.world.plan.sleeps:
                self.do(self.machine.catches_up(node.machine.core.epoch, self.world.now_us))
            for event in events:
                node.feed(event)
