"""The secrets by which one host seals its copies, in shares at others (TR-11).

They are made of its private key, so it has them as long as it has that.
"""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from peer.keys import HostKeys
from peer.replication.sealing import Seal, derived
from peer.replication.shares import check_of, share_of
from peer.replication.trustee import Trustee, digest_of, said_of
from peer.site import Site
from peer.trust.lies import Signed
from protocol.checkpoints.copy import Deposit, Deposited, Part
from protocol.checkpoints.escrow import needed, threshold, trustees_max
from protocol.checkpoints.succession import Succession
from protocol.ids import AgentId, HostId
from protocol.since import since
from protocol.wire import Frame


class Escrow:
    """One host's secrets.

    Args:
        site: the host.
        succession: says who keeps what for whom.
        trustee: keeps notes of them, beside others' shares.
        replicas: how many hosts may be lost; 0: nothing is copied.
        keys: the host's.
        placed: called when more shares are where they are to be.
    """

    def __init__(
        self, site: Site, succession: Succession, trustee: Trustee, replicas: int, keys: HostKeys,
        placed: Callable[[], None],
    ) -> None:  # fmt: skip
        self._site = site
        self._succession = succession
        self._trustee = trustee
        self._replicas = replicas
        self._keys = keys
        self._placed = placed
        self._used: tuple[int, ...] = ()
        """The levels at which anything was ever sealed here."""
        self._asked: dict[int, None] = {}
        """Those, and what is being written down of others."""
        self._level = 0
        """By how many hosts' shares this host's secret is to be made, as the views are now."""
        self._sealing = 0
        """The level at which records are sealed: the last of which shares enough are where they are to be."""
        self._views: list[tuple[HostId, ...]] = []
        self._older: dict[HostId, None] = {}
        """Hosts that are passed over, being of an older release."""
        self._due: dict[HostId, tuple[Part, ...]] = {}
        """By trustee, the shares that it is to have."""
        self._had: dict[HostId, bytes] = {}
        """By trustee that has them, by which name."""
        self._is_placed = False
        self._seals: dict[int, Seal] = {}
        self._proofs: dict[bytes, bytes] = {}
        """By what is signed of a secret, the signature: it is the same for all trustees."""

    def load(self) -> None:
        """Go on from what earlier lives have kept."""
        self._used = tuple(sorted({part.level for part in self._trustee.of(self._site.host_id)}))
        self._asked = dict.fromkeys(self._used)

    def chosen(self) -> None:
        """The views have changed: others may be the trustees now, and more or fewer of them."""
        self._older = {}
        nearest = self._succession.nearest(self._site.host_id, trustees_max(self._replicas), self._is_fit)
        self._views = [view for view in nearest if view]
        self._level = min((threshold(len(view), self._replicas) for view in self._views), default=0)
        if self._level and self._level not in self._asked:
            # Durable before anything is sealed so: a later life has to place shares of it, too.
            self._asked[self._level] = None
            self._trustee.keep(self._site.host_id, [Part(self._level, 0, b"", b"")], partial(self._uses, self._level))
        self._share()

    def can_open(self, host: HostId) -> bool:
        """Tell whether a host is of a release that opens what is sealed, as far as is known (CL-8)."""
        return not 0 < self._site.speaks(host) < since(Deposit)

    def _is_fit(self, host: HostId) -> bool:
        if self.can_open(host):
            return True
        self._older[host] = None
        return False

    def look(self) -> None:
        """See whether those who are to have shares are of an older release after all, or others are not any more."""
        trustees = (trustee for view in self._views for trustee in view)
        if any(map(self.can_open, self._older)) or not all(map(self.can_open, trustees)):
            self.chosen()

    def _uses(self, level: int) -> None:
        self._used = tuple(sorted({*self._used, level}))
        self._share()
        self._placed()

    def _share(self) -> None:
        """Send all trustees their shares: also those that had them, for one whose log was damaged has begun anew."""
        hosts = dict.fromkeys(trustee for view in self._views for trustee in view)
        self._due = {trustee: self._parts(trustee) for trustee in hosts} if self._level in self._used else {}
        self._look()
        for trustee, parts in self._due.items():
            self._site.send_frame(trustee, Frame(copies=(Deposit(parts),)))

    def _look(self) -> None:
        """See whether enough trustees have their shares."""
        self._had = {host: digest for host, digest in self._had.items() if digest == digest_of(self._due.get(host, ()))}
        self._is_placed = bool(self._due) and all(
            sum(trustee in self._had for trustee in view) >= needed(len(view), self._replicas) for view in self._views
        )
        if self._is_placed:
            self._sealing = self._level

    @property
    def is_ready(self) -> bool:
        """Whether records can be sealed so that whoever succeeds this host can open them."""
        return self._sealing > 0

    @property
    def is_placed(self) -> bool:
        """Whether enough hosts have their shares for any losses that are allowed for, or none could use any."""
        return self._is_placed or not self._level

    def offer(self) -> None:
        """Send trustees their shares again, those that have not said that they have them."""
        for trustee, parts in self._due.items():
            if trustee not in self._had:
                self._site.send_frame(trustee, Frame(copies=(Deposit(parts),)))

    def deposited(self, sender: HostId, message: Deposited) -> None:
        """A trustee has what it was sent."""
        self._had[sender] = message.digest
        self._look()
        self._placed()

    def _parts(self, trustee: HostId) -> tuple[Part, ...]:
        parts: list[Part] = []
        for level in self._used:
            secret, enough = self._secret(level), min(level, self._level)
            part = Part(level, enough, share_of(secret, enough, trustee), check_of(secret))
            parts.append(part._replace(proof=self._proof(part)))
        return tuple(parts)

    def _proof(self, part: Part) -> bytes:
        said = said_of(self._site.host_id, part)
        if said not in self._proofs:
            self._proofs[said] = msgspec.msgpack.encode(Signed(self._keys.public_key, self._keys.sign(said)))
        return self._proofs[said]

    def _secret(self, level: int) -> bytes:
        return derived(self._keys.private_bytes(), f"level {level}")

    def seal(self, level: int) -> Seal:
        """Return what seals at a level, and opens."""
        if level not in self._seals:
            self._seals[level] = Seal(self._secret(level), level)
        return self._seals[level]

    def close(self, log: AgentId, first: int, records: Sequence[bytes]) -> list[bytes]:
        """Return records of a log sealed; `first` is the number of the first one."""
        seal = self.seal(self._sealing)
        return [seal.close(log, number, record) for number, record in enumerate(records, first)]
