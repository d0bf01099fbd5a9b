"""Which wire version each of the other hosts speaks, as it has said last: two releases side by side (CL-8).

It is agreed on by each two hosts alone. Every frame tells the newest version that its sender speaks. A host begins with
the oldest that it speaks itself, and answers in the newest that both do.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from protocol.ids import HostId
from protocol.limits import MEMBERS_MAX
from protocol.since import OLDEST, VERSION

UNSPOKEN = "wire-version"
"""The notice of a host that speaks no version which this one reads."""
REFUSED_MAX = 3
"""Frames refused one after the other before it is told: of two knocks in different versions one is read."""
KNOCKS_MAX = 64
"""Addresses for which it is known in which version this host has knocked last."""


class Versions:
    """One host's view of the others.

    Args:
        newest: what the host speaks itself; less in tests and worlds, where it stands for one of an older release.
    """

    def __init__(self, newest: int = VERSION) -> None:
        self.newest = newest
        self._said: dict[HostId, int] = {}
        self._refused: dict[HostId, int] = {}
        """By host, how many frames were refused since one was understood."""
        self._told: dict[HostId, None] = {}
        self._withheld: dict[tuple[HostId, str], None] = {}
        self._knocks: OrderedDict[str, int] = OrderedDict()

    def of(self, host: HostId) -> int:
        """Return the version in which this host talks to another."""
        return self._said.get(host, OLDEST)

    def said(self, host: HostId) -> int:
        """Return the newest version that another host and this one speak; 0 until it has said so."""
        return self._said.get(host, 0)

    def is_mixed(self) -> bool:
        """Tell whether a host that is here is of an older release."""
        return any(version < self.newest for version in self._said.values())

    def heard(self, host: HostId, said: int) -> None:
        """A host has been understood, and speaks no more than it says.

        Its last word counts, also where it is less than before: it may have gone back to an older release.
        """
        self._refused.pop(host, None)
        self._said[host] = max(OLDEST, min(said, self.newest))

    def forget(self, host: HostId) -> None:
        """A host has failed or left: whoever comes in its place may be of another release."""
        for known in (self._said, self._refused, self._told):
            known.pop(host, None)
        for key in [key for key in self._withheld if key[0] == host]:
            del self._withheld[key]

    def refused(self, host: HostId, version: int) -> str:
        """A frame in a version that is not read was dropped; return what people are told, once; else nothing."""
        if host in self._told or (len(self._refused) >= MEMBERS_MAX and host not in self._refused):
            return ""
        self._refused[host] = count = self._refused.get(host, 0) + 1
        if count < REFUSED_MAX:
            return ""
        self._told[host] = None
        which, what = ("newer", "this one") if version > self.newest else ("older", "that one")
        return (
            f"host {host} sends in wire version {version}, {which} than what this host reads: {OLDEST} to"
            f" {self.newest}. Its frames are dropped, and nothing else has changed. A release works with the one before"
            f" it and the one after it: install on {what} the next release after its own, then go on from there."
        )

    def withheld(self, host: HostId, kinds: Iterable[str]) -> Iterator[str]:
        """Messages of these kinds were kept back from a host; yield what is noted of each kind, once."""
        for kind in dict.fromkeys(kinds):
            if (host, kind) not in self._withheld and len(self._withheld) < MEMBERS_MAX:
                self._withheld[host, kind] = None
                yield (
                    f"host {host} speaks wire version {self.of(host)}, which has no {kind}: it gets none until it is of"
                    " a newer release"
                )

    def knock(self, address: str) -> int:
        """Return in which version to knock at an address: each time in another, for nothing is known of who is there.

        The oldest comes first: while an upgrade goes on, everybody reads it.
        """
        version = self._knocks.pop(address, self.newest) + 1
        if version > self.newest:
            version = OLDEST
        self._knocks[address] = version
        if len(self._knocks) > KNOCKS_MAX:
            self._knocks.popitem(last=False)
        return version
