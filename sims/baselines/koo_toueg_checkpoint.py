"""Koo and Toueg's checkpoints: a process takes one only if another's would else hold a message that nobody has sent.

Source: Koo and Toueg 1987, section 3.2. Whoever has handled messages of others since its last checkpoint asks those,
and each that has not recorded their sending takes one too, and asks in turn. All become permanent, or none.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from sims.baselines.journal import Journal
from sims.baselines.process import Effect, Send, SetTimer, Setting, Write, frame
from sims.baselines.worker import Job, Worker
from sims.chance import stream


class CheckpointRequest(NamedTuple):
    """Take a tentative checkpoint, if yours does not hold the message of this label (`last_rmsg`)."""

    initiator: int
    number: int
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
        self.begun = 0
        self.tickets = 0
        self.last_us = 0
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

    def elapsed(self, now_us: int, rolling_back: bool) -> list[Effect]:
        """Initiate one, unless this process has had one lately."""
        due_us = self.last_us + self.interval_us
        if self.is_open or rolling_back or now_us < due_us:
            wait_us = max(self.interval_us // 8, due_us - now_us)
            return [SetTimer("checkpoint", wait_us, periodic=True)]
        self.begun += 1
        self.last_us = now_us
        again = SetTimer("checkpoint", self.interval_us, periodic=True)
        return [again, *self._take(self.number, self.number, self.begun)]

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
        if not decision.commits:
            self.journal.checkpoints.pop()
            self.last_received = {**opened.last_received, **self.last_received}
            self.first_sent = {**self.first_sent, **opened.first_sent}
        passed = frame("checkpoint", decision)
        return [Send(other, passed) for other in opened.asked]


def _reply(receiver: int, initiator: int, number: int, willing: bool) -> Effect:
    return Send(receiver, frame("checkpoint", CheckpointReply(initiator, number, willing)))
