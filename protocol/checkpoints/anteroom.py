"""Where frames of hosts wait until their senders are written down: nothing of them is handled before (CP-3)."""

from collections import deque
from collections.abc import Callable
from typing import Any

from protocol.ids import HostId

HELD_MAX = 256
"""Frames of one host that wait; older ones are dropped, and come again."""


class Anteroom:
    """The frames that wait on one host; what is in them is for the host to know."""

    def __init__(self) -> None:
        self._held: dict[HostId, deque[Any]] = {}

    def hold(self, sender: HostId, what: Any) -> None:
        """Let something wait."""
        self._held.setdefault(sender, deque(maxlen=HELD_MAX)).append(what)

    def leave(self, takes: Callable[[HostId], bool]) -> list[tuple[HostId, Any]]:
        """Return, once, what need not wait any more, by its sender."""
        return [(host, what) for host in list(self._held) if takes(host) for what in self._held.pop(host)]
