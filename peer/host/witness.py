"""Tells others how far this host's log has come, and keeps what others tell of theirs (CP-12)."""

import logging
from random import Random

import msgspec

from peer.host.orders import Orders
from peer.keys import HostKeys, host_id_of
from peer.ports import Cancel
from peer.site import Site
from peer.store.heads import LOG, decode_head, encode_head
from peer.trust.lies import is_head_signed, lie_of
from protocol.action import Tell
from protocol.checkpoints.witness import Conflict, Head, Heads
from protocol.ids import HostId
from protocol.wire import Frame

logger = logging.getLogger("ebbtide")

EVERY_US = 5_000_000
"""How often a host tells its head, if that has moved."""
TOLD = 3
"""How many others it tells each time, chosen at random."""
CARRIED = 8
"""How many of others' heads go along: so a head reaches all hosts in rounds as the logarithm of their number."""
CONDENSE = 1000


class Witness:
    """The heads that one host tells and hears."""

    def __init__(self, site: Site, keys: HostKeys, orders: Orders) -> None:
        self._site = site
        self._keys = keys
        self._orders = orders
        self._heads = Heads()
        self._rng = Random(site.randomness.seed())
        self._told = 0
        self._kept = 0
        self._timer: Cancel | None = None

    def open(self) -> None:
        """Go on from the log."""
        for data in self._site.store.read(LOG):
            self._heads.load([decode_head(data)])
        self._arm()

    def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer()

    def _arm(self) -> None:
        clock = self._site.clock
        self._timer = clock.wake(clock.now_us() + EVERY_US, self._tick)

    def _tick(self) -> None:
        self._arm()
        sequence, digest = self._site.store.head()
        if sequence > self._told:
            self._told = sequence
            self._tell(sequence, digest)

    def _tell(self, sequence: int, digest: bytes) -> None:
        others = [fact.host for fact in self._site.known_hosts() if fact.agents]
        if not others:
            return
        head = Head(self._site.host_id, sequence, digest, self._keys.public_key, b"")
        own = msgspec.structs.replace(head, signature=self._keys.sign(head.signed()))
        known = self._heads.newest()
        carried = self._rng.sample(known, min(CARRIED, len(known)))
        for other in self._rng.sample(others, min(TOLD, len(others))):
            self._site.send_frame(other, Frame(heads=(own, *carried)))

    def received(self, sender: HostId, heads: tuple[Head, ...]) -> None:
        """Take in heads: those whose signature fits are kept, a contradiction is told."""
        for head in heads[: CARRIED + 1]:
            if head.host == self._site.host_id or host_id_of(head.key) != head.host:
                continue
            if not is_head_signed(head):
                logger.warning("refused a head of %s from %s: its signature does not fit", head.host, sender)
                continue
            heard = self._heads.hear(head)
            if isinstance(heard, Conflict):
                text = f"host {head.host} has signed two different logs: both have a batch {head.sequence}"
                self._site.noticed(LOG, Tell("log-rewritten", head.host, text))
                self._keep((head,))
                self._orders.lied(head.host, lie_of(heard.kept, heard.heard), text)
            elif heard:
                self._keep((head,))

    def _keep(self, heads: tuple[Head, ...]) -> None:
        self._kept += 1
        anchor = self._kept % CONDENSE == 0
        records = [encode_head(head) for head in (self._heads.all() if anchor else heads)]
        self._site.store.append(LOG, records, lambda: None, anchor)
