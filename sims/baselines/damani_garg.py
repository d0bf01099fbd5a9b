"""Optimistic recovery: each process undoes by itself what its clock says hangs on a wrong state, and replays the rest.

Source: Damani and Garg 1996, "How to Recover Efficiently and Asynchronously when Optimism Fails" (ICDCS):
fault-tolerant vector clocks, tokens, obsolete and postponed messages, rollback. A wrong step stands for a failure that
loses the states from it on. The paper replays: handlers must be deterministic, as those of the rig are.
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
    Process,
    Ran,
    Received,
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


class Stamp(NamedTuple):
    """One process's entry of a clock, compared in this order: how often it has failed, and its events since."""

    version: int = 0
    time: int = 0


Clock = tuple[Stamp, ...]
"""A fault-tolerant vector clock: an entry for every process."""


class Message(NamedTuple):
    """A message of the application, with its sender's clock."""

    clock: Clock
    item: Item


class Token(NamedTuple):
    """States of a process's version after this time are gone."""

    process: int
    version: int
    time: int


class Tag(NamedTuple):
    """Of a step: its clock when its input was delivered, and after its last message."""

    delivered: Clock
    ended: Clock


def joined(mine: Clock, others: Clock) -> Clock:
    """Return the greater of both, entry by entry."""
    return tuple(max(one, other) for one, other in zip(mine, others, strict=True))


def covers(clock: Clock, token: Token) -> bool:
    """Tell whether a clock depends on a state that a token says is gone."""
    version, time = clock[token.process]
    return version == token.version and time > token.time


class DamaniGarg:
    """One process."""

    def __init__(self, number: int, setting: Setting) -> None:
        self.number = number
        self.worker = Worker()
        self.clock: Clock = tuple(Stamp() for _ in setting.graph)
        self.journal = Journal(self.clock)
        self.others = tuple(other for other in setting.graph if other != number)
        self.interval_us = setting.checkpoint_us
        self.chance = stream(setting.seed, f"checkpoints/{number}")
        self.tokens: list[Token] = []
        self.versions: dict[int, int] = {}
        """By process, up to which version its tokens have come."""
        self.postponed: list[Job] = []
        self.replaying: list[Entry] = []
        self.logging: dict[int, Token] = {}
        """Tokens that are being written, by ticket."""
        self.tickets = 0
        self.rollbacks = 0

    def handle(self, event: Event, now_us: int) -> list[Effect]:
        """Take in one event."""
        match event:
            case Started():
                return [SetTimer("checkpoint", self.chance.randint(1, self.interval_us), periodic=True)]
            case Submitted():
                self.worker.line.append(Job(event.item))
                return self._go_on()
            case Received():
                return self._received(event.sender, event.frame.body)
            case Ran():
                if self.replaying:
                    return self._replayed(event)
                return self._ran(event)
            case Durable():
                token = self.logging.pop(event.ticket, None)
                return [] if token is None else self._learned(token)
            case Elapsed():
                again = SetTimer("checkpoint", self.interval_us, periodic=True)
                if self.replaying:
                    return [again]
                self.tickets += 1
                return [again, Write(self.tickets, self.journal.checkpoint(self.worker.state, self.clock))]
            case FoundWrong():
                return self._failed(event.step)

    def value(self, key: str) -> int | None:
        """Return the current value of a key."""
        return self.worker.state.get(key)

    def waiting(self) -> int:
        """Return how many inputs wait."""
        return len(self.worker.line) + len(self.postponed)

    # -- messages --------------------------------------------------------------------------------------------------

    def _received(self, sender: int, body: object) -> list[Effect]:
        match body:
            case Message():
                self._arrived(Job(body.item, sender, body.clock))
                return self._go_on()
            case Token():
                # A token is logged before it is acted on: it must not be forgotten by a failure.
                self.tickets += 1
                self.logging[self.tickets] = body
                return [Write(self.tickets, frame("rollback", body).size)]
        raise AssertionError(f"no message of this protocol: {body}")

    def _arrived(self, job: Job) -> None:
        if self._is_obsolete(job):
            return
        # A message that knows a later version waits for the tokens of those before it.
        unknown = any(stamp.version > self.versions.get(at, 0) for at, stamp in enumerate(job.tag))
        (self.postponed if unknown else self.worker.line).append(job)

    def _is_obsolete(self, job: Job) -> bool:
        return job.sender >= 0 and any(covers(job.tag, token) for token in self.tokens)

    def _ran(self, event: Ran) -> list[Effect]:
        job = self.worker.ended(event.outcome)
        delivered = self._tick(self.clock if job.tag is None else joined(self.clock, job.tag))
        self.clock = delivered
        sends: list[Effect] = []
        for receiver, item in event.outcome.sends:
            sends.append(Send(receiver, frame("application", Message(self.clock, item), item)))
            self.clock = self._tick(self.clock)
        self.journal.entries.append(Entry(event.outcome.step, job, Tag(delivered, self.clock)))
        return [*sends, *self._go_on()]

    def _tick(self, clock: Clock) -> Clock:
        mine = clock[self.number]
        return (*clock[: self.number], Stamp(mine.version, mine.time + 1), *clock[self.number + 1 :])

    def _go_on(self) -> list[Effect]:
        return [] if self.replaying else self.worker.start()

    # -- going back ------------------------------------------------------------------------------------------------

    def _failed(self, step: int) -> list[Effect]:
        """Go back to before the wrong step, begin a new version, and tell everybody."""
        assert not self.replaying, "one failure at a time"
        place = self.journal.place_of(step)
        version, time = self.journal.entries[place].tag.delivered[self.number]
        token = Token(self.number, version, time - 1)
        self._know(token)
        sends = [Send(other, frame("rollback", token)) for other in self.others]
        effects = self._back_to(place)
        stamp = Stamp(version + 1, 0)
        self.clock = (*self.clock[: self.number], stamp, *self.clock[self.number + 1 :])
        return [*sends, *effects, *self._go_on()]

    def _learned(self, token: Token) -> list[Effect]:
        """Undo what depends on the states that are gone, if anything does."""
        assert not self.replaying, "one failure at a time"
        self._know(token)
        effects: list[Effect] = []
        if self.worker.job is not None and self._is_obsolete(self.worker.job):
            effects.extend(self.worker.call_off())
        place = self.journal.first(lambda entry: covers(entry.tag.delivered, token))
        if place is not None:
            effects.extend(self._back_to(place))
            self.clock = self._tick(self.clock)
        self.worker.fill(job for job in self.worker.line if not self._is_obsolete(job))
        postponed, self.postponed = self.postponed, []
        for job in postponed:
            self._arrived(job)
        return [*effects, *self._go_on()]

    def _know(self, token: Token) -> None:
        self.tokens.append(token)
        self.versions[token.process] = token.version + 1

    def _back_to(self, place: int) -> list[Effect]:
        """Restore the last checkpoint before a place, and replay the journal up to it."""
        self.rollbacks += 1
        effects = self.worker.call_off()
        number = self.journal.before(place)
        checkpoint = self.journal.checkpoints[number]
        gone = self.journal.back_to(number, place)
        self.worker.state = dict(checkpoint.state)
        self.replaying = self.journal.entries[checkpoint.place :]
        self.clock = self.replaying[-1].tag.ended if self.replaying else checkpoint.tag
        # What was received after it and is not obsolete was not undone by its sender, which will not send it again.
        jobs = [*(entry.job for entry in gone), *self.worker.line]
        self.worker.fill(job for job in jobs if not self._is_obsolete(job))
        return [*effects, Undo(tuple(entry.step for entry in gone)), *self._replay()]

    def _replay(self) -> list[Effect]:
        return self.worker.repeat(self.replaying[0].job, self.replaying[0].step) if self.replaying else []

    def _replayed(self, event: Ran) -> list[Effect]:
        """Its messages have been sent already."""
        self.worker.ended(event.outcome)
        self.replaying = self.replaying[1:]
        return [*self._replay(), *self._go_on()]


def processes(setting: Setting) -> list[Process]:
    """Return the protocol's processes."""
    return [DamaniGarg(number, setting) for number in setting.graph]
