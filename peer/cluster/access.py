"""Who belongs to a cluster and may do what: seen, granted, revoked, and made anew under another authority."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from peer import errors
from peer.host.host import Host
from peer.host.together import ORDER
from peer.keys import HostKeys
from peer.store.files import Files
from peer.trust import authority
from peer.trust.badge import Badge
from peer.trust.grant import encode_chain, ends_us, grant
from peer.trust.lies import proof_of
from peer.trust.orders import REGRANT, RETIRE, REVOKE, TRUST, Order, signed
from peer.trust.rights import OF_HOSTS
from peer.trust.token import Token
from peer.values.brief import brief
from peer.values.fields import days_of
from peer.values.texts import NAME_CHARS_MAX, REASON_CHARS_MAX, check_text
from protocol.fact import HostFact
from protocol.ids import AgentId, HostId

NEXT = "authority.key.next"
OLD = "authority.key.old"
"""In a cluster's folder, while its authority is being changed: the key that comes, and the one that goes."""
LOOK_S = 0.05
ANSWER_S = 5.0
"""How long hosts are waited for that do not answer: they hear of it from the others."""
HOUR_US = 3_600_000_000


class Membership(NamedTuple):
    """A host, and by what it belongs."""

    host: HostId
    name: str
    """Of its grant."""
    may: tuple[str, ...]
    until_us: int
    """When that ends; 0: never."""
    grants: tuple[str, ...]
    """The ids of its chain, the authority's first: to revoke one is to revoke all below it."""
    agents: tuple[AgentId, ...]
    address: str
    why_out: str
    """Why it is out; empty: it is not."""


class Access:
    """What a peer sees and says of access; have it by `cluster.access`.

    Args:
        host: the peer's.
        folder: the cluster's, where its authority is, if whoever asks may read it.
    """

    def __init__(self, host: Host, folder: Path) -> None:
        self._host = host
        self._folder = folder

    @property
    def _badge(self) -> Badge:
        return self._host.badge

    def members(self) -> list[Membership]:
        """Return the other hosts that have been heard of, by id."""
        trust, found = self._badge.trust, list[Membership]()
        for fact in self._host.known_hosts():
            proof = proof_of(fact)
            if proof is None or not proof.chain:
                continue
            chain, last = proof.chain, proof.chain[-1]
            found.append(
                Membership(
                    fact.host, last.name, last.may, ends_us(chain), tuple(one.id for one in chain),
                    fact.agents, fact.address, trust.why_out(fact.host),
                )
            )  # fmt: skip
        return found

    def token(self, name: str, may: tuple[str, ...] = OF_HOSTS, *, uses: int = 1, hours: float = 24.0) -> str:
        """Return a token by which others may join: `Cluster.attach(token=...)`. It is a secret.

        Args:
            name: of the token, by which its members are told.
            may: rights of whoever comes by it.
            uses: how many keys may come by it; 0: any number.
            hours: for how long; 0: for good.

        Raises: ConfigInvalid, without the authority's key; CallerError, for what is no name or no right.
        """
        lasting = days_of("hours", hours, 24)
        if not 0 <= uses < 1 << 63 or lasting < 0:
            raise errors.CallerError(f"uses={brief(uses)}, hours={lasting:g}: both are 0 or more. Nothing was granted.")
        until_us = self._host.clock.now_us() + round(lasting * HOUR_US) if lasting else 0
        root = authority.load(self._folder)
        known = [fact.address for fact in self._host.known_hosts() if fact.agents]
        return Token.made(root, name, may, uses=uses, until_us=until_us, addresses=tuple(known[:16])).text()

    async def revoke(self, what: str, why: str) -> int:
        """Have a grant count no more, and what was granted by it: all hosts hear of it, and none forgets.

        Args:
            what: a grant's id, a host's id, a public key in hex, or the name of a host's grant.
            why: stands in every host's log.

        Returns: how many hosts have written it down; the others hear of it from them.

        Raises: NotEntitled, if this peer may not; CallerError, for nobody's name.
        """
        why = check_text("why", why, REASON_CHARS_MAX, "Nothing was revoked.")
        subject = self._named(check_text("what", what, NAME_CHARS_MAX, "Nothing was revoked."))
        now_us = self._host.clock.now_us()
        try:
            order = signed(authority.load(self._folder), REVOKE, subject, why, now_us)
        except errors.ConfigInvalid:
            order = signed(self._badge.keys, REVOKE, subject, why, now_us, chain=self._badge.chain)
        return await self._say(order)

    async def _say(self, order: Order) -> int:
        """Say something to all hosts, and wait for those that answer soon; return how many do."""
        edict = self._host.orders.say(order)
        others = [host for host in self._host.neighbours.machine.living() if host != self._host.host_id]
        asks = (
            self._host.asking.ask_host(host, ORDER, edict.body, timeout_s=ANSWER_S)
            for host in others
            if not self._badge.trust.why_out(host)
        )
        said = await asyncio.gather(*asks, return_exceptions=True)
        for each in said:
            if isinstance(each, BaseException) and not isinstance(each, errors.AskTimeout):
                raise each
        return sum(not isinstance(each, BaseException) for each in said)

    def _named(self, what: str) -> str:
        if len(what) in (16, 64) and all(digit in "0123456789abcdef" for digit in what):
            return what
        found = {each.host for each in self.members() if each.name == what}
        if len(found) != 1:
            raise errors.CallerError(
                f"{what!r} is no id of a grant or a host, no public key in hex, and the name of {len(found)} hosts."
                " Nothing was revoked. `ebbtide access members` lists them."
            )
        return found.pop()

    async def rotate(self, timeout_s: float = 60.0, told: Callable[[int, int], None] = lambda _, __: None) -> int:
        """Give the cluster another authority: all hosts get grants of it, and then the old key counts no more.

        What ends halfway is gone on with by the next call. Grants of people and tokens of the old authority end with
        it: make them anew.

        Args:
            timeout_s: how long hosts may take to take their new grants.
            told: is told how many have, of how many.

        Returns: how many hosts have.

        Raises: ConfigInvalid, without the authority's key; AskTimeout, if some have not: the old key still counts.
        """
        old = authority.load(self._folder)
        if (self._folder / OLD).exists():
            before = HostKeys.load(self._folder / OLD)
            if before.public_key != old.public_key:
                # All but this was done.
                await self._retire(old, before)
                return len(self._host.neighbours.machine.living()) - 1
        new = HostKeys.load_or_create(self._folder / NEXT)
        now_us = self._host.clock.now_us
        await self._say(signed(old, TRUST, new.host_id, "the authority is changed", now_us(), value=new.public_key))
        await self._regrant(self._host.host_id, new)
        loop, given = asyncio.get_running_loop(), set[HostId]()
        until = loop.time() + timeout_s
        while True:
            living = set(self._host.neighbours.machine.living()) - {self._host.host_id}
            done = {fact.host for fact in self._host.known_hosts() if _is_by(fact, new)} & living
            told(len(done), len(living))
            if living <= done:
                break
            for each in self.members():
                if each.host not in given and each.host in living:
                    given.add(each.host)
                    await self._regrant(each.host, new)
            if loop.time() > until:
                raise errors.AskTimeout(
                    f"{len(living - done)} of {len(living)} hosts have not taken their new grants within"
                    f" {timeout_s:g} s: {', '.join(sorted(living - done)[:8])}. The old key still counts. Run it again."
                )
            await asyncio.sleep(LOOK_S)
        old.save(self._folder / OLD)
        Files().replace(self._folder / NEXT, self._folder / authority.FILE)
        Files().sync_folder(self._folder)
        await self._retire(new, old)
        return len(done)

    async def _retire(self, new: HostKeys, old: HostKeys) -> None:
        """Say that an old key counts no more, and forget it."""
        now_us = self._host.clock.now_us()
        await self._say(signed(new, RETIRE, old.host_id, "the authority was changed", now_us, value=old.public_key))
        (self._folder / OLD).unlink(missing_ok=True)

    async def _regrant(self, host: HostId, new: HostKeys) -> None:
        member = self._badge.trust.member(host)
        if member is None:
            return  # it is out, and stays so
        chain = (grant(new, member.grant.name, member.public_key, member.grant.may, until_us=member.until_us),)
        order = signed(new, REGRANT, host, "the authority was changed", self._host.clock.now_us(),
                       value=encode_chain(chain))  # fmt: skip
        await self._say(order)


def _is_by(fact: HostFact, new: HostKeys) -> bool:
    proof = proof_of(fact)
    return proof is not None and bool(proof.chain) and proof.chain[0].by == new.public_key
