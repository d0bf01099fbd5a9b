"""The inputs of one agent that wait for their turn: in line by place, for a decision, or after a failure (ST-8, RB-7).

While a log is read again they are only noted: what is left of them then waits.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from protocol.agent.inbox import Inbox
from protocol.ids import Lineage, MessageId
from protocol.step import Input


class Line:
    """What waits to be handled; the inbox has those whose turn it may be."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.deferred: list[Input] = []
        """Inputs that wait for the decision of a proposal."""
        self.failed: list[tuple[int, int, Input]] = []
        """Inputs whose handler failed, by when they are tried again, and by place: a heap."""
        self.outside: list[Input] = []
        """Inputs from outside that wait until others have taken what the agent has sent (ST-13)."""
        self._replayed: dict[Lineage, Input] | None = None
        """While a log is read again: what is in line so far."""

    def put(self, item: Input) -> None:
        """Put an input in line at its place."""
        if self._replayed is not None:
            self._replayed[item.lineage] = item
        else:
            self._inbox.push(item)

    def defer(self, item: Input) -> None:
        """An input waits for the decision of a proposal."""
        self.deferred.append(item)

    def undefer(self) -> None:
        """Something was decided: everything that waits for a decision is looked at again, in its order."""
        waiting, self.deferred = self.deferred, []
        for item in waiting:
            self.put(item)

    def hold_back(self, item: Input) -> None:
        """An input from outside waits until others have taken what the agent has sent."""
        self.outside.append(item)

    def try_again(self, item: Input, at_us: int) -> None:
        """An input whose handler has failed waits until then; see `look`."""
        heappush(self.failed, (at_us, item.place, item))

    def look(self, now_us: int, has_room: bool) -> None:
        """Put in line what has waited long enough after its handler failed, and what was held back if there is room."""
        while self.failed and self.failed[0][0] <= now_us:
            self.put(heappop(self.failed)[2])
        if has_room and self.outside:
            waiting, self.outside = self.outside, []
            for item in waiting:
                self.put(item)

    def retry_us(self) -> int | None:
        """Return when `look` is due; None if nothing has failed."""
        return self.failed[0][0] if self.failed else None

    def left(self, lineage: Lineage) -> None:
        """A record tells that an input was handled: while a log is read again it may still be in line."""
        if self._replayed is not None:
            self._replayed.pop(lineage, None)

    def take_back(self, lineage: Lineage) -> Input | None:
        """Take an input that waits out of the line, or None if it is not there."""
        if self._replayed is not None:
            return self._replayed.pop(lineage, None)
        return self._take(lambda item: item.lineage == lineage)

    def withdraw(self, message: MessageId) -> None:
        """Take a message out of the line: nobody is to handle it now (TI-2)."""
        taken = self._take(lambda item: item.message == message)
        assert taken is not None, f"{message} is not in line"

    def _take(self, fits: Callable[[Input], bool]) -> Input | None:
        for some in (self.deferred, self.outside):
            for at, item in enumerate(some):
                if fits(item):
                    return some.pop(at)
        for at, (_, _, item) in enumerate(self.failed):
            if fits(item):
                del self.failed[at]
                heapify(self.failed)
                return item
        return self._inbox.take(fits)

    def replay(self) -> None:
        """A log is read again from here on."""
        self._replayed = {}

    def replayed(self) -> None:
        """The log is read: what is still in line waits to be handled."""
        waiting, self._replayed = self._replayed or {}, None
        for item in waiting.values():
            self._inbox.push(item)

    def waiting(self) -> list[Input]:
        """Return every input that waits, in no order."""
        return [*self._inbox.line(), *self.deferred, *self.outside, *(entry[2] for entry in self.failed)]

    def count(self) -> int:
        """Return how many inputs wait."""
        return self._inbox.waiting() + len(self.deferred) + len(self.outside) + len(self.failed)
