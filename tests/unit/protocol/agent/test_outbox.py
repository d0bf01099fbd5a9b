"""An outbox that keeps few messages at hand is, to everybody else, the same as one that has them all in memory."""

from random import Random

import pytest

from protocol.agent.outbox import Outbox
from protocol.agent.shelf import MemoryShelf
from protocol.errors import ShelfUnreadable
from protocol.ids import StepId
from protocol.limits import Limits
from protocol.message import Data, Void
from protocol.records import HeldOut
from protocol.step import Consumer, Input

FEW = Limits(window=3, at_hand=2, resend_batch=2)
MANY = Limits(window=3, resend_batch=2)


class Pair:
    """The same done to two outboxes, one of which has a shelf that it needs."""

    def __init__(self, seed: int) -> None:
        self.rng, self.now_us, self.seq, self.incarnation = Random(seed), 0, 0, 1
        self.shelf = MemoryShelf()
        self.few, self.many = Outbox(FEW, self.shelf), Outbox(MANY, MemoryShelf())
        self.steps: list[StepId] = []
        self.held: list[StepId] = []
        self.waiting: list[tuple[str, int, int]] = []
        self.shelved = 0

    @property
    def both(self) -> tuple[Outbox, Outbox]:
        return self.few, self.many

    def step(self) -> None:
        """A step sends some messages, and perhaps a void."""
        self.seq += 1
        step = StepId("a", self.incarnation, self.seq)
        self.steps.append(step)
        names: list[tuple[str, int, int]] = []
        for index in range(self.rng.randint(1, 5)):
            receiver, is_void = self.rng.choice("bbc"), self.rng.random() < 0.1
            number = {box.number(receiver) for box in self.both}.pop()
            for box in self.both:
                item = Input("a", self.incarnation, number, b"%d" % number, "l", step, index)
                message = Void(self.incarnation, number, "l", True) if is_void else Data(item)
                box.add(receiver, None if is_void else step, self.incarnation, number, message)
            names.append((receiver, self.incarnation, number))
        for name in names if self.rng.random() < 0.9 else ():
            for box in self.both:
                box.release(*name)

    def send(self) -> None:
        """Time passes, and what is due is sent."""
        self.now_us += self.rng.choice((1_000, 300_000))
        for box in self.both:
            for receiver, message in box.send_due(self.now_us):
                name = _name(receiver, message)
                assert not (isinstance(message, Data) and message.input.producer in self.held), "it is frozen"
                if box is self.few and name not in self.waiting:
                    self.waiting.append(name)

    def ack(self) -> None:
        """Something that was sent is acknowledged: the other outbox may not have sent it yet, as after a crash."""
        if self.waiting:
            name = self.waiting.pop(self.rng.randrange(len(self.waiting)))
            consumer = Consumer(1, self.rng.randint(1, 50), self.rng.randint(0, 3))
            assert len({box.acked(*name, consumer, self.now_us) for box in self.both}) == 1

    def ack_unsent(self) -> None:
        """What an earlier life has sent is acknowledged."""
        some = [out for out in self.many.told()["outbox"] if out.consumer is None]
        if some:
            out = self.rng.choice(some)
            name = out.receiver, out.incarnation, out.number
            assert [box.acked(*name, Consumer(1, 7, 1), self.now_us) for box in self.both] == [True, True]

    def freeze(self) -> None:
        """A rollback freezes some steps, or one that has is decided."""
        if self.held and self.rng.random() < 0.5:
            step = self.held.pop()
            gone = self.rng.random() < 0.5
            for box in self.both:
                if gone:
                    box.drop([step])
                box.unhold([step])
        elif self.steps:
            self.held.append(self.rng.choice(self.steps))
            for box in self.both:
                box.hold(self.held[-1:])

    def lose(self) -> None:
        """A receiver loses steps, or this agent does by force."""
        first, receiver = self.rng.randint(1, 50), self.rng.choice("bc")
        undone = [step for step in self.steps if step.seq % 7 == 0 and step not in self.held]
        said = [sorted(box.empty(undone)) for box in self.both]
        assert said[0] == said[1]
        self.steps = [step for step in self.steps if step not in undone]
        for box in self.both:
            box.unack(receiver, 1, first, lambda step: step.seq % 7 == 0)

    def settle(self) -> None:
        """An epoch is committed."""
        for box in self.both:
            box.settle(2)

    def begin_anew(self) -> None:
        """This agent has a new incarnation."""
        self.incarnation += 1
        for box in self.both:
            box.restart_numbers()
        self.seq = 0

    def compare(self) -> None:
        """Both say the same."""
        for box in self.both:
            box.check()
        assert self.few.count == self.many.count
        assert self.few.owing() == self.many.owing()
        assert sorted(self.few.owed("bc")) == sorted(self.many.owed("bc"))
        assert _held(self.few) == _held(self.many)
        self.shelved = max(self.shelved, self.few.shelved())

    def drain(self) -> list[set[tuple[str, int, int]]]:
        """Let everything go; return what each has sent on the way."""
        sent: list[set[tuple[str, int, int]]] = []
        for box in self.both:
            box.unhold(self.held)
            box.release_all()
            seen: set[tuple[str, int, int]] = set()
            for turn in range(5000):
                if not box.count:
                    break
                assert turn < 4999, "it stands still"
                self.now_us = max(self.now_us + 1, box.deadline_us() or 0)
                for receiver, message in box.send_due(self.now_us):
                    seen.add(_name(receiver, message))
                    box.acked(*_name(receiver, message), Consumer(1, 1, 0), self.now_us)
            sent.append(seen)
        return sent


def _name(receiver: str, message: Data | Void) -> tuple[str, int, int]:
    item = message.input if isinstance(message, Data) else message
    return receiver, item.incarnation, item.number


def _held(box: Outbox) -> list[HeldOut]:
    return sorted(box.told()["outbox"], key=lambda out: (out.receiver, out.incarnation, out.number))


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_it_holds_and_sends_the_same(seed: int) -> None:
    pair = Pair(seed)
    doings = [pair.step] * 6 + [pair.send, pair.ack] * 3 + [pair.freeze] * 2
    doings += [pair.ack_unsent, pair.lose, pair.settle]
    for at in range(300):
        pair.rng.choice(doings)()
        if at == 150:
            pair.begin_anew()
        pair.compare()
    assert pair.shelved > 10
    few, many = pair.drain()
    assert few == many
    for box in pair.both:
        box.settle(9)
    assert pair.shelf.kept == {}, "nothing is left on a shelf that nobody asks for"


def waiting(count: int, shelf: MemoryShelf) -> Outbox:
    """An outbox in which messages of one step each wait for a receiver, all durable."""
    outbox = Outbox(FEW, shelf)
    for seq in range(1, count + 1):
        step = StepId("a", 1, seq)
        number = outbox.number("b")
        outbox.add("b", step, 1, number, Data(Input("a", 1, number, b"", "l", step)))
    outbox.release_all()
    return outbox


def test_what_comes_back_from_a_base_is_what_was_told() -> None:
    outbox = waiting(20, MemoryShelf())
    outbox.send_due(0)
    outbox.acked("b", 1, 1, Consumer(1, 1, 5))
    outbox.acked("b", 1, 17, Consumer(1, 2, 5))
    told = outbox.told()["outbox"]
    assert [out.number for out in told] == [*range(2, 17), 18, 19, 20, 1, 17]


class Shut(MemoryShelf):
    """It can't be read for a while."""

    is_shut = False

    def get(self, place: int) -> bytes | None:
        return None if self.is_shut else super().get(place)


def test_what_cannot_be_read_is_asked_for_again_and_nothing_is_told_without_it() -> None:
    shelf = Shut()
    outbox = waiting(8, shelf)
    assert [message.input.number for _, message in outbox.send_due(0) if isinstance(message, Data)] == [1, 2, 3]
    shelf.is_shut = True
    with pytest.raises(ShelfUnreadable):
        outbox.told()
    for number in (1, 2, 3):
        outbox.acked("b", 1, number, Consumer(1, 1, 0), 10)
    assert outbox.send_due(10) == []
    due_us = outbox.deadline_us()
    assert due_us is not None
    assert outbox.send_due(due_us) == []
    shelf.is_shut = False
    due_us = outbox.deadline_us()
    assert due_us is not None
    assert [message.input.number for _, message in outbox.send_due(due_us) if isinstance(message, Data)] == [4, 5]
    outbox.check()
