"""Koo and Toueg's checkpoints: a process takes one only if another's would else hold a message that nobody has sent.

Source: Koo and Toueg 1987, the checkpoint algorithm. Whoever has handled messages of others since its last checkpoint
asks those, and each that has not recorded their sending takes one too, and asks in turn. All become permanent, or none.
Of two at a time the younger is refused, and tried again later: that choice is ours.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from sims.baselines.journal import Journal
from sims.baselines.process import Effect, Send, SetTimer, Setting, Write, frame
from sims.baselines.worker import Job, Worker
from sims.virtual.chance import stream


class CheckpointRequest(NamedTuple):
    """Take a tentative checkpoint, if yours does not hold the message of this label (`last_rmsg`)."""

    initiator: int
    number: int
    """When it was begun: of two, the older one goes first."""
    label: int


class CheckpointReply(NamedTuple):
    initiator: int
    number: int
    willing: bool


class CheckpointDecision(NamedTuple):
    initiator: int
    number: int
    commits: bool


@dataclass
class Tentative:
    """An open checkpoint."""

    initiator: int
    number: int
    parent: int
    asked: tuple[int, ...]
    ticket: int
    owed: int
    willing: bool = True
    durable: bool = False
    place: int = 0
    last_received: dict[int, int] = field(default_factory=dict)
    first_sent: dict[int, int] = field(default_factory=dict)


class Checkpointing:
    """One process's part in checkpoints."""

    def __init__(self, number: int, setting: Setting, worker: Worker, journal: Journal, labels: dict[int, int]) -> None:
        self.number = number
        self.interval_us = setting.checkpoint_us
        self.chance = stream(setting.seed, f"checkpoints/{number}")
        self.worker = worker
        self.journal = journal
        self.labels = labels
        self.last_received: dict[int, int] = {}
        """By sender, the label of its last message handled since the last checkpoint."""
        self.first_sent: dict[int, int] = {}
        """By receiver, the label of the first message sent to it since then."""
        self.open: Tentative | None = None
        self.deferred: list[tuple[int, CheckpointRequest]] = []
        """Requests of older checkpoints than the open one."""
        self.tickets = 0
        self.due_us = 0
        """When to initiate the next one."""
        self.now_us = 0

    @property
    def is_open(self) -> bool:
        """Tell whether a tentative checkpoint awaits its decision."""
        return self.open is not None

    def started(self) -> list[Effect]:
        """Begin: everybody may initiate, each at a time of its own."""
        return [SetTimer("checkpoint", self.chance.randint(self.interval_us // 2, self.interval_us), periodic=True)]

    def handled(self, job: Job) -> None:
        """A message of somebody has gone into the state."""
        if job.sender >= 0:
            self.last_received[job.sender] = job.tag

    def sent(self, receiver: int, label: int) -> None:
        """A message has left."""
        self.first_sent.setdefault(receiver, label)

    def went_back(self) -> None:
        """The state is that of the last checkpoint again."""
        self.last_received.clear()
        self.first_sent.clear()

    def elapsed(self, rolling_back: bool) -> list[Effect]:
        """Initiate one, unless this process has had one lately."""
        if self.is_open or rolling_back or self.now_us < self.due_us:
            return [SetTimer("checkpoint", max(self.interval_us // 16, self.due_us - self.now_us), periodic=True)]
        # Should it come to nothing: others are at it, and not all are to try again at once.
        self.due_us = self.now_us + self.chance.randint(self.interval_us // 8, self.interval_us // 2)
        again = SetTimer("checkpoint", self.due_us - self.now_us, periodic=True)
        return [again, *self._take(self.number, self.number, self.now_us)]

    def requested(self, sender: int, request: CheckpointRequest, rolling_back: bool) -> list[Effect]:
        """Take one if needed; answer when everybody asked has answered."""
        initiator, number, label = request
        opened = self.open
        if opened is not None and (opened.initiator, opened.number) == (initiator, number):
            return [_reply(sender, initiator, number, True)]
        # What only a tentative checkpoint holds may yet come to nothing.
        tentative = {} if opened is None else opened.first_sent
        first = tentative.get(sender) or self.first_sent.get(sender, 0)
        if not 0 < first <= label:
            # What it has handled is in the last checkpoint here already.
            return [_reply(sender, initiator, number, True)]
        if opened is not None and (number, initiator) < (opened.number, opened.initiator):
            # The older one waits for the younger, never the other way round: so nobody waits in a circle.
            self.deferred.append((sender, request))
            return []
        if opened is not None or rolling_back:
            return [_reply(sender, initiator, number, False)]
        return self._take(sender, initiator, number)

    def _take(self, parent: int, initiator: int, number: int) -> list[Effect]:
        size = self.journal.checkpoint(self.worker.state, dict(self.labels))
        self.tickets += 1
        asked = tuple(self.last_received)
        requests = [
            Send(other, frame("checkpoint", CheckpointRequest(initiator, number, label)))
            for other, label in self.last_received.items()
        ]
        self.open = Tentative(initiator, number, parent, asked, self.tickets, len(asked))
        self.open.last_received, self.open.first_sent = dict(self.last_received), dict(self.first_sent)
        self.went_back()
        return [Write(self.tickets, size), *requests]

    def durable(self, ticket: int) -> list[Effect]:
        """A tentative checkpoint is on disk."""
        if self.open is None or self.open.ticket != ticket:
            return []
        self.open.durable = True
        return self._settle(self.open)

    def replied(self, sender: int, reply: CheckpointReply) -> list[Effect]:
        """Somebody who was asked has answered."""
        opened = self.open
        assert opened is not None
        assert (opened.initiator, opened.number) == (reply.initiator, reply.number)
        opened.owed -= 1
        opened.willing = opened.willing and reply.willing
        return self._settle(opened)

    def _settle(self, opened: Tentative) -> list[Effect]:
        if opened.owed or not opened.durable:
            return []
        if opened.initiator == self.number:
            return self.decided(CheckpointDecision(opened.initiator, opened.number, opened.willing))
        return [_reply(opened.parent, opened.initiator, opened.number, opened.willing)]

    def decided(self, decision: CheckpointDecision) -> list[Effect]:
        """Make it permanent, or as if it had never been; pass it on to those who were asked."""
        opened = self.open
        if opened is None or (opened.initiator, opened.number) != (decision.initiator, decision.number):
            return []
        self.open = None
        if decision.commits:
            self.due_us = self.now_us + self.chance.randint(self.interval_us * 3 // 4, self.interval_us * 5 // 4)
        else:
            self.journal.checkpoints.pop()
            self.last_received = {**opened.last_received, **self.last_received}
            self.first_sent = {**self.first_sent, **opened.first_sent}
        passed = frame("checkpoint", decision)
        return [Send(other, passed) for other in opened.asked]

    def take_up(self) -> list[Effect]:
        """Look again at what has waited for a checkpoint that is decided now."""
        deferred, self.deferred = self.deferred, []
        effects: list[Effect] = []
        for sender, request in deferred:
            effects.extend(self.requested(sender, request, rolling_back=False))
        return effects


def _reply(receiver: int, initiator: int, number: int, willing: bool) -> Effect:
    return Send(receiver, frame("checkpoint", CheckpointReply(initiator, number, willing)))
