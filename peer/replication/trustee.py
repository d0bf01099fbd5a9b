"""The shares of others' secrets that one host keeps, for whoever is to go on with their agents (TR-11)."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import blake2b

import msgspec

from peer.errors import LogCorrupt
from peer.replication.shares import SHARE_BYTES
from peer.site import Site
from protocol.checkpoints.copy import Deposit, Deposited, Part, Reclaim, Returned
from protocol.checkpoints.succession import Succession
from protocol.errors import UNREADABLE, WireInvalid
from protocol.ids import HostId
from protocol.wire import Frame

PREFIX = "share:"
"""Begins the names of logs that hold shares, by owner."""
PARTS_MAX = 64
_parts = msgspec.msgpack.Decoder(tuple[Part, ...])


class Trustee:
    """One host, as it keeps others' shares, and notes of its own secrets.

    Args:
        site: the host.
        succession: says who has succeeded whom.
    """

    def __init__(self, site: Site, succession: Succession) -> None:
        self._site = site
        self._succession = succession
        self._kept: dict[HostId, dict[tuple[int, int], Part]] = {}
        """By owner, the shares here, by level and threshold."""
        self._writing: dict[HostId, int] = {}
        """By owner, how many writes of its shares are not durable yet."""

    def load(self) -> None:
        """Go on from what earlier lives have kept: from what is there now, if some of it was begun anew meanwhile."""
        self._kept = {}
        for name in self._site.store.agents():
            if name.startswith(PREFIX):
                found = self._kept.setdefault(name[len(PREFIX) :], {})
                # Where one is damaged it begins anew, and its owner sends what it held again.
                with suppress(LogCorrupt):
                    for record in self._site.store.read(name):
                        found.update({(part.level, part.threshold): part for part in decode_parts(record)})

    def of(self, owner: HostId) -> tuple[Part, ...]:
        """Return the shares of an owner's secrets that are here."""
        return tuple(self._kept.get(owner, {}).values())

    def keep(self, owner: HostId, fresh: Iterable[Part], done: Callable[[], None]) -> None:
        """Keep shares, besides those that are here; `done` is called once they are durable."""
        kept = self._kept.setdefault(owner, {})
        kept.update({(part.level, part.threshold): part for part in fresh})
        self._writing[owner] = self._writing.get(owner, 0) + 1

        def durable() -> None:
            self._writing[owner] -= 1
            if not self._writing[owner]:
                del self._writing[owner]
            done()

        record = msgspec.msgpack.encode(tuple(kept.values()))
        self._site.store.append(f"{PREFIX}{owner}", (record,), durable, anchor=True)

    def deposit(self, sender: HostId, message: Deposit) -> None:
        """Keep shares for another host."""
        if self._succession.is_refused(sender) or not is_sound(message.parts):
            return
        known = self._kept.get(sender, {})
        fresh = [part for part in message.parts if known.get((part.level, part.threshold)) != part]
        if len(known) + len(fresh) > PARTS_MAX:
            return

        answer = Frame(copies=(Deposited(digest_of(message.parts)),))
        if fresh:
            self.keep(sender, fresh, lambda: self._site.send_frame(sender, answer))
        elif sender not in self._writing:  # what is being written is not durable yet: it is answered for then
            self._site.send_frame(sender, answer)

    def reclaim(self, sender: HostId, message: Reclaim) -> None:
        """Return shares to who has succeeded their owner, and to nobody else."""
        if self._succession.successor_of(message.owner) == sender:
            self._site.send_frame(sender, Frame(copies=(Returned(message.owner, self.of(message.owner)),)))


def is_sound(parts: tuple[Part, ...]) -> bool:
    """Tell whether these can be shares."""
    return len(parts) <= PARTS_MAX and all(len(part.share) == SHARE_BYTES and part.threshold > 0 for part in parts)


def said_of(owner: HostId, part: Part) -> bytes:
    """Return what an owner signs of its secret: what makes it, and by what it is known."""
    return b"ebbtide share\0" + msgspec.msgpack.encode((owner, part.level, part.threshold, part.check))


def digest_of(parts: tuple[Part, ...]) -> bytes:
    """Return by what a deposit is called."""
    return blake2b(msgspec.msgpack.encode(parts), digest_size=16).digest()


def decode_parts(record: bytes) -> tuple[Part, ...]:
    """Return the shares that a record holds. Raises: WireInvalid."""
    try:
        return _parts.decode(record)
    except UNREADABLE as error:
        raise WireInvalid(f"no shares: {error}") from error
