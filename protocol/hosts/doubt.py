"""One host's doubt about another, and how long it waits to be refuted (MB-5).

Source: Dadgar, Phillips and Currey 2018 (Lifeguard), section IV B.
"""

from msgspec import Struct

from protocol.ids import HostId
from protocol.limits import HostLimits

SHRUNK_PERMILLE = ((1000,), (0, 1000), (0, 631, 1000), (0, 500, 792, 1000))
"""log(c + 1) / log(k + 1): by how much c doubts of others, of k awaited, shorten a doubt. A table: no floats decide."""


class Doubt(Struct):
    """Who shares it, and until when it waits."""

    began_us: int
    by: dict[HostId, None]
    until_us: int = 0
    asked_again: bool = False

    def shares(self, by: HostId, hosts: int, limits: HostLimits) -> bool:
        """Somebody has the same doubt, among `hosts`; True if that is news and still counts."""
        if by in self.by or len(self.by) > _awaited(hosts, limits):
            return False
        self.by[by] = None
        self.until_us = self.began_us + _patience_us(len(self.by) - 1, hosts, limits)
        return True


def _awaited(hosts: int, limits: HostLimits) -> int:
    """Return how many doubts of others can be waited for: among few hosts none."""
    most = min(limits.confirmations, len(SHRUNK_PERMILLE) - 1)
    return most if hosts - 2 >= most else 0


def _patience_us(confirmations: int, hosts: int, limits: HostLimits) -> int:
    # log10 of the hosts, in tenths: three for each bit.
    least = limits.suspicion_periods * limits.probe_us * max(10, 3 * hosts.bit_length()) // 10
    shrunk = SHRUNK_PERMILLE[_awaited(hosts, limits)][confirmations]
    return least + least * (limits.suspicion_stretch - 1) * (1000 - shrunk) // 1000
