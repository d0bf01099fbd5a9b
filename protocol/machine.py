"""The interface of an agent's machine: events in, actions out.

The two machines of a host (`hosts.machine`, `checkpoints.machine`) are as pure, and take time as it does; but each of
theirs has a method for every event, since an event comes from one place there and its answer goes back to that. What
must hold of them is asserted by the worlds that they stand in.
"""

from typing import Protocol

from protocol.action import Action
from protocol.event import Event


class Machine(Protocol):
    """Pure and deterministic: time comes with each event, and nothing is done but what the actions say."""

    @property
    def deadline_us(self) -> int | None:
        """When to feed `Elapsed`; read after each event, so no timer is ever stale."""
        ...

    def handle(self, event: Event, now_us: int) -> list[Action]:
        """Take in one event. Total: bad remote input is a `Tell`, never an exception."""
        ...

    def check(self) -> None:
        """Assert the invariants; a world calls it after each event."""
        ...
