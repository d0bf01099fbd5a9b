"""Coordinated checkpoints and rollbacks among the processes that have to take part, and no others; two phases each.

Source: Koo and Toueg 1987, "Checkpointing and Rollback-Recovery for Distributed Systems": the algorithms of both, by
labels of messages. The paper keeps only the last permanent checkpoint; a wrong step may be found out after it, so all
are kept here, and a process goes back as far as the labels demand. Who was asked first by whom is a tree, so that the
initiator knows when nobody is left to ask.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from sims.baselines.application import Item
from sims.baselines.journal import Entry, Journal
from sims.baselines.koo_toueg_checkpoint import (
    CheckpointDecision,
    Checkpointing,
    CheckpointReply,
    CheckpointRequest,
)
from sims.baselines.process import (
    Durable,
    Effect,
    Elapsed,
    Event,
    FoundWrong,
    Pause,
    Process,
    Ran,
    Received,
    Resume,
    Send,
    Setting,
    Started,
    Submitted,
    Undo,
    frame,
)
from sims.baselines.worker import Job, Worker


class Message(NamedTuple):
    """A message of the application; labels count those of one channel, from 1."""

    label: int
    item: Item


class RollbackRequest(NamedTuple):
    """Prepare to undo what you have handled of the sender's messages after `label` (the paper's `last_smsg`)."""

    initiator: int
    label: int


class RollbackReply(NamedTuple):
    initiator: int
    willing: bool


class RollbackDecision(NamedTuple):
    initiator: int
    commits: bool


@dataclass
class Case:
    """A rollback that this process takes part in."""

    initiator: int
    parent: int | None = None
    """Who is answered once everybody has answered that was asked in turn; others are answered at once."""
    target: int | None = None
    """The checkpoint to go back to; None: nothing here has to be undone so far."""
    owed: int = 0
    willing: bool = True
    asked: dict[int, None] = field(default_factory=dict)
    labels: dict[int, int] = field(default_factory=dict)
    """By sender, after which of its messages everything is undone."""
    doubtful: list[Job] = field(default_factory=list)
    """Messages in line whose senders are about to undo them."""


class KooToueg:
    """One process."""

    def __init__(self, number: int, setting: Setting) -> None:
        self.number = number
        self.worker = Worker()
        self.receivers = setting.graph[number]
        self.labels: dict[int, int] = dict.fromkeys(self.receivers, 0)
        """By receiver, the label of the last message sent."""
        self.journal = Journal(dict(self.labels))
        self.checkpointing = Checkpointing(number, setting, self.worker, self.journal, self.labels)
        self.case: Case | None = None
        self.deferred: list[tuple[int, RollbackRequest]] = []
        """Requests that wait until an open checkpoint is decided."""
        self.held: list[tuple[int, Item]] = []
        """Messages that must not leave before an open checkpoint is decided."""
        self.willing = True
        """Whether this process agrees to roll back."""
        self.found: int | None = None
        """A wrong step that waits until an open checkpoint is decided."""

    def handle(self, event: Event, now_us: int) -> list[Effect]:
        """Take in one event."""
        self.checkpointing.now_us = now_us
        match event:
            case Started():
                return self.checkpointing.started()
            case Submitted():
                self.worker.line.append(Job(event.item))
                return self.worker.start()
            case Received():
                return self._received(event.sender, event.frame.body)
            case Ran():
                job = self.worker.ended(event.outcome)
                self.journal.entries.append(Entry(event.outcome.step, job))
                self.checkpointing.handled(job)
                self.held.extend(event.outcome.sends)
                return [*self._release(), *self.worker.start()]
            case Durable():
                return [*self.checkpointing.durable(event.ticket), *self._go_on()]
            case Elapsed():
                return [*self.checkpointing.elapsed(self.case is not None), *self._go_on()]
            case FoundWrong():
                self.found = event.step
                return self._go_on()

    def value(self, key: str) -> int | None:
        """Return the current value of a key."""
        return self.worker.state.get(key)

    def waiting(self) -> int:
        """Return how many inputs wait."""
        return len(self.worker.line) + len(self.case.doubtful if self.case is not None else ())

    def _received(self, sender: int, body: object) -> list[Effect]:
        match body:
            case Message():
                self.worker.line.append(Job(body.item, sender, body.label))
                return self.worker.start()
            case CheckpointRequest():
                return self.checkpointing.requested(sender, body, self.case is not None)
            case CheckpointReply():
                return [*self.checkpointing.replied(sender, body), *self._go_on()]
            case CheckpointDecision():
                return [*self.checkpointing.decided(body), *self._go_on()]
            case RollbackRequest():
                self.deferred.append((sender, body))
                return self._go_on()
            case RollbackReply():
                return self._replied(body)
            case RollbackDecision():
                return self._decided(body)
        raise AssertionError(f"no message of this protocol: {body}")

    def _release(self) -> list[Effect]:
        """Send what has waited: nothing leaves between a tentative checkpoint and its decision."""
        if self.checkpointing.is_open:
            return []
        held, self.held = self.held, []
        sends: list[Effect] = []
        for receiver, item in held:
            self.labels[receiver] += 1
            self.checkpointing.sent(receiver, self.labels[receiver])
            sends.append(Send(receiver, frame("application", Message(self.labels[receiver], item), item)))
        return sends

    def _go_on(self) -> list[Effect]:
        """Do what an open checkpoint has held up, if none is open."""
        if self.checkpointing.is_open:
            return []
        # What has waited leaves first: the next checkpoint holds its steps, and must hold its sending too.
        effects = [*self._release(), *self.checkpointing.take_up()]
        if self.checkpointing.is_open:
            return effects
        if self.found is not None:
            step, self.found = self.found, None
            self.case = Case(self.number)
            effects.extend(self._goes_back(self.case, self.journal.place_of(step)))
            effects.extend(self._settle(self.case))
        deferred, self.deferred = self.deferred, []
        for sender, request in deferred:
            effects.extend(self._requested(sender, request))
        return effects

    # -- rollback, first phase -------------------------------------------------------------------------------------

    def _requested(self, sender: int, request: RollbackRequest) -> list[Effect]:
        case = self.case = self.case or Case(request.initiator)
        assert case.initiator == request.initiator, "one rollback at a time"
        case.labels[sender] = min(request.label, case.labels.get(sender, request.label))
        effects: list[Effect] = []
        if self.worker.job is not None and self._is_undone(self.worker.job):
            effects.extend(self.worker.call_off())
        case.doubtful.extend(job for job in self.worker.line if self._is_undone(job))
        self.worker.fill(job for job in self.worker.line if not self._is_undone(job))
        place = self.journal.first(lambda entry: self._is_undone(entry.job))
        if place is not None:
            effects.extend(self._goes_back(case, place))
        case.willing = case.willing and self.willing
        if case.parent is None and case.initiator != self.number:
            # It owes nobody an answer, so this one waits until those have answered that it has asked in turn.
            case.parent = sender
            return [*effects, *self._settle(case), *self.worker.start()]
        return [*effects, self._reply(sender, case), *self.worker.start()]

    def _goes_back(self, case: Case, place: int) -> list[Effect]:
        """Stop, and ask everybody this process can have written to since the checkpoint that it has to go back to."""
        target = self.journal.before(place)
        if case.target is not None and case.target <= target:
            return []
        case.target = target
        self.worker.stopped = True
        labels: dict[int, int] = self.journal.checkpoints[target].tag
        case.owed += len(self.receivers)
        case.asked.update(dict.fromkeys(self.receivers))
        asks = [
            Send(receiver, frame("rollback", RollbackRequest(case.initiator, labels[receiver])))
            for receiver in self.receivers
        ]
        return [*self.worker.call_off(), Pause(), *asks]

    def _is_undone(self, job: Job) -> bool:
        assert self.case is not None
        label = self.case.labels.get(job.sender)
        return label is not None and job.tag > label

    def _replied(self, reply: RollbackReply) -> list[Effect]:
        case = self.case
        assert case is not None
        assert case.initiator == reply.initiator
        case.owed -= 1
        case.willing = case.willing and reply.willing
        return self._settle(case)

    def _settle(self, case: Case) -> list[Effect]:
        """All that were asked have answered: answer, or decide."""
        if case.owed:
            return []
        if case.initiator == self.number:
            return self._decided(RollbackDecision(self.number, case.willing))
        parent, case.parent = case.parent, None
        return [] if parent is None else [self._reply(parent, case)]

    def _reply(self, receiver: int, case: Case) -> Effect:
        return Send(receiver, frame("rollback", RollbackReply(case.initiator, case.willing)))

    # -- second phase ----------------------------------------------------------------------------------------------

    def _decided(self, decision: RollbackDecision) -> list[Effect]:
        """Go back, or go on: all or none."""
        case = self.case
        if case is None:
            # Somebody else has passed the decision on before.
            return []
        self.case = None
        effects: list[Effect] = [Send(other, frame("rollback", decision)) for other in case.asked]
        if not decision.commits:
            self.worker.fill((*case.doubtful, *self.worker.line))
        elif case.target is not None:
            gone = self.journal.back_to(case.target)
            self.worker.state = dict(self.journal.checkpoints[case.target].state)
            kept = [entry.job for entry in gone if entry.job.tag is None or not _is_after(entry.job, case)]
            self.worker.fill((*kept, *self.worker.line))
            self.checkpointing.went_back()
            effects.append(Undo(tuple(entry.step for entry in gone)))
        if case.target is not None:
            self.worker.stopped = False
            effects.append(Resume())
        return [*effects, *self._go_on(), *self.worker.start()]


def _is_after(job: Job, case: Case) -> bool:
    label = case.labels.get(job.sender)
    return label is not None and job.tag > label


def processes(setting: Setting) -> list[Process]:
    """Return the protocol's processes."""
    return [KooToueg(number, setting) for number in setting.graph]
