"""Hosts of the last views of which this one has not heard in this life, such as those that were put out before it.

Nobody says of them that they have failed, since nothing is heard of who they are. Without that a majority of hosts that
were started again would never promise their succession (CP-8).
"""

from collections.abc import Callable
from typing import Protocol

from peer.ports import Cancel, Clock
from protocol.checkpoints.succession import Succession
from protocol.fact import HostFact
from protocol.ids import HostId


class House(Protocol):
    """What this needs of the host."""

    host_id: HostId
    clock: Clock

    def known_hosts(self) -> list[HostFact]:
        """Return what is known of the other hosts, whether they answer or not."""
        ...

    def living(self) -> list[HostId]:
        """Return the other hosts that have agents, and answer."""
        ...


class Absentees:
    """Those of one host's views.

    Args:
        house: the host.
        succession: knows who is in the views.
        period_us: how often it is looked; whoever is not known at two looks has failed.
        turned: told that a host has `failed`, and that it has `recovered`, which is known then.
    """

    def __init__(
        self, house: House, succession: Succession, period_us: int, turned: Callable[[HostId, str], None]
    ) -> None:
        self._house = house
        self._succession = succession
        self._period_us = period_us
        self._turned = turned
        self._missing: dict[HostId, None] = {}
        self._failed: dict[HostId, None] = {}
        self._timer: Cancel | None = None

    def open(self) -> None:
        """Begin to look."""
        self._timer = self._house.clock.wake(self._house.clock.now_us() + self._period_us, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer()

    def _look(self) -> None:
        self.open()
        house = self._house
        known, living = {house.host_id, *(fact.host for fact in house.known_hosts())}, frozenset(house.living())
        for host in [host for host in self._failed if host in known]:
            del self._failed[host]
            if host in living:  # of one that is known and does not answer membership tells
                self._turned(host, "recovered")
        missing = [host for host in self._succession.members() if host not in known and host not in self._failed]
        for host in missing:
            if host in self._missing:
                self._failed[host] = None
                self._turned(host, "failed")
        self._missing = dict.fromkeys(missing)
