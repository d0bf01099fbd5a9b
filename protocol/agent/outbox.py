"""What is to be sent: held until durable, resent until acknowledged (CL-5).

Numbers run per receiver and incarnation, without gaps. A message of an undecided cone is held; one of an undone cone
is dropped, for its receiver, an elector, keeps its place as void. An acknowledged one is kept with its consumer until
that step's epoch is committed: until then the step may be lost, which makes the acknowledgment void (FR-3, CP-4).

How long an acknowledgment is waited for follows how long those before it took: a receiver that is busy is not given
more to do. Where nobody can tell which sending was acknowledged nothing is measured (Karn), and the wait stays as it
has grown. After a wait in vain all that is under way counts as missing: a batch of it is sent again, so that a dead
receiver costs little, and from then on each acknowledgment makes room for two, so what has piled up drains as fast as
its receiver takes it. One for what was not sent again shows that nothing else is missing. Sources: RFC 6298 (waits),
RFC 5681 (slow start), RFC 4015 (the end of a wait that was too short).

Voids are outside the window: one may be acknowledged only after those that follow from it (EF-6), so a window that they
could fill would never open again.
"""

from collections.abc import Callable, Container, Iterable
from typing import Any

from protocol.ids import AgentId, StepId
from protocol.limits import Limits
from protocol.message import Data, Void
from protocol.records import BaseRecord, HeldOut
from protocol.step import Consumer


class _Item:
    __slots__ = ("again", "held", "incarnation", "message", "missing", "number", "released", "sent", "sent_us", "step")

    def __init__(self, step: StepId | None, incarnation: int, number: int, message: Data | Void) -> None:
        self.step = step
        self.incarnation = incarnation
        self.number = number
        self.message = message
        self.released = False
        self.held = 0
        self.sent = False
        """It is under way."""
        self.sent_us = 0
        self.missing = False
        """It was under way, and a wait for it was in vain."""
        self.again = False
        """It was sent more than once."""

    @property
    def is_void(self) -> bool:
        """Tell whether it is an empty place, or word that a lineage will not come."""
        return isinstance(self.message, Void)


class _Line:
    """What one receiver has not acknowledged, in order."""

    __slots__ = (
        "consumed", "due_us", "items", "missing", "next_number", "room", "strays_us", "takes_us", "under_way",
        "void_room", "voids", "voids_under_way", "wait_us",
    )  # fmt: skip

    def __init__(self, room: int) -> None:
        self.room = room
        """How many may be under way."""
        self.voids: dict[tuple[int, int], _Item] = {}
        """Those of the items that are voids, and not under way."""
        self.void_room = 0
        """How many of them that are missing may be sent again now."""
        self.voids_under_way = 0
        self.missing = 0
        self.items: dict[tuple[int, int], _Item] = {}
        self.consumed: dict[tuple[int, int], tuple[StepId | None, Data | Void, Consumer]] = {}
        self.next_number = 1
        self.due_us: int | None = None
        self.wait_us = 0
        self.under_way = 0
        self.takes_us = 0
        """How long an acknowledgment takes, smoothed; 0: none has come."""
        self.strays_us = 0
        """How far it strays from that."""

    def measured(self, took_us: int, limits: Limits) -> None:
        """An acknowledgment has come: wait for the next as long as it may take."""
        if not self.takes_us:
            self.takes_us, self.strays_us = took_us, took_us // 2
        else:
            self.strays_us += (abs(self.takes_us - took_us) - self.strays_us) // 4
            self.takes_us += (took_us - self.takes_us) // 8
        self.wait_us = min(max(self.takes_us + 4 * self.strays_us, limits.resend_us), limits.resend_us_max)


class Outbox:
    """The unacknowledged outputs of one agent, by receiver."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lines: dict[AgentId, _Line] = {}
        self._timed: dict[AgentId, _Line] = {}
        """The lines with something under way: only these have a time at which to send again."""
        self._by_step: dict[StepId, list[tuple[AgentId, _Item]]] = {}
        self._holds: dict[StepId, int] = {}
        """By frozen step, how many rollbacks hold its outputs: one that is to be sent again is held as well."""
        self.count = 0
        """How many messages are not acknowledged, all receivers together."""

    def number(self, receiver: AgentId) -> int:
        """Give the next number to `receiver` in this incarnation."""
        line = self._line(receiver)
        line.next_number += 1
        return line.next_number - 1

    def see_number(self, receiver: AgentId, number: int) -> None:
        """Note a number that was given in an earlier life of this incarnation."""
        line = self._line(receiver)
        line.next_number = max(line.next_number, number + 1)

    def restart_numbers(self) -> None:
        """A new incarnation begins: its numbers run from 1."""
        for line in self._lines.values():
            line.next_number = 1

    def add(self, receiver: AgentId, step: StepId | None, incarnation: int, number: int, message: Data | Void) -> None:
        """Keep a message; it is not sent before `release`."""
        item = _Item(step, incarnation, number, message)
        line = self._line(receiver)
        self.count += (incarnation, number) not in line.items
        line.items[incarnation, number] = item
        if item.is_void:
            line.voids[incarnation, number] = item
        if step is not None:
            item.held = self._holds.get(step, 0)
            self._by_step.setdefault(step, []).append((receiver, item))

    def release(self, receiver: AgentId, incarnation: int, number: int) -> None:
        """The message's record is durable: it may leave."""
        item = self._line(receiver).items.get((incarnation, number))
        if item is not None:
            item.released = True

    def release_all(self) -> None:
        """Everything here was read from the log: it is durable, and may leave."""
        for line in self._lines.values():
            for item in line.items.values():
                item.released = True

    def send_due(self, now_us: int, receivers: Iterable[AgentId] | None = None) -> list[tuple[AgentId, Data | Void]]:
        """Return what is to be sent now: new messages within the window, and those not acknowledged for too long."""
        due: list[tuple[AgentId, Data | Void]] = []
        for receiver in list(self._lines) if receivers is None else receivers:
            line = self._lines.get(receiver)
            if line is None or not line.items:
                continue
            if line.due_us is not None and line.due_us <= now_us:
                self._missed(line)
            for item in self._sendable(line):
                line.missing -= item.missing
                line.under_way += 1
                if item.is_void:
                    line.voids_under_way += 1
                    del line.voids[item.incarnation, item.number]
                item.again = item.missing
                item.sent, item.sent_us, item.missing = True, now_us, False
                due.append((receiver, item.message))
            if line.under_way == 0:
                line.due_us = None
                self._timed.pop(receiver, None)
            elif line.due_us is None:
                self._timed[receiver] = line
                line.wait_us = line.wait_us or self._limits.resend_us
                line.due_us = now_us + line.wait_us
        return due

    def _sendable(self, line: _Line) -> list[_Item]:
        """Return what may be sent now: voids, and messages as far as there is room."""
        voids = [item for item in line.voids.values() if item.released and not item.held]
        fresh = [item for item in voids if not item.missing]
        # By turns, those that were sent longest ago first: those that have come wait there for the others.
        again = sorted((item for item in voids if item.missing), key=lambda item: item.sent_us)[: line.void_room]
        line.void_room -= len(again)
        found = [*again, *fresh]
        room = line.room - (line.under_way - line.voids_under_way)
        for item in line.items.values():
            if room <= 0:
                break
            if item.released and not item.held and not item.sent and not item.is_void:
                room -= 1
                found.append(item)
        return found

    def _missed(self, line: _Line) -> None:
        """A wait was in vain: what is under way is to be sent again, a batch at first."""
        line.wait_us = min(2 * line.wait_us, self._limits.resend_us_max)
        line.room = line.void_room = self._limits.resend_batch
        line.due_us = None
        for name, item in line.items.items():
            if item.sent:
                item.sent, item.missing = False, True
                if item.is_void:
                    line.voids[name] = item
        line.missing += line.under_way
        line.under_way = line.voids_under_way = 0

    def _found(self, line: _Line) -> None:
        """One that counted as missing, and was not sent again, is acknowledged: the others are under way still."""
        for name, item in line.items.items():
            if item.missing:
                item.sent, item.missing = True, False
                if item.is_void:
                    line.voids_under_way += 1
                    del line.voids[name]
        line.under_way += line.missing
        line.missing = 0
        line.room = self._limits.window

    def deadline_us(self) -> int | None:
        """Return when the next message is to be resent."""
        if not self._timed:
            return None
        if len(self._timed) == 1:
            return next(iter(self._timed.values())).due_us
        return min([line.due_us for line in self._timed.values() if line.due_us is not None], default=None)

    def nudge(self, receiver: AgentId, now_us: int) -> None:
        """The receiver is at an address again: resend at once."""
        line = self._lines.get(receiver)
        if line is not None and line.due_us is not None:
            line.wait_us = self._limits.resend_us // 2
            line.due_us = now_us
            for item in line.items.values():
                # All are to come again, in order.
                item.sent_us = 0

    def owed(self, agents: Container[AgentId]) -> list[AgentId]:
        """Return those of `agents` for whom something waits here."""
        return [receiver for receiver, line in self._lines.items() if line.items and receiver in agents]

    def acked(self, receiver: AgentId, incarnation: int, number: int, consumer: Consumer, now_us: int = 0) -> bool:
        """Note that a message's consumption is durable, by whom; True if that is news."""
        line = self._line(receiver)
        item = line.items.pop((incarnation, number), None)
        if item is None:
            return False
        self._removed(receiver, line, item)
        line.consumed[incarnation, number] = (item.step, item.message, consumer)
        if item.sent and not item.again:
            line.measured(now_us - item.sent_us, self._limits)
        if item.missing and line.missing:
            self._found(line)
        line.room = min(line.room + 1, self._limits.window)
        line.void_room = min(line.void_room + 2, self._limits.window)
        if line.due_us is not None:
            # Those behind it were sent later.
            line.due_us = now_us + line.wait_us
        return True

    def settle(self, epoch: int) -> None:
        """An epoch is committed: what steps inside its cut have consumed can't be lost any more (CP-4)."""
        for line in self._lines.values():
            settled = [name for name, kept in line.consumed.items() if kept[2].epoch < epoch]
            for name in settled:
                del line.consumed[name]

    def unack(self, receiver: AgentId, incarnation: int, first: int, is_void: Callable[[StepId], bool]) -> None:
        """The receiver has lost its steps of `incarnation` from `first` on: what they consumed is to be sent again.

        Args:
            receiver: who lost steps.
            incarnation: in which life.
            first: the first lost step.
            is_void: tells of a step whose message is to be an empty place now.
        """
        line = self._line(receiver)
        for name, (step, message, consumer) in list(line.consumed.items()):
            if consumer.incarnation == incarnation and consumer.seq >= first:
                del line.consumed[name]
                if step is not None and is_void(step):
                    step, message = None, Void(*name, "", False)
                self.add(receiver, step, *name, message)
                self.release(receiver, *name)

    def hold(self, steps: Iterable[StepId]) -> None:
        """Stop sending the outputs of frozen steps."""
        for step in steps:
            self._holds[step] = self._holds.get(step, 0) + 1
            for _, item in self._by_step.get(step, ()):
                item.held += 1

    def unhold(self, steps: Iterable[StepId]) -> list[AgentId]:
        """Send them again; return the receivers concerned."""
        receivers: dict[AgentId, None] = {}
        for step in steps:
            self._holds[step] -= 1
            if not self._holds[step]:
                del self._holds[step]
            for receiver, item in self._by_step.get(step, ()):
                item.held -= 1
                receivers[receiver] = None
        return list(receivers)

    def drop(self, steps: Iterable[StepId]) -> None:
        """Forget the outputs of undone steps: their receivers keep the places as void."""
        for step in steps:
            for receiver, item in list(self._by_step.get(step, ())):
                line = self._lines[receiver]
                if line.items.pop((item.incarnation, item.number), None) is not None:
                    self._removed(receiver, line, item)

    def empty(self, steps: Iterable[StepId]) -> list[AgentId]:
        """Leave only the places of outputs of steps lost by force, whose receivers may not know; return those."""
        receivers: dict[AgentId, None] = {}
        for step in steps:
            for receiver, item in self._by_step.pop(step, []):
                line = self._line(receiver)
                if not item.is_void:
                    line.voids_under_way += item.sent
                    if not item.sent:
                        line.voids[item.incarnation, item.number] = item
                item.message = Void(item.incarnation, item.number, "", False)
                item.step = None
                item.held = 0
                item.released = True
                receivers[receiver] = None
        return list(receivers)

    def _held_out(self) -> tuple[HeldOut, ...]:
        found: list[HeldOut] = []
        for receiver, line in self._lines.items():
            found.extend(HeldOut.of(receiver, item.step, *name, item.message) for name, item in line.items.items())
            found.extend(HeldOut.of(receiver, kept[0], *name, *kept[1:]) for name, kept in line.consumed.items())
        return tuple(found)

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base: the next numbers, and all that is kept, acknowledged or not."""
        numbers = tuple((receiver, line.next_number) for receiver, line in self._lines.items())
        return {"numbers": numbers, "outbox": self._held_out()}

    def load(self, base: BaseRecord) -> None:
        """Take in this part's slice of a base."""
        for receiver, number in base.numbers:
            self._line(receiver).next_number = number
        for out in base.outbox:
            if out.consumer is None:
                self.add(out.receiver, out.step, out.incarnation, out.number, out.message)
            else:
                self._line(out.receiver).consumed[out.incarnation, out.number] = (out.step, out.message, out.consumer)

    def unsent(self) -> int:
        """Return how many messages are not acknowledged."""
        return self.count

    def owing(self) -> dict[AgentId, int]:
        """Return how many messages each receiver has not acknowledged."""
        return {receiver: len(line.items) for receiver, line in self._lines.items() if line.items}

    def _line(self, receiver: AgentId) -> _Line:
        line = self._lines.get(receiver)
        if line is None:
            line = self._lines[receiver] = _Line(self._limits.window)
        return line

    def _removed(self, receiver: AgentId, line: _Line, item: _Item) -> None:
        self.count -= 1
        line.voids.pop((item.incarnation, item.number), None)
        if item.sent:
            line.under_way -= 1
            line.voids_under_way -= item.is_void
        line.missing -= item.missing
        if line.under_way == 0:
            line.due_us = None
            self._timed.pop(receiver, None)
        if item.step is not None:
            left = [pair for pair in self._by_step.get(item.step, ()) if pair[1] is not item]
            if left:
                self._by_step[item.step] = left
            else:
                self._by_step.pop(item.step, None)

    def check(self) -> None:
        """Assert that what is under way is counted, and that nothing left before it was durable."""
        assert self.count == sum(len(line.items) for line in self._lines.values())
        for line in self._lines.values():
            assert line.under_way == sum(1 for item in line.items.values() if item.sent)
            voids = {name: item for name, item in line.items.items() if item.is_void}
            assert line.voids_under_way == sum(1 for item in voids.values() if item.sent)
            assert line.voids == {name: item for name, item in voids.items() if not item.sent}
            assert line.missing == sum(1 for item in line.items.values() if item.missing)
            assert all(item.released for item in line.items.values() if item.sent or item.missing)
        for step, pairs in self._by_step.items():
            assert all(item.held == self._holds.get(step, 0) for _, item in pairs)
        due = [receiver for receiver, line in self._lines.items() if line.due_us is not None]
        assert sorted(self._timed) == sorted(due)
