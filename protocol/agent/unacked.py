"""What one receiver has not acknowledged: what is at hand, in order, and what is far behind it (CL-5).

How long an acknowledgment is waited for follows how long those before it took: a receiver that is busy is not given
more to do. Where nobody can tell which sending was acknowledged nothing is measured (Karn), and the wait stays as it
has grown. After a wait in vain all that is under way counts as missing: a batch of it is sent again, so that a dead
receiver costs little, and from then on each acknowledgment makes room for two, so what has piled up drains as fast as
its receiver takes it. One for what was not sent again shows that nothing else is missing. Sources: RFC 6298 (waits),
RFC 5681 (slow start), RFC 4015 (the end of a wait that was too short).

Voids are outside the window: one may be acknowledged only after those that follow from it (EF-6), so a window that they
could fill would never open again.
"""

from typing import NamedTuple

from protocol.agent.shelved import Shelved
from protocol.ids import StepId
from protocol.limits import Limits
from protocol.message import Data, Void
from protocol.step import Consumer

NOWHERE = -1
"""The place of what was never put on the shelf."""


class Item:
    """A message at hand."""

    __slots__ = (
        "again", "held", "incarnation", "message", "missing", "number", "place", "released", "sent", "sent_us", "step",
    )  # fmt: skip

    def __init__(
        self, step: StepId | None, incarnation: int, number: int, message: Data | Void | None, place: int = NOWHERE
    ) -> None:
        self.step = step
        self.incarnation = incarnation
        self.number = number
        self.message = message
        """None: it lies on the shelf, and is read each time it is sent."""
        self.place = place
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


class Consumed(NamedTuple):
    """An acknowledged message, until its consumer is settled."""

    step: StepId | None
    message: Data | Void | None
    """None: it lies on the shelf."""
    place: int
    consumer: Consumer


class Unacked:
    """What one receiver has not acknowledged, in order."""

    __slots__ = (
        "_limits", "consumed", "due_us", "far", "is_stuck", "items", "missing", "next_number", "room", "strays_us",
        "takes_us", "under_way", "void_room", "voids", "voids_under_way", "wait_us",
    )  # fmt: skip

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.room = limits.window
        """How many may be under way."""
        self.voids: dict[tuple[int, int], Item] = {}
        """Those of the items that are voids, and not under way."""
        self.void_room = 0
        """How many of them that are missing may be sent again now."""
        self.voids_under_way = 0
        self.missing = 0
        self.items: dict[tuple[int, int], Item] = {}
        """What is at hand: all but what is far behind."""
        self.far = Shelved()
        self.is_stuck = False
        """Something that is to be sent can't be read from the shelf for now."""
        self.consumed: dict[tuple[int, int], Consumed] = {}
        self.next_number = 1
        self.due_us: int | None = None
        self.wait_us = 0
        self.under_way = 0
        self.takes_us = 0
        """How long an acknowledgment takes, smoothed; 0: none has come."""
        self.strays_us = 0
        """How far it strays from that."""

    def __len__(self) -> int:
        return len(self.items) + len(self.far)

    # -- sending ---------------------------------------------------------------------------------------------------

    def sendable(self) -> list[Item]:
        """Return what may be sent now of what is at hand: voids, and messages as far as there is room."""
        voids = [item for item in self.voids.values() if item.released and not item.held]
        fresh = [item for item in voids if not item.missing]
        # By turns, those that were sent longest ago first: those that have come wait there for the others.
        again = sorted((item for item in voids if item.missing), key=lambda item: item.sent_us)[: self.void_room]
        self.void_room -= len(again)
        found = [*again, *fresh]
        room = self.spare()
        for item in self.items.values():
            if room <= 0:
                break
            if item.released and not item.held and not item.sent and not item.is_void:
                room -= 1
                found.append(item)
        return found

    def spare(self) -> int:
        """Return how many more may be under way."""
        return self.room - (self.under_way - self.voids_under_way)

    def leaves(self, item: Item, now_us: int) -> None:
        """One is sent."""
        self.missing -= item.missing
        self.under_way += 1
        if item.is_void:
            self.voids_under_way += 1
            del self.voids[item.incarnation, item.number]
        item.again = item.missing
        item.sent, item.sent_us, item.missing = True, now_us, False

    def wait(self, now_us: int) -> bool:
        """Begin to wait for what is under way, or for the shelf; True if that is news."""
        if self.due_us is not None:
            return False
        self.wait_us = self.wait_us or self._limits.resend_us
        self.due_us = now_us + self.wait_us
        return True

    def missed(self) -> None:
        """A wait was in vain: what is under way is to be sent again, a batch at first."""
        self.wait_us = min(2 * self.wait_us, self._limits.resend_us_max)
        self.room = self.void_room = self._limits.resend_batch
        self.due_us = None
        for name, item in self.items.items():
            if item.sent:
                item.sent, item.missing = False, True
                if item.is_void:
                    self.voids[name] = item
        self.missing += self.under_way
        self.under_way = self.voids_under_way = 0

    # -- acknowledgments -------------------------------------------------------------------------------------------

    def acked(self, item: Item, now_us: int) -> None:
        """One that was at hand, and is `removed`, is acknowledged."""
        if item.sent and not item.again:
            self._measured(now_us - item.sent_us)
        if item.missing and self.missing:
            self._found()
        self.makes_room(now_us)

    def makes_room(self, now_us: int) -> None:
        """An acknowledgment has come: for each there is room for two."""
        self.room = min(self.room + 1, self._limits.window)
        self.void_room = min(self.void_room + 2, self._limits.window)
        if self.due_us is not None:
            # Those behind it were sent later.
            self.due_us = now_us + self.wait_us

    def _measured(self, took_us: int) -> None:
        """Wait for the next as long as it may take."""
        if not self.takes_us:
            self.takes_us, self.strays_us = took_us, took_us // 2
        else:
            self.strays_us += (abs(self.takes_us - took_us) - self.strays_us) // 4
            self.takes_us += (took_us - self.takes_us) // 8
        limits = self._limits
        self.wait_us = min(max(self.takes_us + 4 * self.strays_us, limits.resend_us), limits.resend_us_max)

    def _found(self) -> None:
        """One that counted as missing, and was not sent again, is acknowledged: the others are under way still."""
        for name, item in self.items.items():
            if item.missing:
                item.sent, item.missing = True, False
                if item.is_void:
                    self.voids_under_way += 1
                    del self.voids[name]
        self.under_way += self.missing
        self.missing = 0
        self.room = self._limits.window

    # -- what is at hand -------------------------------------------------------------------------------------------

    def keep(self, item: Item) -> None:
        """Have a message at hand."""
        name = item.incarnation, item.number
        self.items[name] = item
        if item.is_void:
            self.voids[name] = item

    def removed(self, item: Item) -> None:
        """One is not among the items any more."""
        self.voids.pop((item.incarnation, item.number), None)
        if item.sent:
            self.under_way -= 1
            self.voids_under_way -= item.is_void
        self.missing -= item.missing
        if self.under_way == 0:
            self.due_us = None

    def empties(self, item: Item) -> None:
        """Of one only the place is left, which is a void."""
        if not item.is_void:
            self.voids_under_way += item.sent
            if not item.sent:
                self.voids[item.incarnation, item.number] = item
        item.message = Void(item.incarnation, item.number, "", False)
        item.step = None
        item.held = 0
        item.released = True

    def check(self) -> None:
        """Assert that what is under way is counted, and that nothing left before it was durable."""
        assert self.under_way == sum(1 for item in self.items.values() if item.sent)
        voids = {name: item for name, item in self.items.items() if item.is_void}
        assert self.voids_under_way == sum(1 for item in voids.values() if item.sent)
        assert self.voids == {name: item for name, item in voids.items() if not item.sent}
        assert self.missing == sum(1 for item in self.items.values() if item.missing)
        assert all(item.released for item in self.items.values() if item.sent or item.missing)
        assert all(item.message is not None or item.place != NOWHERE for item in self.items.values())
        assert not any(far.name in self.items for far in self.far.all()), "at hand and far at once"
        self.far.check()
