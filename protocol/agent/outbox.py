"""What is to be sent: held until durable, resent until acknowledged (CL-5). What waits, and when, is `unacked`'s.

Numbers run per receiver and incarnation, without gaps. A message of an undecided cone is held; one of an undone cone
is dropped, for its receiver, an elector, keeps its place as void. An acknowledged one is kept with its consumer until
that step's epoch is committed: until then the step may be lost, which makes the acknowledgment void (FR-3, CP-4).

Messages that wait behind some windows' worth lie on the shelf: of those memory has the number, the step and the place.
They come from there one by one, when there is room for them.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any

from msgspec import msgpack

from protocol.agent.shelf import Shelf
from protocol.agent.shelved import Far
from protocol.agent.unacked import NOWHERE, Consumed, Item, Unacked
from protocol.errors import ShelfUnreadable
from protocol.ids import AgentId, StepId
from protocol.limits import Limits
from protocol.message import Data, Void
from protocol.records import BaseRecord, HeldOut
from protocol.step import Consumer, Input

_encoder = msgpack.Encoder()
_decoder = msgpack.Decoder(Input)


class Outbox:
    """The unacknowledged outputs of one agent, by receiver."""

    def __init__(self, limits: Limits, shelf: Shelf) -> None:
        self._limits = limits
        self._shelf = shelf
        self._lines: dict[AgentId, Unacked] = {}
        self._timed: dict[AgentId, Unacked] = {}
        """The lines with something under way: only these have a time at which to send again."""
        self._by_step: dict[StepId, dict[Item, AgentId]] = {}
        """What is at hand, by the step that sent it, each with its receiver."""
        self._holds: dict[StepId, int] = {}
        """By frozen step, how many rollbacks hold its outputs: one that is to be sent again is held as well."""
        self.count = 0
        """How many messages are not acknowledged, all receivers together."""
        self.added = 0
        """How many were ever added."""

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
        line = self._line(receiver)
        self.added += 1
        if isinstance(message, Data) and step is not None and self._is_far(line, step, incarnation, number):
            self.count += 1
            line.far.put(step, number, self._shelf.put(_encoder.encode(message.input)))
            return
        old = line.far.pop(incarnation, number) if line.far else None
        if old is not None:
            self._shelf.drop(old.place)
        self.count += old is None and (incarnation, number) not in line.items
        self._at_hand(receiver, line, Item(step, incarnation, number, message))

    def _is_far(self, line: Unacked, step: StepId, incarnation: int, number: int) -> bool:
        """Tell whether a message waits behind so many that it need not be at hand."""
        if not line.far and len(line.items) < self._limits.at_hand:
            return False
        is_next = step.incarnation == incarnation and line.far.follows(step, number)
        return is_next and (incarnation, number) not in line.items

    def _at_hand(self, receiver: AgentId, line: Unacked, item: Item) -> None:
        line.keep(item)
        if item.step is not None:
            item.held = self._holds.get(item.step, 0)
            self._by_step.setdefault(item.step, {})[item] = receiver

    def release(self, receiver: AgentId, incarnation: int, number: int) -> None:
        """The message's record is durable: it may leave."""
        line = self._line(receiver)
        item = line.items.get((incarnation, number))
        if item is not None:
            item.released = True
        elif line.far:
            line.far.release(incarnation, number)

    def has_any(self) -> bool:
        """Tell whether anything is kept: not acknowledged, or acknowledged by who is not settled."""
        return self.count > 0 or any(line.items or line.far or line.consumed for line in self._lines.values())

    def release_all(self) -> None:
        """Everything here was read from the log: it is durable, and may leave."""
        for line in self._lines.values():
            for item in line.items.values():
                item.released = True
            line.far.release_all()

    # -- sending ---------------------------------------------------------------------------------------------------

    def send_due(self, now_us: int, receivers: Iterable[AgentId] | None = None) -> list[tuple[AgentId, Data | Void]]:
        """Return what is to be sent now: new messages within the window, and those not acknowledged for too long."""
        due: list[tuple[AgentId, Data | Void]] = []
        for receiver in list(self._lines) if receivers is None else receivers:
            line = self._lines.get(receiver)
            if line is None or not len(line):
                continue
            if line.due_us is not None and line.due_us <= now_us:
                line.missed()
            line.is_stuck = False
            for item in line.sendable():
                self._leaves(receiver, line, item, now_us, due)
            if line.far:
                self._bring(receiver, line, now_us, due)
            if line.under_way == 0 and not line.is_stuck:
                line.due_us = None
                self._timed.pop(receiver, None)
            elif line.wait(now_us):
                self._timed[receiver] = line
        return due

    def _leaves(
        self, receiver: AgentId, line: Unacked, item: Item, now_us: int, due: list[tuple[AgentId, Data | Void]]
    ) -> None:
        message = item.message or self._read(item.place)
        if message is None:
            line.is_stuck = True
        else:
            line.leaves(item, now_us)
            due.append((receiver, message))

    def _bring(self, receiver: AgentId, line: Unacked, now_us: int, due: list[tuple[AgentId, Data | Void]]) -> None:
        """Send from the shelf what there is room for, once nothing at hand may leave."""
        room = 0 if line.is_stuck else line.spare()
        for far in line.far.ripe(room, self._holds.__contains__) if room > 0 else ():
            item = Item(far.step, *far.name, None, far.place)
            item.released = True
            self._at_hand(receiver, line, item)
            self._leaves(receiver, line, item, now_us, due)

    def _read(self, place: int) -> Data | None:
        data = self._shelf.get(place)
        return None if data is None else Data(_decoder.decode(data))

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

    # -- acknowledgments -------------------------------------------------------------------------------------------

    def acked(self, receiver: AgentId, incarnation: int, number: int, consumer: Consumer, now_us: int = 0) -> bool:
        """Note that a message's consumption is durable, by whom; True if that is news."""
        line = self._line(receiver)
        item = line.items.pop((incarnation, number), None)
        if item is not None:
            self._removed(receiver, line, item)
            line.consumed[incarnation, number] = Consumed(item.step, item.message, item.place, consumer)
            line.acked(item, now_us)
            return True
        far = line.far.pop(incarnation, number) if line.far else None
        if far is None:
            return False
        # It was sent in an earlier life.
        self.count -= 1
        line.consumed[incarnation, number] = Consumed(far.step, None, far.place, consumer)
        line.makes_room(now_us)
        return True

    def settle(self, epoch: int) -> None:
        """An epoch is committed: what steps inside its cut have consumed can't be lost any more (CP-4)."""
        for line in self._lines.values():
            settled = [name for name, kept in line.consumed.items() if kept.consumer.epoch < epoch]
            for name in settled:
                self._drop(line.consumed.pop(name).place)

    def unack(self, receiver: AgentId, incarnation: int, first: int, is_void: Callable[[StepId], bool]) -> None:
        """The receiver has lost its steps of `incarnation` from `first` on: what they consumed is to be sent again.

        Args:
            receiver: who lost steps.
            incarnation: in which life.
            first: the first lost step.
            is_void: tells of a step whose message is to be an empty place now.
        """
        line = self._line(receiver)
        for name, (step, message, place, consumer) in list(line.consumed.items()):
            if consumer.incarnation == incarnation and consumer.seq >= first:
                del line.consumed[name]
                if step is not None and is_void(step):
                    self._drop(place)
                    step, message, place = None, Void(*name, "", False), NOWHERE
                self._again(receiver, line, Item(step, *name, message, place))

    def _again(self, receiver: AgentId, line: Unacked, item: Item) -> None:
        if item.message is not None:
            self.add(receiver, item.step, item.incarnation, item.number, item.message)
            self.release(receiver, item.incarnation, item.number)
        else:
            self.count += 1
            item.released = True
            self._at_hand(receiver, line, item)

    # -- rollbacks -------------------------------------------------------------------------------------------------

    def hold(self, steps: Iterable[StepId]) -> None:
        """Stop sending the outputs of frozen steps."""
        for step in steps:
            self._holds[step] = self._holds.get(step, 0) + 1
            for item in self._by_step.get(step, ()):
                item.held += 1

    def unhold(self, steps: Iterable[StepId]) -> list[AgentId]:
        """Send them again; return the receivers concerned."""
        receivers: dict[AgentId, None] = {}
        for step in steps:
            self._holds[step] -= 1
            if not self._holds[step]:
                del self._holds[step]
            for item, receiver in self._by_step.get(step, {}).items():
                item.held -= 1
                receivers[receiver] = None
            receivers.update(dict.fromkeys(name for name, line in self._lines.items() if line.far.has_of(step)))
        return list(receivers)

    def drop(self, steps: Iterable[StepId]) -> None:
        """Forget the outputs of undone steps: their receivers keep the places as void."""
        for step in steps:
            for item, receiver in list(self._by_step.get(step, {}).items()):
                line = self._lines[receiver]
                if line.items.pop((item.incarnation, item.number), None) is not None:
                    self._removed(receiver, line, item)
                    self._drop(item.place)
            for _, far in self._far_of(step):
                self.count -= 1
                self._drop(far.place)

    def empty(self, steps: Iterable[StepId]) -> list[AgentId]:
        """Leave only the places of outputs of steps lost by force, whose receivers may not know; return those."""
        receivers: dict[AgentId, None] = {}
        for step in steps:
            for item, receiver in self._by_step.pop(step, {}).items():
                self._line(receiver).empties(item)
                self._drop(item.place)
                item.place = NOWHERE
                receivers[receiver] = None
            for receiver, far in self._far_of(step):
                self._drop(far.place)
                place = Item(None, *far.name, Void(*far.name, "", False))
                place.released = True
                self._at_hand(receiver, self._line(receiver), place)
                receivers[receiver] = None
        return list(receivers)

    def _far_of(self, step: StepId) -> list[tuple[AgentId, Far]]:
        """Take out what a step has sent of what is far."""
        return [(name, far) for name, line in self._lines.items() if line.far for far in line.far.pop_step(step)]

    # -- bases -----------------------------------------------------------------------------------------------------

    def _held_out(self) -> Iterator[HeldOut]:
        for receiver, line in self._lines.items():
            for name, item in line.items.items():
                yield HeldOut.of(receiver, item.step, *name, self._message(item.message, item.place))
            for far in line.far.all():
                yield HeldOut.of(receiver, far.step, *far.name, self._message(None, far.place))
            for name, kept in line.consumed.items():
                message = self._message(kept.message, kept.place)
                yield HeldOut.of(receiver, kept.step, *name, message, kept.consumer)

    def _message(self, message: Data | Void | None, place: int) -> Data | Void:
        found = message or self._read(place)
        if found is None:
            raise ShelfUnreadable("A message can't be read from the shelf for now. Nothing changed: the log has it.")
        return found

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base: the next numbers, and all that is kept, acknowledged or not.

        Raises: ShelfUnreadable.
        """
        numbers = tuple((receiver, line.next_number) for receiver, line in self._lines.items())
        return {"numbers": numbers, "outbox": tuple(self._held_out())}

    def load(self, base: BaseRecord) -> None:
        """Take in this part's slice of a base."""
        for receiver, number in base.numbers:
            self._line(receiver).next_number = number
        for out in base.outbox:
            if out.consumer is None:
                self.add(out.receiver, out.step, out.incarnation, out.number, out.message)
            else:
                name = out.incarnation, out.number
                self._line(out.receiver).consumed[name] = Consumed(out.step, out.message, NOWHERE, out.consumer)

    # -- looking ---------------------------------------------------------------------------------------------------

    def owed(self, agents: Container[AgentId]) -> list[AgentId]:
        """Return those of `agents` for whom something waits here."""
        return [receiver for receiver, line in self._lines.items() if len(line) and receiver in agents]

    def unsent(self) -> int:
        """Return how many messages are not acknowledged."""
        return self.count

    def shelved(self) -> int:
        """Return how many of them lie on the shelf, and were not brought from there."""
        return sum(len(line.far) for line in self._lines.values())

    def owing(self) -> dict[AgentId, int]:
        """Return how many messages each receiver has not acknowledged."""
        return {receiver: len(line) for receiver, line in self._lines.items() if len(line)}

    def _line(self, receiver: AgentId) -> Unacked:
        line = self._lines.get(receiver)
        if line is None:
            line = self._lines[receiver] = Unacked(self._limits)
        return line

    def _removed(self, receiver: AgentId, line: Unacked, item: Item) -> None:
        self.count -= 1
        line.removed(item)
        if line.due_us is None:
            self._timed.pop(receiver, None)
        if item.step is not None:
            left = self._by_step.get(item.step, {})
            left.pop(item, None)
            if not left:
                self._by_step.pop(item.step, None)

    def _drop(self, place: int) -> None:
        if place != NOWHERE:
            self._shelf.drop(place)

    def check(self) -> None:
        """Assert that all is counted, and that what is held is what a rollback freezes."""
        assert self.count == sum(len(line) for line in self._lines.values())
        for line in self._lines.values():
            line.check()
        for step, items in self._by_step.items():
            assert all(item.held == self._holds.get(step, 0) for item in items)
        due = [receiver for receiver, line in self._lines.items() if line.due_us is not None]
        assert sorted(self._timed) == sorted(due)
