"""The secrets by which copies are sealed: this host's own, in shares at others, and its shares of others' (TR-11).

A host's secrets are made of its private key, so it has them as long as it has that. Whoever succeeds it asks all
others for their shares; these return them to nobody else.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from itertools import combinations, islice

import msgspec

from peer.errors import LogCorrupt
from peer.replication.sealing import Seal, derived, level_of
from peer.replication.shares import SHARE_BYTES, check_of, secret_of, share_of
from peer.site import Site
from protocol.action import Tell
from protocol.checkpoints.copy import Deposit, Deposited, Part, Reclaim, Returned
from protocol.checkpoints.escrow import needed, threshold, trustees_max
from protocol.checkpoints.succession import Succession
from protocol.errors import UNREADABLE, WireInvalid
from protocol.ids import HOST, AgentId, HostId
from protocol.since import since
from protocol.wire import Frame

PREFIX = "share:"
"""Begins the names of logs that hold shares, by owner."""
AGAIN_S = 0.5
PARTS_MAX = 64
TRIED_MAX = 1000
"""Sets of shares that are tried: some may be lies."""
_parts = msgspec.msgpack.Decoder(tuple[Part, ...])


class Escrow:
    """One host's secrets, and its shares of others'.

    Args:
        site: the host.
        succession: says who keeps what for whom, and who has succeeded whom.
        replicas: how many hosts may be lost; 0: nothing is copied.
        private: the host's private key.
        placed: called when more shares are where they are to be.
    """

    def __init__(
        self, site: Site, succession: Succession, replicas: int, private: bytes, placed: Callable[[], None]
    ) -> None:
        self._site = site
        self._succession = succession
        self._replicas = replicas
        self._private = private
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
        self._kept: dict[HostId, dict[tuple[int, int], Part]] = {}
        """By owner, the shares here, by level and threshold."""
        self._writing: dict[HostId, int] = {}
        """By owner, how many writes of its shares are not durable yet."""
        self._returned: dict[HostId, dict[HostId, tuple[Part, ...]]] = {}
        """By owner whose shares are asked for, what others have returned."""
        self._seals: dict[tuple[HostId, int], Seal] = {}

    def load(self) -> None:
        """Go on from what earlier lives have kept."""
        for name in self._site.store.agents():
            if name.startswith(PREFIX):
                found = self._kept.setdefault(name[len(PREFIX) :], {})
                # Where one is damaged it begins anew, and its owner sends what it held again.
                with suppress(LogCorrupt):
                    for record in self._site.store.read(name):
                        found.update({(part.level, part.threshold): part for part in decode_parts(record)})
        self._used = tuple(sorted({level for level, _ in self._kept.get(self._site.host_id, {})}))
        self._asked = dict.fromkeys(self._used)

    # -- this host's secrets ---------------------------------------------------------------------------------------

    def chosen(self) -> None:
        """The views have changed: others may be the trustees now, and more or fewer of them."""
        self._older = {}
        nearest = self._succession.nearest(self._site.host_id, trustees_max(self._replicas), self._is_fit)
        self._views = [view for view in nearest if view]
        self._level = min((threshold(len(view), self._replicas) for view in self._views), default=0)
        if self._level and self._level not in self._asked:
            # Durable before anything is sealed so: a later life has to place shares of it, too.
            self._asked[self._level] = None
            self._keep(self._site.host_id, [Part(self._level, 0, b"", b"")], partial(self._uses, self._level))
        self._share()

    def _can_open(self, host: HostId) -> bool:
        """Tell whether a host is of a release that opens what is sealed, as far as is known (CL-8)."""
        return not 0 < self._site.speaks(host) < since(Deposit)

    def _is_fit(self, host: HostId) -> bool:
        if self._can_open(host):
            return True
        self._older[host] = None
        return False

    def seals_for(self, backup: HostId) -> bool:
        """Tell whether a backup gets sealed copies; one of an older release, which could not open them, does not."""
        return self._can_open(backup)

    def look(self) -> None:
        """See whether those who are to have shares are of an older release after all, or others are not any more."""
        trustees = (trustee for view in self._views for trustee in view)
        if any(map(self._can_open, self._older)) or not all(map(self._can_open, trustees)):
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
            parts.append(Part(level, enough, share_of(secret, enough, trustee), check_of(secret)))
        return tuple(parts)

    def _secret(self, level: int) -> bytes:
        return derived(self._private, f"level {level}")

    def close(self, log: AgentId, first: int, records: Sequence[bytes]) -> list[bytes]:
        """Return records of a log sealed; `first` is the number of the first one."""
        seal = self._seal(self._site.host_id, self._sealing)
        return [seal.close(log, number, record) for number, record in enumerate(records, first)]

    # -- others' secrets -------------------------------------------------------------------------------------------

    def deposit(self, sender: HostId, message: Deposit) -> None:
        """Keep shares for another host."""
        if self._succession.is_refused(sender) or not _is_sound(message.parts):
            return
        known = self._kept.get(sender, {})
        fresh = [part for part in message.parts if known.get((part.level, part.threshold)) != part]
        if len(known) + len(fresh) > PARTS_MAX:
            return

        answer = Frame(copies=(Deposited(digest_of(message.parts)),))
        if fresh:
            self._keep(sender, fresh, lambda: self._site.send_frame(sender, answer))
        elif sender not in self._writing:  # what is being written is not durable yet: it is answered for then
            self._site.send_frame(sender, answer)

    def reclaim(self, sender: HostId, message: Reclaim) -> None:
        """Return shares to who has succeeded their owner, and to nobody else."""
        if self._succession.successor_of(message.owner) == sender:
            parts = tuple(self._kept.get(message.owner, {}).values())
            self._site.send_frame(sender, Frame(copies=(Returned(message.owner, parts),)))

    def returned(self, sender: HostId, message: Returned) -> None:
        """A trustee has returned its shares."""
        if message.owner in self._returned and _is_sound(message.parts):
            self._returned[message.owner][sender] = message.parts

    def _keep(self, owner: HostId, fresh: Iterable[Part], done: Callable[[], None]) -> None:
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

    # -- opening ---------------------------------------------------------------------------------------------------

    def opens(self, owner: HostId, levels: Iterable[int]) -> bool:
        """Tell whether what an owner has sealed at these levels can be opened here."""
        return all(self._find(owner, level) is not None for level in levels if level)

    def open(
        self, owner: HostId, log: AgentId, first: int, sealed: Sequence[bytes], is_here: bool = False
    ) -> list[bytes]:
        """Return the records of a copy.

        Args:
            owner: whose copy.
            log: of which of its logs.
            first: the number of the first one.
            sealed: as they stand there.
            is_here: it is this host itself that has kept the copy, also for owners of a release that did not seal.

        Raises: LogCorrupt, if they are not as their owner has sealed them, or its secret is not here.
        """
        if not is_here and self._seals_all(owner) and not all(map(level_of, sealed)):
            raise LogCorrupt(f"A copy of {log} of host {owner} is not sealed, and its owner seals: it is not used.")
        return [self._opened(owner, log, number, record) for number, record in enumerate(sealed, first)]

    def _seals_all(self, owner: HostId) -> bool:
        return bool(self._kept.get(owner)) or any(self._returned.get(owner, {}).values())

    def _opened(self, owner: HostId, log: AgentId, number: int, record: bytes) -> bytes:
        level, what = level_of(record), f"record {number} in a copy of {log} of host {owner}"
        if not level:
            return record
        seal = self._find(owner, level)
        if seal is None:
            raise LogCorrupt(f"{what} can't be opened: too few hosts have returned their shares of its secret.")
        try:
            return seal.open(log, number, record)
        except ValueError as error:
            raise LogCorrupt(f"{what} can't be opened: {error}. Whoever keeps it has altered it.") from error

    def _seal(self, owner: HostId, level: int, secret: bytes = b"") -> Seal:
        seal = self._seals.get((owner, level))
        if seal is None:
            seal = self._seals[owner, level] = Seal(secret or self._secret(level), level)
        return seal

    def _find(self, owner: HostId, level: int) -> Seal | None:
        """Return what opens a level of an owner's; None if its secret is not here, nor shares enough."""
        if owner == self._site.host_id:
            return self._seal(owner, level)
        if (owner, level) not in self._seals:
            secret = self._joined(owner, level)
            if secret is None:
                return None
            self._seal(owner, level, secret)
            # The next life of this host need not ask for it again.
            self._keep(owner, [Part(level, 1, share_of(secret, 1, HOST), check_of(secret))], lambda: None)
        return self._seals[owner, level]

    def _joined(self, owner: HostId, level: int) -> bytes | None:
        found: dict[tuple[int, bytes], dict[HostId, bytes]] = {}
        own = {self._site.host_id: tuple(self._kept.get(owner, {}).values())}
        for trustee, parts in {**self._returned.get(owner, {}), **own}.items():
            for part in parts:
                if part.level == level and part.threshold:
                    found.setdefault((part.threshold, part.check), {})[trustee] = part.share
        for (enough, check), shares in sorted(found.items()):
            for some in islice(combinations(shares.items(), enough), TRIED_MAX):
                secret = secret_of(dict(some), check)
                if secret is not None:
                    return secret
        return None

    async def recover(self, owner: HostId, levels: Iterable[int], patience_s: float) -> bool:
        """Ask others for their shares of an owner's secrets, until what it has sealed can be opened.

        Args:
            owner: a host that this one has succeeded.
            levels: at which it has sealed.
            patience_s: how long.

        Returns: whether it can.
        """
        wanted, clock = tuple(levels), asyncio.get_running_loop().time
        began, told = clock(), False
        self._returned.setdefault(owner, {})
        while not self.opens(owner, wanted):
            if clock() > began + patience_s:
                return False
            others = [fact.host for fact in self._site.known_hosts()]
            for host in others:
                if host not in self._returned[owner]:
                    self._site.send_frame(host, Frame(copies=(Reclaim(owner),)))
            if not told and clock() > began + AGAIN_S * 4:
                told = True
                text = f"waits for shares of the secret of {owner}: {len(self._returned[owner])} hosts have answered"
                self._site.noticed(HOST, Tell("succession-waits", owner, text))
            await asyncio.sleep(AGAIN_S)
        return True


def _is_sound(parts: tuple[Part, ...]) -> bool:
    return len(parts) <= PARTS_MAX and all(len(part.share) == SHARE_BYTES and part.threshold > 0 for part in parts)


def digest_of(parts: tuple[Part, ...]) -> bytes:
    """Return by what a deposit is called."""
    return blake2b(msgspec.msgpack.encode(parts), digest_size=16).digest()


def decode_parts(record: bytes) -> tuple[Part, ...]:
    """Return the shares that a record holds. Raises: WireInvalid."""
    try:
        return _parts.decode(record)
    except UNREADABLE as error:
        raise WireInvalid(f"no shares: {error}") from error
