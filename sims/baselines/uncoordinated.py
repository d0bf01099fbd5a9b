"""Checkpoints that nobody agrees on: a wrong step may push everybody back to the start (the domino effect).

Source: Bhargava and Lian 1988, "Independent Checkpointing and Concurrent Rollback for Recovery in Distributed Systems";
Elnozahy, Alvisi, Wang and Johnson 2002, "A Survey of Rollback-Recovery Protocols in Message-Passing Systems", section
3.1: the rollback-dependency graph, and its recovery by dependency requests from one initiator, here the agent that was
wrong.
"""

from typing import NamedTuple

from sims.baselines.application import Item
from sims.baselines.journal import Entry, Journal
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
    SetTimer,
    Setting,
    Started,
    Submitted,
    Undo,
    Write,
    frame,
)
from sims.baselines.worker import Job, Worker
from sims.virtual.chance import stream

Interval = tuple[int, int]
"""A process, and which of its checkpoint intervals: interval `x` follows checkpoint `x`."""


class Message(NamedTuple):
    """A message of the application, with the interval that sent it."""

    era: int
    interval: int
    item: Item


class DependencyRequest(NamedTuple):
    """Stop, and tell what your intervals depend on."""

    era: int


class Dependencies(NamedTuple):
    """(sender, its interval, own interval) of every message handled."""

    era: int
    edges: tuple[tuple[int, int, int], ...]


class RollbackRequest(NamedTuple):
    """The recovery line: by process, the checkpoint it goes back to; -1: it goes on from where it is."""

    era: int
    line: tuple[int, ...]


class Tag(NamedTuple):
    """Of a message: from which era and interval."""

    era: int
    interval: int


def recovery_line(count: int, wrong: Interval, edges: list[tuple[Interval, Interval]]) -> tuple[int, ...]:
    """Return, by process, the first interval that is undone, or -1 (Elnozahy et al., section 3.1).

    Args:
        count: how many processes there are.
        wrong: the interval of the wrong step.
        edges: from the interval that sent a message to the one that received it.
    """
    received: dict[int, list[tuple[int, Interval]]] = {}
    for (sender, sent), receiver in edges:
        received.setdefault(sender, []).append((sent, receiver))
    line = [-1] * count
    todo = [wrong]
    while todo:
        process, interval = todo.pop()
        known = line[process]
        if known >= 0 and known <= interval:
            continue
        line[process] = interval
        # Everything that the process sent from this interval on is undone.
        todo.extend(receiver for sent, receiver in received.get(process, ()) if sent >= interval)
    return tuple(line)


class Uncoordinated:
    """One process."""

    def __init__(self, number: int, setting: Setting) -> None:
        self.number = number
        self.worker = Worker()
        self.journal = Journal()
        self.receivers = setting.graph[number]
        self.others = tuple(other for other in setting.graph if other != number)
        self.interval_us = setting.checkpoint_us
        self.chance = stream(setting.seed, f"checkpoints/{number}")
        self.era = 0
        self.lines: list[RollbackRequest] = []
        # Of the initiator only:
        self.wrong: Interval | None = None
        self.answers: dict[int, Dependencies] = {}

    @property
    def interval(self) -> int:
        """Which checkpoint interval this is."""
        return len(self.journal.checkpoints) - 1

    def handle(self, event: Event, now_us: int) -> list[Effect]:
        """Take in one event."""
        match event:
            case Started():
                # Nobody's clock agrees with anybody's.
                return [SetTimer("checkpoint", self.chance.randint(1, self.interval_us), periodic=True)]
            case Submitted():
                self.worker.line.append(Job(event.item))
                return self.worker.start()
            case Received():
                return self._received(event.sender, event.frame.body)
            case Ran():
                job = self.worker.ended(event.outcome)
                self.journal.entries.append(Entry(event.outcome.step, job, self.interval))
                sends = [
                    Send(receiver, frame("application", Message(self.era, self.interval, item), item))
                    for receiver, item in event.outcome.sends
                ]
                return [*sends, *self.worker.start()]
            case Durable():
                return []
            case Elapsed():
                wait_us = self.chance.randint(self.interval_us // 2, self.interval_us * 3 // 2)
                again = SetTimer("checkpoint", wait_us, periodic=True)
                if self.worker.stopped:
                    return [again]
                return [again, Write(self.interval, self.journal.checkpoint(self.worker.state))]
            case FoundWrong():
                return self._begin(event.step)

    def value(self, key: str) -> int | None:
        """Return the current value of a key."""
        return self.worker.state.get(key)

    def waiting(self) -> int:
        """Return how many inputs wait."""
        return len(self.worker.line)

    def _received(self, sender: int, body: object) -> list[Effect]:
        match body:
            case Message():
                job = Job(body.item, sender, Tag(body.era, body.interval))
                if self._is_undone(job):
                    return []
                self.worker.line.append(job)
                return self.worker.start()
            case DependencyRequest():
                effects = self._stop()
                return [*effects, Send(sender, frame("rollback", self._dependencies(body.era)))]
            case Dependencies():
                return self._answered(sender, body)
            case RollbackRequest():
                return self._roll_back(body)
        raise AssertionError(f"no message of this protocol: {body}")

    # -- the initiator ---------------------------------------------------------------------------------------------

    def _begin(self, step: int) -> list[Effect]:
        entry = self.journal.entries[self.journal.place_of(step)]
        self.wrong = (self.number, entry.tag)
        self.answers = {self.number: self._dependencies(self.era + 1)}
        request = frame("rollback", DependencyRequest(self.era + 1))
        return [*self._stop(), *(Send(other, request) for other in self.others), *self._decide()]

    def _answered(self, sender: int, answer: Dependencies) -> list[Effect]:
        self.answers[sender] = answer
        return self._decide()

    def _decide(self) -> list[Effect]:
        if len(self.answers) <= len(self.others):
            return []
        assert self.wrong is not None
        edges = [
            ((sender, sent), (receiver, received))
            for receiver, answer in self.answers.items()
            for sender, sent, received in answer.edges
        ]
        order = RollbackRequest(self.era + 1, recovery_line(len(self.answers), self.wrong, edges))
        sends = [Send(other, frame("rollback", order)) for other in self.others]
        return [*sends, *self._roll_back(order)]

    # -- everybody -------------------------------------------------------------------------------------------------

    def _dependencies(self, era: int) -> Dependencies:
        edges = {
            (entry.job.sender, entry.job.tag.interval, entry.tag): None
            for entry in self.journal.entries
            if entry.job.sender >= 0
        }
        return Dependencies(era, tuple(edges))

    def _stop(self) -> list[Effect]:
        self.worker.stopped = True
        return [*self.worker.call_off(), Pause()]

    def _roll_back(self, order: RollbackRequest) -> list[Effect]:
        self.era = order.era
        self.lines.append(order)
        gone: list[Entry] = []
        number = order.line[self.number]
        if number >= 0:
            gone = self.journal.back_to(number)
            self.worker.state = dict(self.journal.checkpoints[number].state)
        jobs = [*(entry.job for entry in gone), *self.worker.line]
        self.worker.fill(job for job in jobs if not self._is_undone(job))
        self.worker.stopped = False
        undone = [Undo(tuple(entry.step for entry in gone))] if gone else []
        return [*undone, Resume(), *self.worker.start()]

    def _is_undone(self, job: Job) -> bool:
        """Tell whether a message was sent by an interval that a recovery line has undone since."""
        if job.sender < 0:
            return False
        lines = [order.line[job.sender] for order in self.lines if job.tag.era < order.era]
        return any(0 <= line <= job.tag.interval for line in lines)


def processes(setting: Setting) -> list[Process]:
    """Return the protocol's processes."""
    return [Uncoordinated(number, setting) for number in setting.graph]
