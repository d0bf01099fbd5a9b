"""Heads of logs, kept by others: so that not even its owner can rewrite a log unseen (CP-12).

Source: Maniatis and Baker 2002 (secure history preservation through timeline entanglement).
"""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from protocol.ids import HostId, Number

KEPT = 32
"""Heads remembered of each host: the newest, and some of those before."""


class Head(Struct, frozen=True, array_like=True):
    """How far a host's log had come: the digest stands for everything that was ever written in it."""

    host: HostId
    sequence: Number
    """Of its last batch."""
    digest: bytes
    key: bytes
    """The host's public key."""
    signature: bytes

    def signed(self) -> bytes:
        """Return what the host signs."""
        return b"ebbtide-head" + self.host.encode() + self.sequence.to_bytes(8, "big", signed=True) + self.digest


class Conflict(NamedTuple):
    """Two heads of one log that can't both be true: one of them was rewritten."""

    kept: Head
    heard: Head


class Heads:
    """The heads that one host has heard of."""

    def __init__(self) -> None:
        self._known: dict[HostId, dict[int, Head]] = {}

    def load(self, heads: Iterable[Head]) -> None:
        """Take in heads from this host's own log."""
        for head in heads:
            self.hear(head)

    def hear(self, head: Head) -> Conflict | bool:
        """Take in a head whose signature fits; True if it is new, False if not, a conflict if it contradicts one."""
        known = self._known.setdefault(head.host, {})
        kept = known.get(head.sequence)
        if kept is not None:
            return False if kept.digest == head.digest else Conflict(kept, head)
        known[head.sequence] = head
        while len(known) > KEPT:
            del known[min(known)]
        return head.sequence in known

    def newest(self) -> list[Head]:
        """Return the newest head of each host, in order of hosts."""
        return [known[max(known)] for _, known in sorted(self._known.items()) if known]

    def all(self) -> list[Head]:
        """Return every head, by host and number."""
        return [known[number] for _, known in sorted(self._known.items()) for number in sorted(known)]
