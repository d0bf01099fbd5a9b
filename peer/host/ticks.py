"""Sees to it that each `@every` method of an agent has a next time.

The steps themselves set it anew, each the next. But there must be a first one, and whoever discards a step of that
chain, or restores a cluster to before it, or lets it fail, has ended it. So an agent's host looks, as often as the
method runs, and hands in an input that sets it where nothing else will.
"""

from collections.abc import Callable, Mapping

from peer.agents import envelope
from peer.agents.every import timer_key
from peer.ports import Cancel, Clock
from protocol.agent.machine import PeerMachine
from protocol.event import Event, Submitted
from protocol.step import EXTERNAL

LOOK_US_MIN = 1_000_000
"""From one look to the next, however often a method runs."""


class Ticks:
    """The `@every` methods of one agent."""

    def __init__(
        self, everies: Mapping[str, float], machine: PeerMachine, clock: Clock, feed: Callable[[Event], None],
        is_there: Callable[[], bool],
    ) -> None:  # fmt: skip
        """Begin; `start` looks for the first time.

        Args:
            everies: by method, how many seconds apart it runs.
            machine: the agent's.
            clock: the host's.
            feed: takes events for the machine.
            is_there: tells whether the agent handles what comes; if not, nothing is set.
        """
        self._everies = {name: round(seconds * 1_000_000) for name, seconds in everies.items()}
        self._machine, self._clock, self._feed = machine, clock, feed
        self._is_there = is_there
        self._cancels: dict[str, Cancel] = {}

    def start(self) -> None:
        """Look after all of them, from now on."""
        for name in self._everies:
            self._look(name)

    def hurry(self) -> None:
        """Look now: the agent has come to be there."""
        if self._cancels:
            self.stop()
            self.start()

    def stop(self) -> None:
        """Look no more."""
        for cancel in self._cancels.values():
            cancel()
        self._cancels.clear()

    def _look(self, name: str) -> None:
        wait_us = self._everies[name]
        if self._is_there() and not self._is_set(name, wait_us):
            source = f"every/{name}"
            number = self._machine.core.inbox.next_number(EXTERNAL + source)
            self._feed(Submitted(0, source, number, (envelope.sealed(envelope.EVERY, [name, False]),)))
        at_us = self._clock.now_us() + max(wait_us, LOOK_US_MIN)
        self._cancels[name] = self._clock.wake(at_us, lambda: self._look(name))

    def _is_set(self, name: str, wait_us: int) -> bool:
        """Tell whether it will run: in time, as the method says now, or as what is in line already."""
        due_us = self._machine.core.timers.key_due_us(timer_key(name))
        if due_us is not None and due_us <= self._clock.now_us() + wait_us:
            return True
        known = [envelope.sealed(envelope.EVERY, [name, is_due]) for is_due in (True, False)]
        return any(item.payload in known for item in self._machine.stepping.waiting())
