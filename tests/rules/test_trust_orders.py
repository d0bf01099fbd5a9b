"""How much is kept of what is said to all: nobody fills disks with it, or keeps others' words out (TR-3, TR-5)."""

from typing import Any

import msgspec
import pytest

from peer import errors
from peer.host.orders import Orders
from peer.keys import HostKeys
from peer.trust import trust as trusts
from peer.trust.badge import Badge
from peer.trust.grant import grant
from peer.trust.lies import lie_of
from peer.trust.orders import LIED, REVOKE, Order, edict_of, edict_of_body, order_of, signed
from peer.trust.rights import ALL
from peer.trust.trust import Trust
from protocol.action import Tell
from protocol.fact import HostFact
from protocol.ids import HostId

ROOT = HostKeys.from_seed(b"root")
ONE = HostKeys.from_seed(b"one")


class Post:
    """A host that notes what it is told."""

    host_id: HostId = "me"

    def __init__(self) -> None:
        self.told: list[str] = []

    def noticed(self, agent: str, notice: Tell) -> None:
        self.told.append(notice.notice)


def orders_of(*members: HostKeys) -> tuple[Orders, Trust, Post]:
    badge, post = Badge.issued(ROOT, HostKeys.from_seed(b"me")), Post()
    for keys in members:
        badge.trust.admit(Badge.issued(ROOT, keys).chain)
    stranger: Any = post
    return Orders(stranger, badge), badge.trust, post


def lied(keys: HostKeys, at: int, note: str = "") -> Order:
    """Return a proof of a host that contradicts itself, which it can make any number of."""
    badge = Badge.issued(ROOT, keys)
    one, other = (badge.prove(HostFact(keys.host_id, at, "here", (agent,))) for agent in ("a", "b"))
    return Order(LIED, keys.host_id, note, at, lie_of(one, other))


def evicted(at: int) -> Order:
    chain = (grant(ROOT, "one", ONE.public_key, ALL),)
    return signed(ONE, REVOKE, f"somebody {at}", "", at, chain=chain)


def is_taken(orders: Orders, trust: Trust, order: Order) -> bool:
    edict = edict_of(order)
    return orders.holds(edict) and trust.take(edict.id, order)


def test_tr5_all_proofs_against_one_host_are_one_word_to_all() -> None:
    edicts = [edict_of(lied(ONE, at, note)) for at, note in ((1, ""), (2, ""), (2, "another"))]
    assert len({edict.id for edict in edicts}) == 1
    assert len({edict.body for edict in edicts}) == 3
    for edict in edicts:
        assert order_of(edict) is not None
        assert edict_of_body(edict.body) == edict
    assert edict_of(lied(HostKeys.from_seed(b"two"), 1)).id != edicts[0].id
    assert order_of(msgspec.structs.replace(edicts[0], id="0" * 32)) is None
    orders, trust, _ = orders_of(ONE)
    assert is_taken(orders, trust, lied(ONE, 1))
    assert not is_taken(orders, trust, lied(ONE, 2))


def test_tr5_made_up_hosts_that_lie_do_not_fill_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusts, "LIARS_MAX", 3)
    orders, trust, post = orders_of(ONE)
    strangers = [HostKeys.from_seed(b"stranger %d" % number) for number in range(5)]
    assert [is_taken(orders, trust, lied(keys, 1)) for keys in strangers] == [True, True, True, False, False]
    assert post.told == ["orders-full"], "it is told, once"
    assert is_taken(orders, trust, lied(ONE, 1)), "who is known to lie is put out all the same"
    assert not trust.may_come(ONE.host_id)


def test_tr3_whoever_may_evict_keeps_nothing_out_that_the_authority_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusts, "ORDERS_MAX", 2)
    orders, trust, post = orders_of(ONE)
    assert [is_taken(orders, trust, evicted(at)) for at in range(1, 5)] == [True, True, False, False]
    assert post.told == ["orders-full"]
    with pytest.raises(errors.NotEntitled, match=r"no more than 2 revocations .* revoke with its key"):
        trust.check_order(evicted(9))
    assert is_taken(orders, trust, signed(ROOT, REVOKE, ONE.host_id, "enough", 5))
    assert not trust.may_come(ONE.host_id)
