"""Random histories: many peers' machines, scripted steps, virtual time, and everything that can go wrong.

One seed decides all: who talks to whom, what each step reads, writes, sends and calls, when messages are late, lost or
doubled, when a peer crashes, who proposes which rollback and who rejects it. `run` plays one to its end, and
`sims.histories.verdict.judge` compares it with the truth.
"""

from collections.abc import Callable
from dataclasses import replace
from heapq import heappop, heappush
from random import Random
from typing import Any

from msgspec import structs

from protocol.action import (
    Consult,
    Finish,
    Reply,
    Tell,
)
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.messages import ReplyHost, TellHost
from protocol.event import (
    Appended,
    Consulted,
    Event,
    Learned,
    Merged,
    Received,
    Submitted,
    SubscriberSeen,
)
from protocol.ids import AgentId, StepId
from protocol.limits import Limits
from protocol.message import ROLLBACK, Message
from protocol.proposal import Restore
from protocol.records import BirthRecord
from protocol.step import Entry, StepRecord
from sims.checkers import requests
from sims.histories.conversations import turn
from sims.histories.ground import Arrival, Delivery, Durable, Met, Pull, ToolDue
from sims.histories.mishaps import Mishaps
from sims.histories.node import SPACE, Node, Script
from sims.histories.outside import Outside, WorldEffect
from sims.histories.people import People, Saying
from sims.histories.plan import MS, Plan
from sims.histories.sim_host import HostDurable, HostMail, SimHost

_Due = tuple[int, int, Any, int, Any]
"""When, a number by which no two are equal, to which node or host, in which life of it (-1: in any), what."""


class History:
    """One world of machines under one seed."""

    def __init__(self, plan: Plan, checking: bool = True) -> None:
        self.plan = plan
        self.checking = checking
        self.rng = Random(plan.seed)
        usual = Limits()
        self.limits = Limits(
            resend_us=20 * MS, resend_us_max=200 * MS, ask_us=20 * MS, ask_us_max=200 * MS,
            failure_wait_us=5 * MS, failures_max=4, undo_wait_us=5 * MS, order_wait_us=2000 * MS,
            effect_wait_us=20_000 * MS, backlog_max=plan.backlog or usual.backlog_max,
            window=plan.window or usual.window, at_hand=plan.at_hand or usual.at_hand,
        )  # fmt: skip
        self.watch: Callable[[AgentId, Event], None] | None = None
        """Told every event before a machine handles it."""
        self.now_us = 1_000_000
        self.events = 0
        self.messages = 0
        self.rollback_messages: dict[str, set[AgentId]] = {}
        self.rollback_sent: dict[str, int] = {}
        self.notices: list[tuple[AgentId, Tell]] = []
        self.outcomes: dict[str, Finish] = {}
        self.effects: dict[str, WorldEffect] = {}
        self.opinions: dict[tuple[AgentId, str], bool] = {}
        self.facts: dict[str, Any] = {}
        self.lost: list[tuple[AgentId, StepRecord]] = []
        self.lost_intents: set[str] = set()
        self.faults_end_us = self.now_us + 400 * MS
        self._heap: list[_Due] = []
        self._number = 0
        self.host_replies: list[ReplyHost] = []
        self.host_notices: list[TellHost] = []
        self.commits: dict[int, Commit] = {}
        """Every epoch that any host knows to be committed."""
        self.restored: dict[int, Restore] = {}
        """Every restore that any host has carried out, by number."""
        self.host_messages = 0
        names = [f"a{number}" for number in range(plan.agents)]
        self.nodes = {name: Node(self, name) for name in names}
        count = min(plan.hosts or plan.agents, plan.agents)
        self.hosts = {f"h{number}": SimHost(self, f"h{number}", number == 0) for number in range(count)}
        for number, node in enumerate(self.nodes.values()):
            host = node.host = self.hosts[f"h{number % count}"]
            node.home = host.name
            host.nodes.append(node)
        degree = self.rng.randint(1, max(1, plan.agents - 1))
        self.neighbours = {name: self.rng.sample(names, min(degree, len(names))) for name in names}
        self.people = People(self)
        self._requests = requests.Watch()
        self.outside = Outside(self)
        self.mishaps = Mishaps(self)

    # -- time ------------------------------------------------------------------------------------------------------

    def at(self, at_us: int, node: Any, life: int, what: Any) -> None:
        """Let something happen at a time; what is for a life of a node ends with that life."""
        self._number += 1
        heappush(self._heap, (at_us, self._number, node, life, what))

    def later(self, node: Node, delay_us: int, what: Any) -> None:
        """Let something happen to a node's present life, after a delay."""
        self.at(self.now_us + delay_us, node, node.life, what)

    # -- the network -----------------------------------------------------------------------------------------------

    def faulty(self) -> bool:
        """Tell whether faults still happen: they end, so that everything else must."""
        return self.now_us < self.faults_end_us

    def send(self, sender: AgentId, receiver: AgentId, message: Message) -> None:
        """Carry a message: late, perhaps lost, perhaps twice, in any order."""
        self.messages += 1
        if isinstance(message, ROLLBACK):
            name = message.proposal if isinstance(message.proposal, str) else message.proposal.id
            self.rollback_messages.setdefault(name, set()).add(receiver)
            self.rollback_sent[name] = self.rollback_sent.get(name, 0) + 1
        copies = 1
        if self.faulty():
            if self.rng.random() < self.plan.loss:
                return
            copies += self.rng.random() < self.plan.double
        node, stamp = self.nodes[receiver], self.nodes[sender].host.stamp()
        for _ in range(copies):
            delay = self.rng.randint(50, self.plan.delay_us)
            self.at(self.now_us + delay, node, -1, Arrival(sender, message, stamp))

    def carry(self, sender: SimHost, receiver: SimHost, mail: HostMail) -> None:
        """Carry what one host says to another, with the same faults."""
        self.host_messages += 1
        if self.faulty() and self.rng.random() < self.plan.loss:
            return
        for _ in range(1 + (self.faulty() and self.rng.random() < self.plan.double)):
            self.at(self.now_us + self.rng.randint(50, self.plan.delay_us), receiver, -1, mail)

    def share(self, author: Node, subscriber: AgentId, entries: list[Entry]) -> None:
        """Carry entries to a subscriber; what is lost is asked for again."""
        if not entries or (self.faulty() and self.rng.random() < self.plan.loss):
            return
        delay = self.rng.randint(50, self.plan.delay_us)
        self.at(self.now_us + delay, self.nodes[subscriber], -1, Delivery(tuple(entries), author.host.stamp()))

    # -- hosts -----------------------------------------------------------------------------------------------------

    def hosts_changed(self) -> None:
        """Let every host know which others there are: gossip is simulated apart."""
        there = [host.name for host in self.hosts.values() if host.begun and not host.dead]
        for host in self.hosts.values():
            host.machine.others(tuple(name for name in there if name != host.name))

    def note_commit(self, commit: Commit) -> None:
        """A host knows an epoch to be committed: all must know the same of it."""
        known = self.commits.setdefault(commit.epoch, commit)
        assert known == commit, f"seed {self.plan.seed}: epoch {commit.epoch} is committed as {known} and as {commit}"

    def note_restore(self, restore: Restore) -> None:
        """A host carries out a restore: all must agree on it."""
        # How new the cuts are that it passes over is each host's own to say.
        restore = structs.replace(restore, top=0)
        known = self.restored.setdefault(restore.number, restore)
        assert known == restore, f"seed {self.plan.seed}: restore {restore.number} is {known} and {restore}"

    def opinion(self, node: Node, order: Consult) -> tuple[int, Consulted]:
        """Let an elector agree, or not, and its overseer after it; return how much later, and what they say."""
        name = (node.agent, order.proposal.id)
        if name not in self.opinions:
            self.opinions[name] = self.rng.random() >= self.plan.rejects
        own = Consulted(order.proposal.id, self.opinions[name], "" if self.opinions[name] else "no")
        return self.people.oversee(node, order, own)

    def judge(self, node: Node) -> None:
        """Look at what a node's machine has come to: what people have said is heeded."""
        if self.plan.requests:
            self._requests.saw(node.agent, node.machine, node.disk, False)

    def replied(self, action: Reply) -> None:
        """A request was answered: what was promised is judged at the end."""
        self.mishaps.replied(action)
        self.people.replied(action)

    # -- the script ------------------------------------------------------------------------------------------------

    def run(self, limit_us: int = 60_000 * MS) -> "History":
        """Play to the end: until nothing is under way, or the limit has passed.

        Raises: AssertionError, if something is still under way at the limit.
        """
        rng, plan = self.rng, self.plan
        names = list(self.nodes)
        horizon = 300 * MS
        for number, host in enumerate(self.hosts.values()):
            if number and rng.random() < plan.late:
                self.at(self.now_us + rng.randint(0, horizon), host, -1, "restart")
            else:
                host.start()
        for _ in range(plan.inputs):
            self.at(self.now_us + rng.randint(0, horizon), self.nodes[rng.choice(names)], -1, "input")
        for _ in range(plan.conversations):
            self.at(self.now_us + rng.randint(0, horizon // 3), self.nodes[rng.choice(names)], -1, "conversation")
        for _ in range(plan.proposals):
            self.at(self.now_us + rng.randint(horizon // 6, horizon * 4 // 3), None, -1, "propose")
        for what in ("redrive",) * plan.redrives + ("call off",) * plan.calloffs + ("look",) * plan.words:
            self.at(self.now_us + rng.randint(horizon // 3, horizon * 4 // 3), None, -1, what)
        for _ in range(plan.crashes):
            self.at(self.now_us + rng.randint(0, horizon * 4 // 3), self.nodes[rng.choice(names)].host, -1, "crash")
        for _ in range(plan.checkpoints):
            self.at(self.now_us + rng.randint(0, horizon), None, -1, "checkpoint")
        for _ in range(plan.deaths):
            self.at(self.now_us + rng.randint(horizon // 2, horizon), None, -1, "die")
        for _ in range(plan.restores):
            self.at(self.now_us + rng.randint(horizon // 3, horizon * 4 // 3), None, -1, "restore")
        for _ in range(plan.losses):
            self.at(self.now_us + rng.randint(horizon // 6, horizon), self.nodes[rng.choice(names)].host, -1, "lose")
        if plan.shared:
            for name in names:
                self.at(self.now_us + rng.randint(0, 20 * MS), self.nodes[name], -1, "pull")
        self.at(self.faults_end_us + 50 * MS, None, -1, "over?")
        end_us = self.now_us + limit_us
        while self._heap:
            due = heappop(self._heap)
            self.now_us = due[0]
            if due[4] == "over?":
                if self.is_over():
                    return self
                assert self.now_us < end_us, f"seed {plan.seed}: still under way at the limit: {self.under_way()}"
                self.at(self.now_us + 100 * MS, None, -1, "over?")
            else:
                self._happen(due)
        return self

    def settle(self, limit_us: int = 10_000 * MS) -> None:
        """Let happen what is under way, for tests that write their own script.

        Raises: AssertionError, if something is still under way after `limit_us`.
        """
        end_us = self.now_us + limit_us
        while self._heap and not self.is_over():
            due = heappop(self._heap)
            self.now_us = due[0]
            assert self.now_us < end_us, f"still under way: {self.under_way()}"
            self._happen(due)

    def _happen(self, due: _Due) -> None:
        _, _, node, life, what = due
        if node is None:
            self.mishaps.happen(what)
            return
        if life >= 0 and life != node.life:
            return
        if isinstance(node, SimHost):
            self._happen_to(node, what)
            return
        if not node.up:
            if what in ("input", "conversation", "pull") or isinstance(what, Saying):
                self.at(self.now_us + 20 * MS, node, -1, what)
            return
        match what:
            case None:
                node.elapsed()
            case Arrival():
                if node.host.takes(what.stamp):
                    node.feed(Received(what.sender, what.message))
                elif not what.held:
                    self.later(node, 4 * MS, replace(what, held=True))
            case Delivery():
                if node.host.takes(what.stamp):
                    node.feed(Merged(what.entries))
            case Durable():
                node.disk.extend(what.order.records)
                if what.order.is_fact:
                    node.placed = len(node.disk)
                node.lost = node.lost and not any(isinstance(record, BirthRecord) for record in what.order.records)
                node.feed(Appended(what.order.ticket))
            case Script():
                what.go()
            case Met():
                node.meet(what.agent)
            case ToolDue():
                self.outside.use(node, what.order)
            case Saying():
                self.people.say(node, what)
            case Consulted():
                self.people.heard(node.agent, what)
                node.feed(what)
            case Pull():
                if what.subscriber in node.serves:
                    lacks = [entry for entry in node.released if (entry.writer, entry.index) not in what.has]
                    self.share(node, what.subscriber, lacks)
                else:
                    node.feed(SubscriberSeen(SPACE, what.subscriber))
            case "input":
                self._input(node, b"%d" % self.plan.depth)
            case "conversation":
                self._input(node, turn(self.plan.turns, self.rng.choice((1, 2, 2, 2, 3, 4))))
            case "pull":
                self._pull(node)
            case _:
                node.feed(what)

    def _happen_to(self, host: SimHost, what: Any) -> None:
        match what:
            case _ if host.dead:
                pass
            case "restart":
                if not host.up:
                    host.start()
            case _ if not host.up:
                pass
            case None:
                host.elapsed()
            case HostMail():
                host.heard(what)
            case HostDurable():
                host.durable(what.order)
            case "crash" | "lose":
                host.crash()
                if what == "lose":
                    self.mishaps.lose_end(host, self.rng.randint(1, 12))
                self.at(self.now_us + self.rng.randint(MS, 60 * MS), host, -1, "restart")

    def _input(self, node: Node, payload: bytes) -> None:
        number = node.machine.core.inbox.next_number("ext:world")
        if sum(len(other.machine.core.cone) for other in self.nodes.values()) < self.plan.steps_max:
            node.feed(Submitted(0, "world", number, (payload,)))

    def _pull(self, node: Node) -> None:
        has = frozenset((entry.writer, entry.index) for entry in node.machine.core.versions.all_entries())
        for author in self.nodes.values():
            if author is not node and author.up:
                self.later(author, self.rng.randint(50, self.plan.delay_us), Pull(node.agent, has))
        self.at(self.now_us + 60 * MS, node, -1, "pull")

    # -- the end ---------------------------------------------------------------------------------------------------

    def is_over(self) -> bool:
        """Tell whether nothing is under way any more."""
        if not all(node.is_done() for node in self.nodes.values()):
            return False
        living = [host for host in self.hosts.values() if not host.dead]
        if not all(host.up and not host.machine.under_way() for host in living):
            return False
        kinds = (Arrival, Durable, Script, ToolDue, Delivery, Learned, HostDurable, Met)
        pending = any(isinstance(due[4], kinds) for due in self._heap)
        return not pending and self._replicas_agree()

    def _replicas_agree(self) -> bool:
        if not self.plan.shared:
            return True
        retracted = self.retracted()
        wanted = {(entry.writer, entry.index) for node in self.nodes.values() for entry in node.released}
        wanted = {name for name in wanted if name[0] not in retracted}
        for node in self.nodes.values():
            versions = node.machine.core.versions
            held = {(entry.writer, entry.index) for key in versions.shared_keys() for entry in versions.entries(key)}
            if not wanted <= held:
                return False
        return True

    def under_way(self) -> dict[AgentId, list[str]]:
        """Say, by agent, what is not idle."""
        peers = {name: why for name, node in self.nodes.items() if (why := node.machine.under_way())}
        living = {name: host for name, host in self.hosts.items() if not host.dead}
        return peers | {name: why for name, host in living.items() if (why := host.machine.under_way())}

    def steps(self) -> list[StepRecord]:
        """Return every step ever made durable and not lost with a disk."""
        return [record for node in self.nodes.values() for record in node.disk if isinstance(record, StepRecord)]

    def retracted(self) -> set[StepId]:
        """Return the steps that their own agents hold retracted."""
        return {
            record.step
            for node in self.nodes.values()
            for record in node.disk
            if isinstance(record, StepRecord) and record.step in node.machine.core.retraction
        }
