"""What an authority that is retired is still good for (TR-4), and whose chain is whose (TR-1)."""

import pytest

from peer import errors
from peer.keys import HostKeys
from peer.people.person import Act, Person, signer_of
from peer.trust.badge import Badge
from peer.trust.grant import encode_chain, grant
from peer.trust.orders import REGRANT, RETIRE, TRUST, Order, edict_of, signed
from peer.trust.rights import ALL
from peer.trust.trust import Trust

ROOT = HostKeys.from_seed(b"root")
ONE, TWO, THREE = (HostKeys.from_seed(name) for name in (b"one", b"two", b"three"))


def trust_of_root() -> Trust:
    found = Trust((ROOT.public_key,))
    found.now_us = lambda: 1_000
    return found


def chain_of(keys: HostKeys, may: tuple[str, ...] = ALL) -> tuple:
    return (grant(ROOT, "one", keys.public_key, may),)


def taken(believer: Trust, order: Order) -> bool:
    return believer.take(edict_of(order).id, order)


def test_tr4_an_authority_that_is_retired_gives_nobody_more_than_they_had():
    believer, new = trust_of_root(), HostKeys.from_seed(b"new")
    believer.admit(chain_of(ONE, ("look:*",)))
    taken(believer, signed(ROOT, TRUST, "n", "", 5, value=new.public_key))
    taken(believer, signed(new, RETIRE, "r", "", 7, value=ROOT.public_key))
    assert believer.may_come(ONE.host_id), "it has some time yet"
    # Its key may be in a thief's hands: that is why it is retired.
    believer.admit(chain_of(ONE))
    taken(believer, signed(ROOT, REGRANT, ONE.host_id, "", 8, value=encode_chain(chain_of(ONE))))
    assert believer.member(ONE.host_id).grant.may == ("look:*",)
    assert ONE.host_id not in believer.regranted
    assert not taken(believer, signed(ROOT, TRUST, "n", "", 9, value=THREE.public_key))
    assert not taken(believer, signed(ROOT, RETIRE, "r", "", 9, value=new.public_key))
    person = Person(TWO, chain_of(TWO))
    act = Act("resume", "a", "", "", "", b"", 9)
    with pytest.raises(errors.NotEntitled, match="is retired"):
        signer_of(believer, person.proof(act), act)


def test_tr1_nobody_comes_in_by_a_chain_that_another_was_given():
    badge, other = Badge.issued(ROOT, ONE), Badge.issued(ROOT, TWO)
    assert not badge.welcome(THREE.host_id, other.hello())
    assert badge.trust.member(TWO.host_id) is None, "nor was the other let in by it"
    assert not badge.welcome(THREE.host_id, b"no chain")
    assert badge.welcome(TWO.host_id, other.hello())
    assert badge.trust.member(TWO.host_id) is not None
