"""Whom one host believes: the authority's keys, the chains that hold, and what has been revoked (TR-1 to TR-4)."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from peer import errors
from peer.keys import PUBLIC_KEY_BYTES, host_id_of
from peer.transport.curve import curve_public
from peer.trust.grant import Chain, Grant, counted, decode_chain, ends_us, holder
from peer.trust.lies import contradiction_of
from peer.trust.orders import LIED, REGRANT, RETIRE, REVOKE, TRUST, USED, Order
from peer.trust.rights import EVICT, HOST, allows
from protocol.ids import AgentId, HostId

EXPECTED_MAX = 1024
"""Hosts at whose addresses this one has knocked, and that it has not met yet."""
RETIRE_US = 600_000_000
"""How long members may hang on an authority's key that is retired, before they are out: news are faster."""
ORDERS_MAX = 100_000
"""Of those who may evict, kept at a host: they can't fill its disk, nor keep out what the authority says."""
LIARS_MAX = 1_000
"""Proofs against hosts that are not known here: anybody can make keys, and have each of them lie."""


class Member(NamedTuple):
    """A host whose chain holds."""

    host: HostId
    public_key: bytes
    grant: Grant
    chain: Chain
    until_us: int
    """When the first grant of its chain ends; 0: none does."""


class Trust:
    """What one host knows of who may what.

    Args:
        roots: public keys of the cluster's authority.
    """

    def __init__(self, roots: Iterable[bytes]) -> None:
        self.now_us: Callable[[], int] = lambda: time.time_ns() // 1000
        """The time: whoever runs in another sets it."""
        self.roots = dict.fromkeys(roots)
        self._ever = dict(self.roots)
        """Also those that are retired: what they have revoked stays so."""
        self._revoked: dict[str, str] = {}
        """By grant's id, host's id or public key in hex: why."""
        self._lied: dict[HostId, str] = {}
        self._members: dict[HostId, Member] = {}
        self._by_curve: dict[bytes, HostId] = {}
        self._expected: OrderedDict[bytes, HostId] = OrderedDict()
        """By the key of CURVE, whom this host wants to meet."""
        self._used: dict[str, dict[bytes, None]] = {}
        """By grants that count, the keys that have come by them."""
        self._retiring: dict[bytes, int] = {}
        """Keys of the authority that are to count no more, and since when that is known."""
        self._orders: dict[str, None] = {}
        """What was taken in, by id of the edict."""
        self._delegated = 0
        """How many of those are of whoever may evict."""
        self._strangers = 0
        """How many are proofs against hosts that were not known here."""
        self.regranted: dict[HostId, Chain] = {}

    # -- chains

    def check(self, chain: Chain, is_known: bool = False) -> Grant:
        """Return what the holder of a chain may.

        Args:
            is_known: a member hangs on it, who has some time yet to get another when the authority is retired.

        Raises: NotEntitled, if it does not hold, or something of it is revoked.
        """
        found = holder(chain, self.roots, self.now_us())
        if not is_known and chain[0].by in self._retiring:
            raise errors.NotEntitled(
                f"the authority that vouches for {found.name} is retired. Nothing changed. Whoever holds the folder of"
                " the cluster can make another grant."
            )
        for one in chain:
            names = (one.id, one.public_key.hex(), host_id_of(one.public_key))
            why = next((self._revoked[name] for name in names if name in self._revoked), None)
            if why is not None:
                raise errors.NotEntitled(
                    f"the grant of {one.name} was revoked{why and f': {why}'}. Nothing changed. Whoever holds the"
                    " folder of the cluster can make another, for another key."
                )
        return found

    def admit(self, chain: Chain, counts: bool = False) -> Member:
        """Take a host for a member.

        Args:
            counts: it comes to this host itself, and is one more use of a grant that counts them.

        Raises: NotEntitled.
        """
        known = self._members.get(host_id_of(chain[-1].public_key)) if chain else None
        grant = self.check(chain, is_known=known is not None)
        host = host_id_of(grant.public_key)
        if host in self._lied:
            raise errors.NotEntitled(f"host {host} has lied: {self._lied[host]}. Nothing changed.")
        if known is not None and (known.chain == chain or chain[0].by in self._retiring):
            return known  # a key that is retired gives nobody more than they had
        if counts:
            self._check_uses(chain)
        member = self._members[host] = Member(host, grant.public_key, grant, chain, ends_us(chain))
        self._by_curve[curve_public(grant.public_key)] = host
        self._expected.pop(curve_public(grant.public_key), None)
        for counts_uses, key in counted(chain):
            self._used.setdefault(counts_uses.id, {})[key] = None
        if self._retiring:
            self._retire()
        return member

    def _check_uses(self, chain: Chain) -> None:
        for token, key in counted(chain):
            used = self._used.get(token.id, {})
            if key not in used and len(used) >= token.uses:
                raise errors.NotEntitled(
                    f"the token {token.name} was for {token.uses} key{'s' if token.uses > 1 else ''}, and as many have"
                    " come by it. Nothing changed. Make another: `ebbtide access token`."
                )

    def is_overused(self, chain: Chain) -> str:
        """Return the name of a token of a chain by which more have come than it is for; empty: none is."""
        return next((one.name for one in chain if one.uses and len(self._used.get(one.id, ())) > one.uses), "")

    # -- members

    def member(self, host: HostId) -> Member | None:
        """Return a member whose chain holds now; None for anybody else."""
        found = self._members.get(host)
        if found is None or (found.until_us and found.until_us < self.now_us()):
            return None
        return found

    def expect(self, public_key: bytes) -> None:
        """This host knocks where one with this key is said to be: what that answers is let in, too."""
        if len(public_key) == PUBLIC_KEY_BYTES and host_id_of(public_key) not in self._lied:
            self._expected[curve_public(public_key)] = host_id_of(public_key)
            while len(self._expected) > EXPECTED_MAX:
                self._expected.popitem(last=False)

    def host_at(self, curve_key: bytes) -> HostId | None:
        """Return who may connect by a key of CURVE; None: nobody who is known."""
        host = self._by_curve.get(curve_key)
        if host is not None and self.member(host) is not None:
            return host
        return self._expected.get(curve_key)

    def may_come(self, host: HostId) -> bool:
        """Tell whether frames of a host are read: it is a member, or was knocked at."""
        return self.member(host) is not None or host in self._expected.values()

    def may(self, host: HostId, verb: str, agent: AgentId) -> bool:
        """Tell whether a member may do this to an agent."""
        member = self.member(host)
        return member is not None and allows(member.grant.may, verb, agent)

    def may_host(self, host: HostId, agents: Iterable[AgentId]) -> bool:
        """Tell whether all these agents may live on a host."""
        member = self.member(host)
        return member is not None and all(allows(member.grant.may, HOST, agent) for agent in agents)

    def why_out(self, host: HostId) -> str:
        """Return why a host that was known is out; empty: it is not."""
        if host in self._lied:
            return self._lied[host]
        return self._revoked.get(host, "")

    # -- orders

    def take(self, id: str, order: Order) -> bool:
        """Take in what is said to all; True if it is news, and may be said by whom it names."""
        if id in self._orders or not self.holds(order) or not self.has_room(order):
            return False
        self._orders[id] = None
        self._delegated += bool(order.chain)
        self._strangers += order.kind == LIED and order.subject not in self._members
        if order.kind == USED:
            self._used.setdefault(order.subject, {})[order.value] = None
            return True  # it puts nobody out
        if order.kind == REVOKE:
            self._revoked[order.subject] = order.note
        elif order.kind == LIED:
            self._lied[order.subject] = order.note
        elif order.kind == TRUST:
            self.roots[order.value] = self._ever[order.value] = None
        elif order.kind == RETIRE:
            self._retiring.setdefault(order.value, self.now_us())
        else:
            self._regrant(order.subject, order.value)
        self._look_again()
        return True

    def has_room(self, order: Order) -> bool:
        """Tell whether an order is kept, if it holds: of some there can be any number."""
        if order.kind == LIED:
            return order.subject in self._members or self._strangers < LIARS_MAX
        return not order.chain or self._delegated < ORDERS_MAX

    def has_taken(self, id: str) -> bool:
        """Tell whether this was taken in before."""
        return id in self._orders

    def check_order(self, order: Order) -> None:
        """Raises: NotEntitled, if an order does not hold."""
        if not self.holds(order):
            raise errors.NotEntitled(
                f"nobody obeys this {order.kind!r} of {order.subject}: it takes the authority's key, or, to revoke, a"
                f" grant of '{EVICT}:*'. Nothing changed."
            )
        if not self.has_room(order):
            raise errors.NotEntitled(
                f"no more than {ORDERS_MAX} revocations of those who may evict are kept, and there are so many. Nothing"
                " changed. The authority's own are kept all the same: revoke with its key."
            )

    def holds(self, order: Order) -> bool:
        """Tell whether an order may be given by whom it names."""
        if order.kind == LIED:
            return contradiction_of(order.value) == order.subject
        if order.kind == USED:
            return not order.by
        if order.kind not in (REVOKE, TRUST, RETIRE, REGRANT) or not order.is_signed:
            return False
        if not order.chain:
            # What an authority that is retired has revoked stays so; it names no other key any more.
            if order.kind in (REVOKE, REGRANT):
                return order.by in self._ever
            return order.by in self.roots and order.by not in self._retiring
        try:
            grant = holder(order.chain, self._ever, order.at_us)
        except errors.NotEntitled:
            return False
        return grant.public_key == order.by and order.kind == REVOKE and allows(grant.may, EVICT, "*")

    def _regrant(self, host: HostId, data: bytes) -> None:
        """A host has another chain: it is let in by that at once, though it does not know of it itself yet."""
        try:
            chain = decode_chain(data)
            if not chain or host_id_of(chain[-1].public_key) != host or self.member(host) is None:
                return
            if self.admit(chain).chain == chain:
                self.regranted[host] = chain
        except errors.NotEntitled:
            return

    def _retire(self) -> None:
        """Let go of keys that nobody here hangs on any more, or that had their time."""
        for root, since_us in self._retiring.items():
            hang = any(member.chain[0].by == root for member in self._members.values())
            if root in self.roots and (not hang or self.now_us() - since_us > RETIRE_US):
                del self.roots[root]

    def _look_again(self) -> None:
        """Drop those whose chains hold no more; one that has another by now is kept by that."""
        self._retire()
        for host, member in list(self._members.items()):
            try:
                self.check(member.chain, is_known=True)
                out = host in self._lied
            except errors.NotEntitled:
                out = True
            if out:
                del self._members[host]
                self._by_curve.pop(curve_public(member.public_key), None)
        for host in (*self._lied, *self._revoked):
            for key in [key for key, expected in self._expected.items() if expected == host]:
                del self._expected[key]
