"""Opens what others have sealed, once it has their secret: by shares that their trustees return (TR-11)."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, islice

from peer.errors import LogCorrupt
from peer.replication.sealing import Seal, level_of
from peer.replication.shares import check_of, secret_of, share_of
from peer.replication.trustee import Trustee, is_sound, said_of
from peer.site import Site
from peer.trust.lies import signed_by
from protocol.action import Tell
from protocol.checkpoints.copy import Part, Reclaim, Returned
from protocol.checkpoints.succession import backups_of
from protocol.ids import HOST, AgentId, HostId
from protocol.wire import Frame

AGAIN_S = 0.5
TRIED_MAX = 1000
"""Sets of shares that are tried: some may be lies."""


class Opener:
    """What one host can open: its own copies, and those of hosts that it has succeeded.

    Args:
        site: the host.
        trustee: keeps its shares.
        own: returns what opens its own copies, by level.
    """

    def __init__(self, site: Site, trustee: Trustee, own: Callable[[int], Seal]) -> None:
        self._site = site
        self._trustee = trustee
        self._own = own
        self._returned: dict[HostId, dict[HostId, tuple[Part, ...]]] = {}
        """By owner whose shares are asked for, what others have returned."""
        self._seals: dict[tuple[HostId, int], Seal] = {}

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
        return bool(self._trustee.of(owner)) or any(self._returned.get(owner, {}).values())

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

    def _find(self, owner: HostId, level: int) -> Seal | None:
        """Return what opens a level of an owner's; None if its secret is not here, nor shares enough."""
        if owner == self._site.host_id:
            return self._own(level)
        if (owner, level) not in self._seals:
            secret = self._joined(owner, level)
            if secret is None:
                return None
            self._seals[owner, level] = Seal(secret, level)
            # The next life of this host need not ask for it again.
            whole = Part(level, 1, share_of(secret, 1, HOST), check_of(secret))
            self._trustee.keep(owner, [whole], lambda: None)
        return self._seals[owner, level]

    def _joined(self, owner: HostId, level: int) -> bytes | None:
        found: dict[tuple[int, bytes], dict[HostId, bytes]] = {}
        own = {self._site.host_id: self._trustee.of(owner)}
        for trustee, parts in {**self._returned.get(owner, {}), **own}.items():
            for part in parts:
                if part.level == level and part.threshold:
                    found.setdefault((part.threshold, part.check), {})[trustee] = part.share
        for (enough, check), shares in sorted(found.items()):
            # Its trustees are among the first: others, who have none, can't keep these from being tried.
            ranked = [(host, shares[host]) for host in backups_of(owner, shares, len(shares))]
            for some in islice(combinations(ranked, enough), TRIED_MAX):
                secret = secret_of(dict(some), check)
                if secret is not None:
                    return secret
        return None

    def returned(self, sender: HostId, message: Returned) -> None:
        """A trustee has returned its shares."""
        owner = message.owner
        if owner in self._returned and is_sound(message.parts):
            # Whoever made a secret up could return all the shares that make it.
            own = tuple(part for part in message.parts if signed_by(part.proof, said_of(owner, part)) == owner)
            self._returned[owner][sender] = own

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
