"""What befalls a history besides its steps: proposals, checkpoints, restores, losses, deaths; all from its seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protocol.action import Reply
from protocol.checkpoints.epoch import Commit
from protocol.event import CallOffAsked, LetterAsked, ProposeWanted
from protocol.ids import AgentId, Lineage
from protocol.proposal import Amendment
from protocol.step import StepRecord
from sims.histories.ground import Ground
from sims.histories.node import Node
from sims.histories.people import People
from sims.histories.plan import MS
from sims.histories.sim_host import SimHost


@dataclass(frozen=True)
class Obituary:
    """The others notice that a host is dead."""

    host: str


class Stage(Ground, Protocol):
    """The history that things befall."""

    nodes: dict[AgentId, Node]
    hosts: dict[str, SimHost]
    commits: dict[int, Commit]
    lost: list[tuple[AgentId, StepRecord]]
    people: People

    def hosts_changed(self) -> None:
        """Let every host know which others there are."""
        ...


class Mishaps:
    """Does to a history what its seed wants."""

    def __init__(self, world: Stage) -> None:
        self._world = world
        self._asked: dict[int, tuple[AgentId, Lineage]] = {}
        """By request, which input somebody wanted called off."""
        self.called_off: list[tuple[AgentId, Lineage]] = []
        """Inputs of which somebody was told that they are."""

    def happen(self, what: object) -> None:
        """Let one thing happen that is no single node's."""
        if isinstance(what, Obituary):
            self.bury(what.host)
            return
        happenings = {
            "propose": self.propose, "checkpoint": self.checkpoint, "restore": self.restore, "die": self.die,
            "redrive": self.redrive, "call off": self.call_off, "look": self._world.people.look,
        }  # fmt: skip
        happenings[str(what)]()

    def checkpoint(self) -> None:
        """A host begins an epoch."""
        host = self._world.rng.choice(list(self._world.hosts.values()))
        if host.up:
            host.do(host.machine.begin(0, self._world.now_us))

    def die(self) -> None:
        """A host that the others can succeed dies for good."""
        commit = self._world.commits[max(self._world.commits)] if self._world.commits else None
        views = [self._world.commits[epoch].next_view() for epoch in sorted(self._world.commits)[-2:]]
        if commit is None or any(len(view) < 3 for view in views):
            return
        host = self._world.hosts[self._world.rng.choice(views[-1])]
        others = [other for other in self._world.hosts.values() if other is not host]
        if not host.up or any(other.dead for other in others):
            return
        if all(other.machine.epochs.committed < commit.epoch for other in others):
            # These would count by views that are older: the founder's own view has no majority without it.
            return
        if self._world.plan.sleeps and self._world.rng.random() < 0.7:
            # The moment that matters most to who sleeps: its host has a cut, and its own log does not tell of it.
            host.is_doomed = True
            host.do(host.machine.begin(0, self._world.now_us))
            return
        self.dies(host)

    def dies(self, host: SimHost) -> None:
        """A host dies for good."""
        host.crash()
        host.dead = True
        self._world.at(self._world.now_us + self._world.rng.randint(MS, 40 * MS), None, -1, Obituary(host.name))

    def bury(self, dead: str) -> None:
        """The others notice that a host is dead."""
        self._world.hosts_changed()
        for host in self._world.hosts.values():
            if host.up:
                host.do(host.machine.failed(dead, self._world.now_us))

    def restore(self) -> None:
        """A host wants everything to go back."""
        host = self._world.rng.choice(list(self._world.hosts.values()))
        if host.up and host.machine.epochs.committed > 0:
            epoch = self._world.rng.randint(1, host.machine.epochs.committed)
            inputs = self._world.rng.choice(("discard", "retry"))
            name = f"{host.name}/r{self._world.now_us}"
            host.do(host.machine.restore(0, name, epoch, inputs, "seed", 0, self._world.now_us))

    def redrive(self) -> None:
        """Somebody wants a dead letter handled after all."""
        nodes = [node for node in self._world.nodes.values() if node.up and node.machine.core.dead]
        if nodes:
            node = self._world.rng.choice(nodes)
            letter = self._world.rng.choice(node.machine.core.dead)
            node.feed(LetterAsked(0, letter.input.lineage, "redrive"))

    def call_off(self) -> None:
        """Somebody does not want an input handled, which runs, waits, or is over one way or another."""
        rng = self._world.rng
        nodes = [node for node in self._world.nodes.values() if node.up]
        if not nodes:
            return
        node = rng.choice(nodes)
        core, stepping = node.machine.core, node.machine.stepping
        running = [stepping.running[2]] if stepping.running is not None else []
        over = [*core.dead_letters.inputs()[-2:], *(record.input for record in core.cone.records()[-2:])]
        found = rng.choice((running, stepping.waiting(), stepping.waiting(), over))
        if found:
            number, lineage = len(self._asked) + 1, rng.choice(found).lineage
            self._asked[number] = (node.agent, lineage)
            node.feed(CallOffAsked(number, lineage, "seed", "somebody"))

    def replied(self, action: Reply) -> None:
        """A request was answered."""
        if action.request in self._asked and action.value.startswith("called off"):
            self.called_off.append(self._asked[action.request])

    def propose(self) -> None:
        """An agent wants some steps undone, anybody's."""
        rng = self._world.rng
        steps = [
            record.step
            for node in self._world.nodes.values()
            if node.up
            for record in node.machine.core.cone.records()
            if _durable(node, record)
        ]
        nodes = [node for node in self._world.nodes.values() if node.up]
        if not steps or not nodes:
            return
        roots = tuple(rng.sample(steps, min(len(steps), rng.choice((1, 1, 1, 2)))))
        inputs = rng.choice(("discard", "retry", "amend"))
        amendments = tuple(Amendment(root, b"0") for root in roots) if inputs == "amend" else ()
        rng.choice(nodes).feed(ProposeWanted(0, roots, inputs, "seed", b"", amendments))

    def lose_end(self, host: SimHost, most: int = 0) -> None:
        """The disk is lost; what comes back is what the backups have, or a little more (CP-8).

        Args:
            host: whose.
            most: how many records of each agent go, of those that the backups have not; 0: all of these.
        """
        for node in host.nodes:
            keep = max(1, node.placed, len(node.disk) - most if most else 0)
            gone = node.disk[keep:]
            del node.disk[keep:]
            self._world.lost.extend((node.agent, record) for record in gone if isinstance(record, StepRecord))
            node.lost = True


def _durable(node: Node, record: StepRecord) -> bool:
    return any(kept is record for kept in node.disk[-40:]) or len(node.disk) > 40
