"""What hosts say to each other about each other, and about the facts they hold. Field order is the wire's."""

from msgspec import Struct

from protocol.fact import Fact
from protocol.ids import HostId, Number


class _Probe(Struct, frozen=True, tag=True, array_like=True):
    """Numbers are the asker's."""


class Ping(_Probe, frozen=True):
    """Are you there?"""

    number: Number


class PingFor(_Probe, frozen=True):
    """Is it there? I have no answer."""

    number: Number
    target: HostId


class Pong(_Probe, frozen=True):
    """I am; or, to a `PingFor`: it is."""

    number: Number


class Silence(_Probe, frozen=True):
    """To a `PingFor`: I have asked, and have no answer either. So at least this host and the asker hear each other."""

    number: Number


Probe = Ping | PingFor | Pong | Silence


class Compare(Struct, frozen=True, array_like=True):
    """Facts are placed by a hash of their names; a prefix stands for all facts whose place begins with it (MB-3)."""

    sums: tuple[tuple[str, int], ...] = ()
    """Prefixes, each with the sum of the hashes of the sender's facts under it."""
    lists: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    """Prefixes with few facts: place and hash of each."""
    wants: tuple[str, ...] = ()
    """Places of facts that the sender lacks."""
    facts: tuple[Fact, ...] = ()
    """Facts that the receiver lacks."""
