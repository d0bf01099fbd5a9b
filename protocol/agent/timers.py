"""Timers: outputs of an agent's steps to itself that are kept until they are due (TI-1, TI-2).

A request is kept here as well (RQ-1), and is *bound* once its agent has said that it may go with its group (RQ-4).
A timer is *set* from its step on, *in line* once it was due, and *gone* once a step has handled it, or it is a dead
letter. One that a step has cancelled is kept: it is set again if that step is undone, and gone once that step is final.
"""

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Any

from protocol.ids import Lineage, MessageId, StepId
from protocol.limits import NEVER_US
from protocol.records import BaseRecord, HeldTimer
from protocol.step import Grouped, Input, Request


class _Timer:
    __slots__ = ("approved", "bound", "cancelled_by", "due_us", "in_line", "item", "key", "request")

    def __init__(
        self, item: Input, due_us: int, key: str | None, cancelled_by: tuple[StepId, ...], request: Request | None
    ) -> None:
        self.item = item
        self.due_us = due_us
        self.key = key
        self.cancelled_by = dict.fromkeys(cancelled_by)
        """Surviving steps that have called it off: one may do so again after another, which may be undone."""
        self.in_line = False
        self.request = request
        self.approved: str | None = None
        """Who agrees that it is let go (RQ-3)."""
        self.bound = False
        """Nobody can call it off any more (RQ-4)."""

    @property
    def is_set(self) -> bool:
        return not self.cancelled_by and not self.in_line


class Timers:
    """What one agent has told itself for later, and has not handled yet."""

    def __init__(self) -> None:
        self._timers: dict[MessageId, _Timer] = {}
        self._by_key: dict[str, dict[MessageId, None]] = {}
        self._set_by: dict[StepId, list[MessageId]] = {}
        self._cancelled_by: dict[StepId, list[MessageId]] = {}
        self._due: list[tuple[int, int, MessageId]] = []
        """A heap; what is not set any more is passed over when its time comes."""
        self._pushes = 0
        self._requests: dict[Lineage, MessageId] = {}
        """Those that wait for a tool's answer, or have it, and that no step has handled."""
        self._fresh: dict[MessageId, None] = {}
        """Requests to which something has happened since they were last looked at."""
        self._grouped: dict[MessageId, None] = {}
        """Those of the requests that belong to groups."""

    def add(
        self, item: Input, due_us: int, key: str | None, cancelled_by: tuple[StepId, ...] = (),
        request: Request | None = None, approved: str | None = None,
    ) -> None:  # fmt: skip
        """Keep a timer until it is due."""
        message = item.message
        assert message is not None
        timer = self._timers[message] = _Timer(item, due_us, key, cancelled_by, request)
        timer.approved = approved
        if request is not None:
            self._requests[item.lineage] = message
            self._pushes += 1
            self._fresh[message] = None
            if request.group is not None:
                self._grouped[message] = None
        self._set_by.setdefault(message.producer, []).append(message)
        if key is not None:
            self._by_key.setdefault(key, {})[message] = None
        for step in cancelled_by:
            self._cancelled_by.setdefault(step, []).append(message)
        self._arm(message, timer)

    def _arm(self, message: MessageId, timer: _Timer) -> None:
        if timer.request is not None:
            self._fresh[message] = None
        if timer.is_set and timer.due_us != NEVER_US:
            self._pushes += 1
            heappush(self._due, (timer.due_us, self._pushes, message))

    # -- what becomes of them --------------------------------------------------------------------------------------

    def under(self, key: str) -> tuple[MessageId, ...]:
        """Return what stands under a key and is not handled, also what is cancelled: that may be undone."""
        return tuple(message for message in self._by_key.get(key, ()) if not self._timers[message].bound)

    def item(self, message: MessageId) -> Input:
        """Return a timer as the input that it will be."""
        return self._timers[message].item

    def cancel(self, step: StepId, message: MessageId) -> bool:
        """A step calls a timer off; return whether it was in line, which it has to leave."""
        timer = self._timers[message]
        timer.cancelled_by[step] = None
        self._cancelled_by.setdefault(step, []).append(message)
        was_in_line, timer.in_line = timer.in_line, False
        self._pushes += 1
        return was_in_line

    def gone(self, message: MessageId | None) -> None:
        """A message was handled, or is a dead letter: if it was a timer it does not come from here again."""
        timer = self._timers.pop(message, None) if message is not None else None
        if timer is None or message is None:
            return
        self._fresh.pop(message, None)
        self._grouped.pop(message, None)
        if self._requests.get(timer.item.lineage) == message:
            del self._requests[timer.item.lineage]
        _leave(self._set_by, message.producer, message)
        for step in timer.cancelled_by:
            _leave(self._cancelled_by, step, message)
        if timer.key is not None:
            self._by_key[timer.key].pop(message)
            if not self._by_key[timer.key]:
                del self._by_key[timer.key]

    def undone(self, step: StepId) -> None:
        """A step is undone: what it has set is gone, and what it has cancelled is set again."""
        for message in self._set_by.get(step, ())[:]:
            self.gone(message)
        for message in self._cancelled_by.pop(step, ()):
            timer = self._timers[message]
            del timer.cancelled_by[step]
            self._arm(message, timer)

    def final(self, step: StepId) -> None:
        """A step that stands can't be undone any more: nor can what it has cancelled come again (CP-6)."""
        for message in self._cancelled_by.get(step, ())[:]:
            self.gone(message)

    # -- time ------------------------------------------------------------------------------------------------------

    def due_us(self) -> int | None:
        """Return when the next timer is due; None without one."""
        while self._due and not self._is_set(self._due[0][2], self._due[0][0]):
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def take_due(self, now_us: int) -> list[Input]:
        """Return what is due, oldest first: it goes in line."""
        items: list[Input] = []
        while (due_us := self.due_us()) is not None and due_us <= now_us:
            timer = self._timers[heappop(self._due)[2]]
            timer.in_line = True
            self._pushes += 1
            items.append(timer.item)
        return items

    # -- requests --------------------------------------------------------------------------------------------------

    def requests(self, lineage: Lineage) -> bool:
        """Tell whether a lineage is that of a request that no step has handled."""
        return lineage in self._requests

    def has_requests(self) -> bool:
        """Tell whether there is any request that no step has handled."""
        return bool(self._requests)

    def pushes(self) -> int:
        """Return a number that grows whenever a timer or a request is set, called off or due."""
        return self._pushes

    def requested(self) -> list[tuple[Input, Request]]:
        """Return the requests that nobody has called off, and whose answers are not there."""
        return self._waiting(self._requests.values())

    def take_fresh(self) -> list[tuple[Input, Request]]:
        """Return those of them to which something has happened since this was last called."""
        fresh, self._fresh = self._fresh, {}
        return self._waiting(fresh)

    def _waiting(self, messages: Iterable[MessageId]) -> list[tuple[Input, Request]]:
        timers = (self._timers[message] for message in messages)
        return [(each.item, each.request) for each in timers if each.request and each.is_set and each.due_us]

    def has_grouped(self) -> bool:
        """Tell whether any request of a group was not handled yet."""
        return bool(self._grouped)

    def grouped(self, now_us: int) -> list[tuple[Input, Grouped, str]]:
        """Return the requests of groups that no step has handled, each with why it does not wait any more, if so."""
        found: list[tuple[Input, Grouped, str]] = []
        for timer in (self._timers[message] for message in self._grouped):
            if timer.request is not None and timer.request.group is not None:
                ended = "it was called off" if timer.cancelled_by else ""
                is_due = timer.in_line or timer.due_us <= now_us
                found.append((timer.item, timer.request.group, ended or ("its time is over" if is_due else "")))
        return found

    def bind(self, lineage: Lineage, is_bound: bool = True) -> None:
        """From now on a request waits for its answer alone, and nobody calls it off; or somebody may again (RQ-4)."""
        message = self._requests.get(lineage)
        if message is not None:
            self._timers[message].bound = is_bound
            if is_bound and self._timers[message].due_us:
                self.put_off(message, NEVER_US)

    def approve(self, lineage: Lineage, by: str) -> None:
        """Somebody agrees that a request is let go, if it is there still."""
        message = self._requests.get(lineage)
        if message is not None:
            self._timers[message].approved = by
            self._pushes += 1
            self._fresh[message] = None

    def approved(self, lineage: Lineage) -> str | None:
        """Return who agrees that a request is let go; None: nobody yet."""
        return self._timers[self._requests[lineage]].approved

    def answered(self, lineage: Lineage) -> None:
        """What has come of a request is known: it is due, if it is there still."""
        message = self._requests.get(lineage)
        if message is not None:
            self.put_off(message, 0)

    def due_of(self, item: Input) -> int:
        """Return when a request is due."""
        return self._timers[self._requests[item.lineage]].due_us

    def put_off(self, message: MessageId, due_us: int) -> None:
        """Have a request wait until then, if it waits: for its answer, or no longer."""
        timer = self._timers.get(message)
        if timer is not None:
            timer.due_us = due_us
            self._arm(message, timer)

    def _is_set(self, message: MessageId, due_us: int) -> bool:
        timer = self._timers.get(message)
        return timer is not None and timer.is_set and timer.due_us == due_us

    def has(self, message: MessageId | None) -> bool:
        """Tell whether a message is a timer that nobody has handled yet."""
        return message in self._timers

    def waiting(self) -> list[Input]:
        """Return what is set, as the inputs that it will be."""
        return [timer.item for timer in self._timers.values() if timer.is_set]

    def count(self) -> int:
        """Return how many timers are set."""
        return sum(timer.is_set for timer in self._timers.values())

    def key_due_us(self, key: str) -> int | None:
        """Return when what is set under a key is due; None if nothing is."""
        found = [self._timers[message] for message in self.under(key)]
        return min((timer.due_us for timer in found if timer.is_set), default=None)

    # -- bases -----------------------------------------------------------------------------------------------------

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base: what is in line and was never handled is due again after a restart."""
        return {
            "timers": tuple(
                HeldTimer(timer.item, timer.due_us, timer.key, tuple(timer.cancelled_by), timer.request, timer.approved)
                for timer in self._timers.values()
            )
        }

    def load(self, base: BaseRecord) -> None:
        """Take in this part's slice of a base."""
        for held in base.timers:
            self.add(held.input, held.due_us, held.key, held.cancelled_by, held.request, held.approved)

    def check(self) -> None:
        """Assert that every timer that is set has its time."""
        armed = {message for _, _, message in self._due}
        timed = [message for message, timer in self._timers.items() if timer.is_set and timer.due_us != NEVER_US]
        assert all(message in armed for message in timed)


def _leave(index: dict[StepId, list[MessageId]], step: StepId, message: MessageId) -> None:
    index[step].remove(message)
    if not index[step]:
        del index[step]
