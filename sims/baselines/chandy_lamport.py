"""Everybody goes back to the last snapshot before the wrong step.

Source: Chandy and Lamport 1985, "Distributed Snapshots: Determining Global States of Distributed Systems", section 3
(the marker rules). The restore is the obvious use of a snapshot; the paper gives none. Snapshots do not stop anybody;
the restore stops all. Process 0 begins snapshots and restores; the paper leaves open who does, and how parts
are collected.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from sims.baselines.application import Item
from sims.baselines.process import (
    VALUE_BYTES,
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


class Message(NamedTuple):
    """A message of the application, and how many restores its sender has seen."""

    era: int
    item: Item


class Marker(NamedTuple):
    """No message before it on this channel belongs to the snapshot's channel state if its receiver has recorded."""

    era: int
    snapshot: int


class Recorded(NamedTuple):
    """To process 0: this process's part is whole and durable."""

    snapshot: int


class WrongFound(NamedTuple):
    """To process 0: a step was wrong that ran after this snapshot."""

    snapshot: int


class Restore(NamedTuple):
    """Go back to a snapshot, and say so."""

    era: int
    snapshot: int


class Restored(NamedTuple):
    era: int


class Go(NamedTuple):
    """Everybody is back: go on."""

    era: int


@dataclass
class Part:
    """One process's part of a snapshot."""

    state: dict[str, int] = field(default_factory=dict)
    pending: tuple[Job, ...] = ()
    outside: int = 0
    """How many inputs had come from outside."""
    channels: dict[int, list[Item]] = field(default_factory=dict)
    """By sender, the messages that were on their way."""
    open: dict[int, None] = field(default_factory=dict)
    """Channels whose marker has not come yet."""
    durable: bool = False

    def size(self) -> int:
        """Return roughly how many bytes it takes on disk."""
        items = len(self.pending) + sum(len(items) for items in self.channels.values())
        return len(self.state) * VALUE_BYTES + items * VALUE_BYTES


class ChandyLamport:
    """One process."""

    def __init__(self, number: int, setting: Setting) -> None:
        self.number = number
        self.worker = Worker()
        self.receivers = setting.graph[number]
        self.senders = setting.senders[number]
        self.others = tuple(other for other in setting.graph if other != number)
        self.interval_us = setting.checkpoint_us
        self.era = 0
        self.parts: dict[int, Part] = {0: Part(durable=True)}
        self.last = 0
        """The newest snapshot that this process has recorded."""
        self.done: list[tuple[int, int]] = []
        """Steps that stand, each with the newest snapshot recorded before its end."""
        self.outside: list[Item] = []
        # Of process 0 only:
        self.complete = [0]
        self.begun = 0
        """The newest snapshot begun: a number is never used again."""
        self.recorded: int | None = None
        """How many parts of it are whole; None: it is complete, or was broken off."""
        self.restored: int | None = None
        """How many are back, while a restore is under way."""

    def handle(self, event: Event, now_us: int) -> list[Effect]:
        """Take in one event."""
        match event:
            case Started():
                return [SetTimer("snapshot", self.interval_us, periodic=True)] if self.number == 0 else []
            case Submitted():
                self.outside.append(event.item)
                self.worker.line.append(Job(event.item))
                return self.worker.start()
            case Received():
                return self._received(event.sender, event.frame.body)
            case Ran():
                self.worker.ended(event.outcome)
                self.done.append((event.outcome.step, self.last))
                sends = [
                    Send(receiver, frame("application", Message(self.era, item), item))
                    for receiver, item in event.outcome.sends
                ]
                return [*sends, *self.worker.start()]
            case Durable():
                return self._durable(event.ticket)
            case Elapsed():
                return [SetTimer("snapshot", self.interval_us, periodic=True), *self._begin()]
            case FoundWrong():
                snapshot = next(at for step, at in self.done if step == event.step)
                if self.number == 0:
                    return self._restore_all(snapshot)
                return [Send(0, frame("rollback", WrongFound(snapshot)))]

    def value(self, key: str) -> int | None:
        """Return the current value of a key."""
        return self.worker.state.get(key)

    def waiting(self) -> int:
        """Return how many inputs wait."""
        return len(self.worker.line)

    def _received(self, sender: int, body: object) -> list[Effect]:
        match body:
            case Message():
                # What was sent before a restore is in the snapshot's channel state, or was undone.
                if body.era != self.era:
                    return []
                part = self.parts[self.last]
                if sender in part.open:
                    part.channels[sender].append(body.item)
                self.worker.line.append(Job(body.item, sender))
                return self.worker.start()
            case Marker():
                if body.era != self.era:
                    return []
                effects = self._record(body.snapshot) if body.snapshot > self.last else []
                self.parts[self.last].open.pop(sender, None)
                return [*effects, *self._whole()]
            case Recorded():
                return self._note_recorded(body.snapshot)
            case WrongFound():
                return self._restore_all(body.snapshot)
            case Restore():
                return [*self._restore(body.era, body.snapshot), Send(0, frame("rollback", Restored(body.era)))]
            case Restored():
                return self._note_restored()
            case Go():
                return self._go()
        raise AssertionError(f"no message of this protocol: {body}")

    # -- snapshots ------------------------------------------------------------------------------------------------

    def _begin(self) -> list[Effect]:
        """Process 0: begin a snapshot, unless one is under way, or a restore."""
        if self.recorded is not None or self.restored is not None:
            return []
        self.begun += 1
        self.recorded = 0
        return self._record(self.begun)

    def _record(self, snapshot: int) -> list[Effect]:
        """The marker-sending rule: record the state, then a marker on each channel before anything else."""
        self.parts[snapshot] = Part(
            dict(self.worker.state),
            self.worker.pending(),
            len(self.outside),
            {sender: [] for sender in self.senders},
            dict.fromkeys(self.senders),
        )
        self.last = snapshot
        marker = frame("checkpoint", Marker(self.era, snapshot))
        return [*(Send(receiver, marker) for receiver in self.receivers), *self._whole()]

    def _whole(self) -> list[Effect]:
        """Write the part down once the last marker has come."""
        part = self.parts[self.last]
        if part.open or part.durable:
            return []
        return [Write(self.last, part.size())]

    def _durable(self, snapshot: int) -> list[Effect]:
        part = self.parts.get(snapshot)
        if part is None or part.durable:
            return []
        part.durable = True
        return self._note_recorded(snapshot) if self.number == 0 else [Send(0, frame("checkpoint", Recorded(snapshot)))]

    def _note_recorded(self, snapshot: int) -> list[Effect]:
        # A part of one that a restore has broken off may still be on its way.
        if snapshot == self.begun and self.recorded is not None:
            self.recorded += 1
            if self.recorded == len(self.others) + 1:
                self.complete.append(snapshot)
                self.recorded = None
        return []

    # -- the restore -----------------------------------------------------------------------------------------------

    def _restore_all(self, snapshot: int) -> list[Effect]:
        """Process 0: send everybody back to the last complete snapshot before the wrong step."""
        self.complete = [number for number in self.complete if number <= snapshot]
        self.recorded, self.restored = None, 0
        order = Restore(self.era + 1, self.complete[-1])
        sends = [Send(other, frame("rollback", order)) for other in self.others]
        return [*sends, *self._restore(order.era, order.snapshot), *self._note_restored()]

    def _restore(self, era: int, snapshot: int) -> list[Effect]:
        effects = self.worker.call_off()
        self.era, self.worker.stopped = era, True
        undone = tuple(step for step, at in self.done if at >= snapshot)
        self.done = [(step, at) for step, at in self.done if at < snapshot]
        part = self.parts[snapshot]
        self.parts = {number: part for number, part in self.parts.items() if number <= snapshot}
        self.last = snapshot
        self.worker.state = dict(part.state)
        under_way = [Job(item, sender) for sender, items in part.channels.items() for item in items]
        later = [Job(item) for item in self.outside[part.outside :]]
        self.worker.fill((*part.pending, *under_way, *later))
        return [*effects, Undo(undone), Pause()]

    def _note_restored(self) -> list[Effect]:
        assert self.restored is not None
        self.restored += 1
        if self.restored <= len(self.others):
            return []
        self.restored = None
        go = frame("rollback", Go(self.era))
        return [*(Send(other, go) for other in self.others), *self._go()]

    def _go(self) -> list[Effect]:
        self.worker.stopped = False
        return [Resume(), *self.worker.start()]


def processes(setting: Setting) -> list[Process]:
    """Return the protocol's processes."""
    return [ChandyLamport(number, setting) for number in setting.graph]
