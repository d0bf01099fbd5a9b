"""What is said to all hosts about grants, at one host: kept in its log, obeyed at once, passed on (TR-3 to TR-5)."""

from collections.abc import Callable
from typing import Protocol

from peer.errors import NotEntitled
from peer.ports import Clock, LogStore, Transport
from peer.trust.badge import Badge
from peer.trust.lies import proof_of
from peer.trust.orders import LIED, LOG, REGRANT, RETIRE, TRUST, USED, Order, edict_of, edict_of_body, order_of
from protocol.action import Tell
from protocol.fact import Edict, Fact, HostFact
from protocol.ids import HOST, AgentId, HostId

CHARGES_TOLD = 3
"""Of one host: then its charges are only counted."""


class Post(Protocol):
    """The host."""

    host_id: HostId
    clock: Clock
    transport: Transport

    @property
    def store(self) -> LogStore:
        """Its log."""
        ...

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """Keep a line for whoever audits."""
        ...

    def spread(self, fact: Fact) -> None:
        """Let every host know a fact."""
        ...

    def announce(self) -> None:
        """Let the other hosts know who is here."""
        ...


class Orders:
    """Revocations and the like, as one host knows them."""

    def __init__(self, post: Post, badge: Badge) -> None:
        self._post = post
        self._badge = badge
        self._overused: dict[str, None] = {}
        self._full: dict[str, None] = {}
        """Kinds of orders of which there are too many."""
        badge.used = self.used
        self.charges: dict[HostId, int] = {}
        """By host, how much of what it has sent was refused."""
        self.renewed: Callable[[], None] = lambda: None
        """Told when this host has another chain of its own: whoever keeps its folder writes it there."""

    def open(self) -> None:
        """Go on from the log: nothing that was revoked is worth anything again, whatever was undone or restored."""
        for data in self._post.store.read(LOG):
            edict = edict_of_body(data)
            order = order_of(edict)
            if order is not None and self._badge.trust.take(edict.id, order) and order.kind != USED:
                self._post.spread(edict)
        self._renew()

    def is_known(self, edict: Edict) -> bool:
        """Tell whether this very edict was heard before."""
        return self._badge.trust.has_taken(edict.id)

    def holds(self, edict: Edict) -> bool:
        """Tell whether an edict may be said by whom it names."""
        order = order_of(edict)
        if order is None or order.kind == USED or not self._badge.trust.holds(order):
            return False
        if self._badge.trust.has_room(order):
            return True
        if order.kind not in self._full:
            self._full[order.kind] = None
            text = "there are so many of them that no more are kept; what the authority says is kept all the same"
            self._post.noticed(HOST, Tell("orders-full", order.kind, text))
        return False

    def obey(self, body: bytes, answered: Callable[[bytes, str], None]) -> None:
        """Take in what somebody says to all, pass it on, and answer once it is durable here. Raises: NotEntitled."""
        edict = edict_of_body(body)
        order = order_of(edict)
        if order is None or order.kind == USED:
            raise NotEntitled("that is no order about grants. Nothing changed.")
        if not self.is_known(edict):
            self._badge.trust.check_order(order)
            self._post.spread(edict)
        # After what it has made this host write.
        self._post.store.append(LOG, [], lambda: answered(edict.id.encode(), ""))

    def heard(self, edict: Edict) -> None:
        """Take in what was said to all, here or elsewhere: it is obeyed at once, and durable soon."""
        order = order_of(edict)
        if order is None or not self._badge.trust.take(edict.id, order):
            return
        self._keep(edict)
        what = {LIED: "host-lied"}.get(order.kind, f"grant-{order.kind}")
        self._post.noticed(HOST, Tell(what, order.subject, order.note))
        if order.kind == REGRANT and order.subject == self._post.host_id:
            self._renew()
        elif order.kind in (TRUST, RETIRE):
            self.renewed()

    def say(self, order: Order) -> Edict:
        """Say something to all hosts; return it as it is said. Raises: NotEntitled, if it does not hold."""
        edict = edict_of(order)
        self._badge.trust.check_order(order)
        self._post.spread(edict)
        return edict

    def lied(self, host: HostId, proof: bytes, why: str) -> None:
        """A host is proven to lie: tell everybody, who can check that, and have nothing to do with it any more."""
        if host != self._post.host_id:
            self._post.spread(edict_of(Order(LIED, host, why, self._post.clock.now_us(), proof)))

    def seen(self, fact: HostFact) -> None:
        """A host belongs by this; if more have come by its token than it is for, that is told, once."""
        proof = proof_of(fact)
        name = "" if proof is None else self._badge.trust.is_overused(proof.chain)
        if name and name not in self._overused:
            self._overused[name] = None
            text = "more have come by it than it is for, to several hosts at once: see `ebbtide access members`"
            self._post.noticed(HOST, Tell("token-overused", name, text))

    def charge(self, host: HostId, what: str) -> None:
        """Something that a host has sent is refused: it is counted, and told, the first times of each host."""
        self.refused()
        count = self.charges[host] = self.charges.get(host, 0) + 1
        if count <= CHARGES_TOLD:
            self._post.noticed(HOST, Tell("refused", host, what))

    def refused(self) -> None:
        """Something is refused of which nobody knows whose fault it is."""
        self._post.transport.counts.refused += 1

    def used(self, grant: str, key: bytes) -> None:
        """A key has come by a grant that counts: this host remembers that over restarts."""
        order = Order(USED, grant, "", 0, key)
        edict = edict_of(order)
        if self._badge.trust.take(edict.id, order):
            self._keep(edict)

    def _keep(self, edict: Edict) -> None:
        self._post.store.append(LOG, [edict.body], lambda: None)

    def _renew(self) -> None:
        chain = self._badge.trust.regranted.get(self._post.host_id)
        if chain is not None and self._badge.renew(chain):
            self.renewed()
            self._post.announce()
