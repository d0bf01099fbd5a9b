"""How long an answer of a host is waited for before it is asked again: as long as those before it have taken."""

from collections.abc import Iterator

from protocol.ids import HostId

FIRST_S = 0.5
"""How soon who has not answered is asked again, where nothing is known."""
MOST_S = 2.0
"""How long at most, unless its answers take longer."""


class Patience:
    """What one host has seen of how long others take to answer (RFC 6298).

    Where a question was asked more than once nobody can tell which was answered, and nothing is measured (Karn): the
    wait stays as it has grown, until an answer comes in time again.
    """

    def __init__(self) -> None:
        self._takes_s: dict[HostId, tuple[float, float]] = {}

    def took(self, host: HostId, seconds: float) -> None:
        """Note how long an answer has taken."""
        takes_s, strays_s = self._takes_s.get(host, (seconds, seconds / 2))
        strays_s += (abs(takes_s - seconds) - strays_s) / 4
        self._takes_s[host] = (takes_s + (seconds - takes_s) / 8, strays_s)

    def was_late(self, host: HostId, seconds: float) -> None:
        """Note that an answer has come so long after it was asked for first, and that it was asked for again."""
        takes_s, strays_s = self._takes_s.get(host, (0.0, 0.0))
        self._takes_s[host] = (max(takes_s, seconds), strays_s)

    def waits(self, host: HostId | None) -> Iterator[float]:
        """Give how long to wait before it is asked again, and again."""
        takes_s, strays_s = self._takes_s.get(host, (0.0, 0.0)) if host is not None else (0.0, 0.0)
        first_s = max(FIRST_S, takes_s + 4 * strays_s)
        return doubling(first_s, max(MOST_S, first_s))


def doubling(seconds: float, most_s: float) -> Iterator[float]:
    """Give waits that double, up to a bound."""
    while True:
        yield seconds
        seconds = min(2 * seconds, most_s)
