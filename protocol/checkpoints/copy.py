"""What hosts say to keep copies of each other's logs (CP-8), to mend them from those (CP-11), and to open them (TR-11).

Records are opaque, and numbered from 1 in each log.
"""

from typing import NamedTuple

from msgspec import Struct

from protocol.ids import AgentId, HostId, Number

COPY_BYTES = 1 << 20
"""About how much one message brings."""


class Copy(Struct, frozen=True, tag=True):
    """Records of one of the sender's logs, from number `first` on; with none it asks what the receiver has."""

    log: AgentId
    first: Number
    records: tuple[bytes, ...]
    kind: str = ""
    """Of an agent's log: its class, as `module:qualname`."""
    options: bytes = b""
    """What its class is given."""
    prev: bytes = b""
    """Set where the copy is to begin with these records: the hash that the first one follows."""
    anchors: tuple[Number, ...] = ()
    """Records, by number, from which on a log suffices to bring its agent back."""
    life: Number = 0
    """How often its agent has begun anew after a loss: a copy of an earlier life may hold what is not in the log."""
    since: Number = 0
    """So many records of an earlier life are in the log, if that is known; else a copy of one begins anew."""
    is_sealed: bool = False
    """The records and `options` are sealed: a copy that is not begins anew."""


class Copied(Struct, frozen=True, tag=True):
    """The first `have` records of that log are durable here."""

    log: AgentId
    have: Number
    again: bool = False
    """What came cannot be put after that: go on from there, whatever was said before."""
    life: Number = 0
    """Of the copy."""


class Lacking(Struct, frozen=True, tag=True):
    """The sender lacks a part of a log: whoever has a copy says what stands there from record `first` on.

    Its own is damaged; or it is to go on with an owner's that is dead, and that its successor had not begun with.
    """

    log: AgentId
    first: Number
    """0: from which on the copy suffices."""
    owner: HostId = ""
    """Whose log it is; empty: the sender's."""


class Held(Struct, frozen=True, tag=True):
    """A part of the copy of that log, which has `length` records in all; without records, there is no more.

    It begins later than was asked where the copy does.
    """

    log: AgentId
    first: Number
    length: Number
    records: tuple[bytes, ...]
    prev: bytes = b""
    """The hash that the first one follows in the copy: of the log itself only where the copy begins."""
    anchor: Number = 0
    """The last record from which on the copy suffices to bring its agent back."""
    owner: HostId = ""
    """As in the question."""
    kind: str = ""
    options: bytes = b""
    """Of an owner's agent, as in `Copy`."""


class Part(NamedTuple):
    """A share of the secret by which an owner seals."""

    level: Number
    """Which of its secrets, from 1: what is sealed says so, too."""
    threshold: Number
    """So many shares of different hosts make the secret."""
    share: bytes
    check: bytes
    """By which the secret is known."""
    proof: bytes = b""
    """Shows that the owner has said so: else whoever returns a share could have another secret taken for it."""


class Deposit(Struct, frozen=True, tag=True):
    """Shares of the sender's secrets, for the receiver to keep: for whoever is to go on with its agents."""

    parts: tuple[Part, ...]


class Deposited(Struct, frozen=True, tag=True):
    """What that `Deposit` brought is durable here."""

    digest: bytes


class Reclaim(Struct, frozen=True, tag=True):
    """The sender has succeeded that owner: who keeps shares of its secrets is to return them."""

    owner: HostId


class Returned(Struct, frozen=True, tag=True):
    """The shares of that owner's secrets that the sender keeps, if only none."""

    owner: HostId
    parts: tuple[Part, ...]


CopyMessage = Copy | Copied | Lacking | Held | Deposit | Deposited | Reclaim | Returned
