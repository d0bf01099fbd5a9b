"""What has arrived: order per sender, one handling each, and places that rollbacks leave empty (CL-3, CL-4).

A channel is one sender's incarnation. Its numbers are *settled* when their consumption (or their void) is durable,
*pending* while delivered but not settled, *parked* while they belong to an undecided cone: order passes over them.
Deciding what to handle next is left to others; the inbox only keeps the order of places.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from protocol.ids import AgentId
from protocol.interval import IntervalSet
from protocol.limits import SOURCES_MAX
from protocol.message import Void
from protocol.records import BaseRecord
from protocol.step import EXTERNAL, Input

Item = Input | Void


class _Channel:
    __slots__ = ("arrived", "cursor", "parked", "pending", "settled")

    def __init__(self) -> None:
        self.settled = IntervalSet()
        self.arrived: dict[int, Item] = {}
        self.pending: set[int] = set()
        self.parked: set[int] = set()
        self.cursor = 1

    def is_delivered(self, number: int) -> bool:
        return number in self.pending or number in self.settled


class Inbox:
    """The inputs of one agent, by sender and in the order in which they are to be handled."""

    def __init__(self) -> None:
        self._channels: dict[tuple[AgentId, int], _Channel] = {}
        self._ready: list[tuple[int, int, Input]] = []
        self._pushes = 0
        self._place = 0

    # -- arrival ---------------------------------------------------------------------------------------------------

    def arrive(self, sender: AgentId, incarnation: int, number: int, item: Item) -> list[Item] | None:
        """Take in one numbered item.

        Returns: what can be delivered now, in order; None if it was delivered before.
        """
        channel = self._channel(sender, incarnation)
        if channel.is_delivered(number):
            return None
        if number in channel.arrived:
            return []
        channel.arrived[number] = item
        if number < channel.cursor and number not in channel.parked:
            return [self._deliver(channel, number)]
        return self._advance(channel)

    def is_settled(self, sender: AgentId, incarnation: int, number: int) -> bool:
        """Tell whether the consumption or void of a number is durable."""
        return number in self._channel(sender, incarnation).settled

    def is_ahead(self, sender: AgentId, incarnation: int, number: int) -> bool:
        """Tell whether an earlier number has not come yet."""
        return number > self._channel(sender, incarnation).cursor

    def next_number(self, sender: AgentId) -> int:
        """Return the number that an external source's next input must have."""
        channel = self._channels[sender, 0] = self._channels.pop((sender, 0), None) or _Channel()
        return channel.cursor

    def settle(self, sender: AgentId, incarnation: int, number: int) -> list[Item]:
        """Note that a number is consumed or void for good; return what can be delivered for that."""
        channel = self._channel(sender, incarnation)
        channel.settled.add(number)
        channel.pending.discard(number)
        channel.parked.discard(number)
        channel.arrived.pop(number, None)
        return self._advance(channel)

    def forget(self, sender: AgentId, incarnation: int) -> None:
        """Drop what waits for an earlier number of a lost life: what survives of it will be sent again."""
        self._channel(sender, incarnation).arrived.clear()

    def park(self, sender: AgentId, incarnation: int, number: int) -> list[Item]:
        """Let order pass over a number that belongs to an undecided cone."""
        channel = self._channel(sender, incarnation)
        if not channel.is_delivered(number):
            channel.parked.add(number)
        return self._advance(channel)

    def unpark(self, sender: AgentId, incarnation: int, number: int) -> list[Item]:
        """Take a number back into the order, late if it must be: the cone was not undone."""
        channel = self._channel(sender, incarnation)
        if number not in channel.parked:
            return []
        channel.parked.discard(number)
        if number in channel.arrived and number < channel.cursor:
            return [self._deliver(channel, number)]
        return self._advance(channel)

    def _channel(self, sender: AgentId, incarnation: int) -> _Channel:
        channel = self._channels.get((sender, incarnation))
        if channel is None:
            channel = self._channels[sender, incarnation] = _Channel()
        return channel

    def _deliver(self, channel: _Channel, number: int) -> Item:
        channel.pending.add(number)
        return channel.arrived.pop(number)

    def _advance(self, channel: _Channel) -> list[Item]:
        delivered: list[Item] = []
        while True:
            number = channel.cursor
            if not channel.is_delivered(number) and number not in channel.parked:
                if number not in channel.arrived:
                    return delivered
                delivered.append(self._deliver(channel, number))
            channel.cursor += 1

    # -- the order of handling -------------------------------------------------------------------------------------

    def new_place(self) -> int:
        """Return the place of the next input in the agent's first order."""
        self._place += 1
        return self._place

    def see_place(self, place: int) -> None:
        """Note a place that was given in an earlier life."""
        self._place = max(self._place, place)

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base: by channel, which numbers are consumed or void for good."""
        self._forget_sources()
        channels = tuple((*name, channel.settled.intervals()) for name, channel in self._channels.items())
        return {"place": self._place, "channels": channels}

    def _forget_sources(self) -> None:
        """Forget the external sources that were not used for the longest time, above a bound (ST-10)."""
        sources = [name for name in self._channels if name[0].startswith(EXTERNAL)]
        for name in sources[: max(0, len(sources) - SOURCES_MAX)]:
            channel = self._channels[name]
            if not (channel.pending or channel.arrived or channel.parked):
                del self._channels[name]

    def load(self, base: BaseRecord) -> None:
        """Take in this part's slice of a base."""
        self._place = base.place
        for sender, incarnation, intervals in base.channels:
            channel = self._channel(sender, incarnation)
            channel.settled = IntervalSet(intervals)
            self._advance(channel)

    def line(self) -> list[Input]:
        """Return the inputs in line, in order."""
        return [entry[2] for entry in sorted(self._ready, key=lambda entry: entry[:2])]

    def push(self, item: Input) -> None:
        """Put an input in line at its place: what a rollback gives back comes before what is newer."""
        self._pushes += 1
        heappush(self._ready, (item.place, self._pushes, item))

    def pop(self) -> Input | None:
        """Take the next input in line, or None."""
        return heappop(self._ready)[2] if self._ready else None

    def take(self, fits: Callable[[Input], bool]) -> Input | None:
        """Take the input that fits out of the line, or None if it is not there."""
        for at, (_, _, item) in enumerate(self._ready):
            if fits(item):
                self._ready[at] = self._ready[-1]
                self._ready.pop()
                self._ready.sort(key=lambda entry: entry[:2])
                return item
        return None

    def waiting(self) -> int:
        """Return how many inputs are in line or wait for an earlier one."""
        return len(self._ready) + sum(len(channel.arrived) for channel in self._channels.values())

    def check(self) -> None:
        """Assert that no number is delivered and waiting at once."""
        for channel in self._channels.values():
            assert not (channel.pending & channel.arrived.keys())
            assert not any(channel.is_delivered(number) for number in channel.parked)
