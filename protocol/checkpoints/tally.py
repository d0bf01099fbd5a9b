"""Who has cut, or voted, so far: a bitmap over a view and what its members name, merged by or, union and min (CP-2).

The least set that holds the view, and whom its members name as joined, has all spoken: that is a stable predicate over
statements with one writer each, so every host that finds it true finds the same set.
"""

from msgspec import Struct

from protocol.fact import Began
from protocol.ids import AgentId, HostId, Number
from protocol.proposal import Restore


class Statement(Struct, frozen=True):
    """What one host says once: of its cut of an epoch, or of a restore. It never changes."""

    host: HostId
    joined: tuple[HostId, ...] = ()
    """Everyone it knows to be there; those outside the view are named by it."""
    left: tuple[HostId, ...] = ()
    """Who is leaving, after this epoch: the host itself, or one that it succeeds."""
    begun: tuple[Began, ...] = ()
    """Every beginning after a loss of an agent here."""
    undecided: Number = 0
    """The oldest epoch that an undecided proposal here needs."""
    top: Number = 0
    """Its colour."""
    reject: str = ""
    """Why it does not agree; empty if it does."""


class Tally(Struct, frozen=True, tag=True):
    """What one host knows of who has spoken, on the wire: a bit for each member."""

    base: Number
    """The committed epoch whose view the bits run over."""
    bits: bytes
    joined: tuple[HostId, ...] = ()
    joined_bits: bytes = b""
    left: tuple[HostId, ...] = ()
    begun: tuple[Began, ...] = ()
    undecided: Number = 0
    top: Number = 0
    rejects: tuple[tuple[HostId, str], ...] = ()
    restore: Restore | None = None
    """What is voted on; None: the cut of the epoch after `base`."""


class Count:
    """The working form of a tally over one view."""

    def __init__(self, base: int, view: tuple[HostId, ...], undecided: int) -> None:
        """Begin to count.

        Args:
            base: the committed epoch.
            view: its members, less those that have left, in order.
            undecided: the highest that it can come to be.
        """
        self.base = base
        self.view = view
        self.undecided = undecided
        self.top = 0
        self.left: dict[HostId, None] = {}
        self.rejects: dict[HostId, str] = {}
        self._place = {host: at for at, host in enumerate(view)}
        self._bits = 0
        self._joined: dict[HostId, bool] = {}
        self._begun: dict[tuple[AgentId, int], Began] = {}

    def concerns(self, host: HostId) -> bool:
        """Tell whether a host is in the view or named by a member that has spoken."""
        return host in self._place or host in self._joined

    def has(self, host: HostId) -> bool:
        """Tell whether a host is known to have spoken."""
        at = self._place.get(host)
        return self._joined.get(host, False) if at is None else bool(self._bits >> at & 1)

    def add(self, statement: Statement) -> bool:
        """Take in what a host says itself; False if it is not concerned (yet), or known."""
        host = statement.host
        if not self.concerns(host) or self.has(host):
            return False
        if host in self._place:
            self._bits |= 1 << self._place[host]
        else:
            self._joined[host] = True
        for name in statement.joined:
            if name not in self._place:
                self._joined.setdefault(name, False)
        self._take(statement.left, statement.begun, statement.undecided, statement.top)
        if statement.reject:
            self.rejects[host] = statement.reject
        return True

    def merge(self, tally: Tally) -> bool:
        """Take in what another host knows; True if anything of it is news."""
        before = (self._bits, len(self._joined), sum(self._joined.values()), len(self.rejects))
        self._bits |= int.from_bytes(tally.bits, "little") & ((1 << len(self.view)) - 1)
        spoken = int.from_bytes(tally.joined_bits, "little")
        for at, host in enumerate(tally.joined):
            if host not in self._place:
                self._joined[host] = self._joined.get(host, False) or bool(spoken >> at & 1)
        self._take(tally.left, tally.begun, tally.undecided, tally.top)
        self.rejects.update(tally.rejects)
        return before != (self._bits, len(self._joined), sum(self._joined.values()), len(self.rejects))

    def _take(self, left: tuple[HostId, ...], begun: tuple[Began, ...], undecided: int, top: int) -> None:
        self.left.update(dict.fromkeys(left))
        self._begun.update({(began.agent, began.incarnation): began for began in begun})
        self.undecided = min(self.undecided, undecided)
        self.top = max(self.top, top)

    def exceeds(self, tally: Tally) -> bool:
        """Tell whether this count knows more than a tally."""
        spoken = int.from_bytes(tally.joined_bits, "little")
        named = {host: bool(spoken >> at & 1) for at, host in enumerate(tally.joined)}
        return (
            bool(self._bits & ~int.from_bytes(tally.bits, "little"))
            or any(host not in named or (cut and not named[host]) for host, cut in self._joined.items())
            or len(self.rejects) > len(tally.rejects)
        )

    def is_complete(self) -> bool:
        """Tell whether all have spoken; once true, always true, and of the same set everywhere."""
        return self._bits == (1 << len(self.view)) - 1 and all(self._joined.values())

    def members(self) -> tuple[HostId, ...]:
        """Return the view and whom its members name, in order."""
        return tuple(sorted((*self.view, *self._joined)))

    def missing(self) -> tuple[HostId, ...]:
        """Return who has not spoken, as far as is known."""
        return tuple(host for host in self.members() if not self.has(host))

    def begun(self) -> tuple[Began, ...]:
        """Return every beginning that a statement names, in order."""
        return tuple(self._begun[name] for name in sorted(self._begun))

    def tally(self, restore: Restore | None = None) -> Tally:
        """Return what is known, for the wire."""
        joined = tuple(sorted(self._joined))
        spoken = sum(1 << at for at, host in enumerate(joined) if self._joined[host])
        return Tally(
            base=self.base,
            bits=self._bits.to_bytes((len(self.view) + 7) // 8, "little"),
            joined=joined,
            joined_bits=spoken.to_bytes((len(joined) + 7) // 8, "little"),
            left=tuple(sorted(self.left)),
            begun=self.begun(),
            undecided=self.undecided,
            top=self.top,
            rejects=tuple(sorted(self.rejects.items())),
            restore=restore,
        )
