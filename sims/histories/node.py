"""One peer of a history: its machine, its disk, and the script that stands for its handler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from protocol.action import (
    Accuse,
    Action,
    Admit,
    Append,
    Consult,
    CutOff,
    CutReady,
    Finish,
    Publish,
    Reply,
    Resume,
    RunStep,
    Send,
    Share,
    Tell,
    UseTool,
    Withdraw,
)
from protocol.agent.ballot_form import malformed
from protocol.agent.folds import Op, encode_op
from protocol.agent.machine import PeerMachine
from protocol.agent.versions import reads_of
from protocol.checkpoints.messages import ForAgent
from protocol.event import (
    Consulted,
    Elapsed,
    Event,
    Learned,
    Reached,
    Recovered,
    StepRan,
    ToolWanted,
)
from protocol.ids import AgentId
from protocol.limits import NEVER_US, Limits
from protocol.message import Ballot, Message
from protocol.records import ForcedRecord, Record
from protocol.step import Entry, EntryDraft, Input, OutputDraft, Read, StepDraft, Tolerated, Write, space_key
from sims.histories import conversations, requests, sleep, timers
from sims.histories.ground import Durable, Ground, Met, Stamp, ToolDue
from sims.histories.plan import MS
from sims.histories.shelves import shelf_of

SPACE = "s"
"""The one shared space of a history."""


class Home(Protocol):
    """The host of a peer, as far as the peer knows it."""

    name: str

    def stamp(self) -> Stamp:
        """Return what this host's frames carry now."""
        ...

    def takes(self, stamp: Stamp) -> bool:
        """See a frame's stamp, before anything in it: False if the frame must come again."""
        ...

    def cut_ready(self, node: Node, action: CutReady) -> None:
        """An agent's cut is durable."""
        ...

    def before(self, node: Node, event: Event) -> list[ForAgent]:
        """Return what a node is to be told before an event: one that sleeps is woken (CP-13)."""
        ...

    def sleeps(self, node: Node) -> bool:
        """Tell whether an agent sleeps."""
        ...


class Society(Ground, Protocol):
    """The history that a peer lives in, with all the others."""

    limits: Limits
    checking: bool
    watch: Callable[[AgentId, Event], None] | None
    facts: dict[str, Any]
    notices: list[tuple[AgentId, Tell]]
    outcomes: dict[str, Finish]
    neighbours: dict[AgentId, list[AgentId]]
    nodes: dict[AgentId, Node]

    def later(self, node: Node, delay_us: int, what: Any) -> None:
        """Let something happen to a node's present life, after a delay."""
        ...

    def send(self, sender: AgentId, receiver: AgentId, message: Message) -> None:
        """Carry a message."""
        ...

    def share(self, author: Node, subscriber: AgentId, entries: list[Entry]) -> None:
        """Carry entries to a subscriber."""
        ...

    def opinion(self, node: Node, order: Consult) -> tuple[int, Consulted]:
        """Let an elector agree, or not; return how much later it says so, too."""
        ...

    def judge(self, node: Node) -> None:
        """Look at what a node's machine has come to."""
        ...

    def replied(self, action: Reply) -> None:
        """A request was answered."""
        ...


class Node:
    """One peer: its machine, its disk, and the script that stands for its handler."""

    def __init__(self, world: Society, agent: AgentId) -> None:
        self.world = world
        self.agent = agent
        self.disk: list[Record] = []
        self.life = 0
        self.up = False
        self.heard: dict[AgentId, None] = {}
        """Of whom it has heard in this life, where it does not know all from the beginning."""
        self.machine = PeerMachine(agent, world.limits, self.knows, shelf_of(world.plan, agent, 0))
        self.script: Script | None = None
        self.timer_us: int | None = None
        self.written_us = 0
        self.timers = 0
        self.host: Home
        self.home = ""
        """The host that it began on."""
        self.placed = 0
        """How many records are with the backups: no loss takes those."""
        self.lost = False
        """The end of the disk is gone, and no new incarnation has begun durably yet."""
        self.released: list[Entry] = []
        self.serves: dict[AgentId, None] = {}
        self.got: dict[AgentId, int] = {}
        self.missed: list[ForAgent] = []
        """What it has slept through."""

    def start(self) -> None:
        """Begin a life from what is on the disk."""
        self.life += 1
        self.up = True
        self.heard = {}
        self.machine = PeerMachine(
            self.agent, self.world.limits, self.knows, shelf_of(self.world.plan, self.agent, self.life)
        )
        self.script = None
        self.timer_us = None
        self.serves = {}
        self.got = {}
        known = [fact.incarnation for fact in self.world.facts.values() if fact.agent == self.agent]
        self.feed(Recovered(tuple(self.disk), self.lost, max(known, default=1)))
        for fact in self.world.facts.values():
            self.world.later(self, self.world.plan.delay_us, Learned(fact))
        if self.world.plan.strange:
            self._meet()
        self.released = self.machine.core.shared_entries()
        self.serves = dict.fromkeys(self.machine.core.subscribers.get(SPACE, ()))

    def knows(self, agent: AgentId) -> bool:
        """Tell whether it has heard of an agent."""
        return not self.world.plan.strange or agent in self.heard

    def _meet(self) -> None:
        """It hears of those that have ever begun, one after the other, and the others of it if it is new."""
        for other in self.world.nodes.values():
            if other is self or not other.life:
                continue
            self.world.later(self, self.world.rng.randint(50, 4 * self.world.plan.delay_us), Met(other.agent))
            if self.life == 1 and other.up:
                self.world.later(other, self.world.rng.randint(50, 4 * self.world.plan.delay_us), Met(self.agent))

    def meet(self, agent: AgentId) -> None:
        """It hears of an agent."""
        self.heard[agent] = None
        self.feed(Reached(agent))

    def is_done(self) -> bool:
        """Tell whether nothing is under way, and nothing will be when time passes."""
        return self.up and self.machine.is_idle() and not self._is_something_due()

    def _is_something_due(self) -> bool:
        """Tell whether a timer will come; a request may wait for people, or for a checkpoint, for ever."""
        timers, requested = self.machine.core.timers, self.machine.core.timers.requested()
        if timers.count() > len(requested) or self.machine.requesting.deadline_us() is not None:
            return True
        return any(timers.due_of(item) < NEVER_US for item, _ in requested)

    def crash(self) -> None:
        """Lose everything but the disk."""
        self.up = False
        self.life += 1

    def feed(self, event: Event) -> None:
        """Let the machine handle an event, and before it what it is to be told if it sleeps."""
        told = self.host.before(self, event)
        if told and self.world.checking and not self.lost:
            why = sleep.difference(self.agent, self.disk, self.missed, told, self.world.limits, self.world.now_us)
            assert not why, f"seed {self.world.plan.seed}: {why}"
        for missed in told:
            self._handle(missed)
        self._handle(event)

    def _handle(self, event: Event) -> None:
        """Let the machine handle an event, and do what it says."""
        world = self.world
        world.events += 1
        if world.watch is not None:
            world.watch(self.agent, event)
        colours = self.machine.core.colours
        settled = 0 if colours.is_outside else colours.committed
        for action in self.machine.handle(event, world.now_us):
            if isinstance(action, Append):
                self._check_settled(action, settled)
            self._do(action)
        if world.checking:
            self.machine.check()
            world.judge(self)
        deadline = self.machine.deadline_us
        if deadline is not None and (self.timer_us is None or deadline < self.timer_us):
            self.timer_us = deadline
            world.at(max(deadline, world.now_us + 1), self, self.life, None)

    def elapsed(self) -> None:
        """A timer has come; it may be of an older deadline."""
        self.timer_us = None
        self.timers += 1
        assert self.timers < 20_000, f"seed {self.world.plan.seed}: {self.agent} spins: its deadline does not move"
        self.feed(Elapsed())

    def _check_settled(self, order: Append, settled: int) -> None:
        """No settled step is ever undone by a loss (CP-4)."""
        for record in order.records:
            for step in record.retracted if isinstance(record, ForcedRecord) else ():
                epoch = self.machine.core.cone.record(step).epoch
                seed = self.world.plan.seed
                assert epoch >= settled, f"seed {seed}: {step} of epoch {epoch} was settled ({settled}), and is lost"

    def _do(self, action: Action) -> None:
        world = self.world
        match action:
            case Send():
                if world.checking and isinstance(action.message, Ballot):
                    why = malformed(self.agent, action.message)
                    assert not why, f"seed {world.plan.seed}: all are honest, and {why}"
                world.send(self.agent, action.receiver, action.message)
            case Append():
                # A log is written in order: what is asked for later is durable later.
                self.written_us = max(self.written_us, world.now_us + world.rng.randint(100, 3 * MS))
                if action.is_fact:
                    # It is with the backups too before anything follows from it.
                    self.written_us += world.rng.randint(100, 3 * MS)
                world.at(self.written_us, self, self.life, Durable(action))
            case RunStep():
                self.script = Script(self, action.run, action.input)
                world.later(self, world.rng.randint(10, world.plan.delay_us), self.script)
            case CutOff():
                # Its handler ends some time later, as if nothing were: whoever swallows a cancellation does so.
                assert self.script is not None
                assert self.script.run == action.run
                world.later(self, world.rng.randint(10, 4 * MS), StepRan(action.run, self.script.draft))
                self.script = None
            case Resume():
                assert self.script is not None
                assert self.script.run == action.run
                self.script.answered = action.answer
                world.later(self, 10, self.script)
            case UseTool():
                world.later(self, world.rng.randint(10, 2 * MS), ToolDue(action))
            case Consult():
                after_us, (later_us, said) = world.rng.randint(10, MS), world.opinion(self, action)
                world.later(self, after_us + later_us, said)
            case Share():
                self.released.extend(action.entries)
                for subscriber in self.serves:
                    world.share(self, subscriber, list(action.entries))
            case Admit():
                self.serves[action.subscriber] = None
                world.share(self, action.subscriber, self.released)
            case Publish():
                world.facts[str(action.fact)] = action.fact
                for node in world.nodes.values():
                    if node is not self:
                        world.later(node, world.rng.randint(10, 2 * world.plan.delay_us), Learned(action.fact))
            case Withdraw():
                self.released = [entry for entry in self.released if entry.writer not in action.steps]
            case Finish():
                world.outcomes[action.outcome.proposal] = action
            case CutReady():
                self.host.cut_ready(self, action)
            case Reply():
                world.replied(action)
            case Accuse():
                raise AssertionError(f"seed {world.plan.seed}: all are honest, and {self.agent} says: {action}")
            case Tell():
                world.notices.append((self.agent, action))


class Script:
    """A handler as the seed wants it; it reads first, and returns some time later."""

    def __init__(self, node: Node, run: int, item: Input) -> None:
        plan = node.world.plan
        # A re-run often does the same again, sometimes something else: as a model would.
        mood = item.attempt if node.world.rng.random() < 0.4 else 0
        rng = Random(f"{plan.seed}/{item.lineage}/{mood}")
        self.node, self.run, self.answered = node, run, ""
        machine = node.machine
        depth = int(item.payload)
        reads: list[Read] = []
        if rng.random() < 0.6:
            key = f"k{rng.randrange(plan.keys)}"
            reads.append(Read(key, machine.core.versions.read(key)[1]))
        if rng.random() < 0.05:
            reads.extend(Read(key, writer) for key, _, writer in machine.core.versions.read_all())
        # A generator of its own: what is observed leaves the rest of the script as it was (SH-4).
        reads, observed = _observing(Random(f"{plan.seed}/{item.lineage}/{mood}/observed"), reads)
        shared = space_key(SPACE, f"x{rng.randrange(3)}")
        tolerated: tuple[Tolerated, ...] = ()
        if rng.random() < plan.shared:
            found = machine.core.versions.entries(shared)
            chance = Random(f"{plan.seed}/{item.lineage}/{mood}/tolerated")
            if chance.random() < plan.tolerant:
                parts = Counter(entry.writer for entry in found)
                tolerated = (Tolerated(shared, chance.randint(0, 2), tuple(parts.items())),)
            else:
                reads.extend(reads_of(shared, found))
        writes = [Write(f"k{rng.randrange(plan.keys)}", b"%d" % rng.randrange(9))] if rng.random() < 0.7 else []
        entries = [EntryDraft(shared, encode_op(Op("add", b"1")))] if rng.random() < plan.shared / 2 else []
        outputs: list[OutputDraft] = []
        if depth > 0:
            peers = node.world.neighbours[node.agent]
            for _ in range(rng.randint(0, plan.fan_out)):
                outputs.append(OutputDraft(rng.choice(peers), b"%d" % (depth - 1)))
        if depth <= -10:
            outputs.append(conversations.answer(depth, node.agent, list(node.world.nodes)))
            if rng.random() < 0.1:
                outputs.append(OutputDraft(rng.choice(node.world.neighbours[node.agent]), b"0"))
        if plan.strange and depth > 0:
            chance = Random(f"{plan.seed}/{item.lineage}/{mood}/strange")
            if chance.random() < plan.strange:
                stranger = OutputDraft(f"nobody{chance.randrange(2)}", b"0", chance.choice((None, "k")))
                outputs.insert(chance.randint(0, len(outputs)), stranger)
        cancels: tuple[str, ...] = ()
        if plan.timed:
            timed, cancels = timers.drawn(plan, node.agent, item, mood, depth)
            outputs.extend(timed)
        if plan.requests and depth > 0:
            outputs.extend(requests.drawn(plan, node.agent, item, mood, outputs))
        self.wants = requests.answered(depth)
        """Of which requested tool the answer is wanted first."""
        self.calls = [b"%d" % rng.randrange(3) for _ in range(rng.randint(1, 2))] if rng.random() < plan.calls else []
        error = "boom" if node.world.rng.random() < 0.02 else None
        self.draft = StepDraft(
            tuple(reads),
            tuple(writes),
            tuple(entries),
            tuple(outputs),
            error=error,
            observed=observed,
            tolerated=tolerated,
            cancels=cancels,
        )

    def go(self) -> None:
        if self.node.script is not self:
            return
        if self.wants:
            tool, self.wants = self.wants, ""
            self.node.feed(ToolWanted(self.run, tool, "", b"", None, False, was_requested=True))
            return
        if self.calls:
            args = self.calls.pop(0)
            self.node.feed(ToolWanted(self.run, "post", "compensable", args, None, True))
            return
        self.node.script = None
        self.node.feed(StepRan(self.run, self.draft))


def _observing(rng: Random, reads: list[Read]) -> tuple[list[Read], tuple[str, ...]]:
    """Make a few of the reads observing ones; return the reads that are left, and the keys that were observed."""
    chosen = [rng.random() < 0.06 for _ in reads]
    left = [read for read, observes in zip(reads, chosen, strict=True) if not observes]
    return left, tuple(dict.fromkeys(read.key for read, observes in zip(reads, chosen, strict=True) if observes))
