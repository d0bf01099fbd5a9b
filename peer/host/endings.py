"""Tells an agent how the rollbacks have ended that its handlers have proposed, each once (RB-14).

What tells it is an input from outside, from a source of its own for each proposal. So it is taken on once, whoever
crashes, and hangs on nothing: a rollback that undoes the step which has proposed it does not undo this.
"""

from collections.abc import Callable

from peer.agents.rolled_back import told_of
from peer.ports import Cancel, Clock
from protocol.agent.machine import PeerMachine
from protocol.event import Event, Submitted
from protocol.records import OutcomeRecord
from protocol.step import EXTERNAL

AGAIN_US = 1_000_000
"""How soon it is tried again where as many inputs wait as may."""


class Endings:
    """What one agent is to hear of its own proposals.

    Args:
        machine: the agent's.
        clock: the host's.
        feed: takes events for the machine.
    """

    def __init__(self, machine: PeerMachine, clock: Clock, feed: Callable[[Event], None]) -> None:
        self._machine, self._clock, self._feed = machine, clock, feed
        self._cancels: dict[str, Cancel] = {}

    def look(self) -> None:
        """Tell what is in the log, and the agent has not been told."""
        for outcome in list(self._machine.proposer.outcomes.values()):
            self.ended(outcome)

    def ended(self, outcome: OutcomeRecord) -> None:
        """A proposal is over, and that is durable."""
        source = f"rollback/{outcome.proposal}"
        self._cancels.pop(source, None)
        if not outcome.then or self._is_taken(source):
            return
        self._feed(Submitted(0, source, 1, (told_of(outcome),)))
        if not self._is_taken(source):
            at_us = self._clock.now_us() + AGAIN_US
            self._cancels[source] = self._clock.wake(at_us, lambda: self.ended(outcome))

    def stop(self) -> None:
        """Tell nothing more."""
        for cancel in self._cancels.values():
            cancel()
        self._cancels.clear()

    def _is_taken(self, source: str) -> bool:
        return self._machine.core.inbox.next_number(EXTERNAL + source) > 1
