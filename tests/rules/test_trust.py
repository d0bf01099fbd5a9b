"""Who belongs, who may do what, and what a lie comes to (TR-1 to TR-8; TR-9: test_disputes.py)."""

from itertools import count

import msgspec
import pytest

from peer import errors
from peer.host.entitlement import Entitlement
from peer.host.questions import EffectAsk, Propose, encode
from peer.host.repeats import ASKERS_MAX, OF_ONE_MAX, Repeats
from peer.host.together import EACH, REST, Each
from peer.host.vouching import Vouching
from peer.keys import HostKeys
from peer.transport.turns import LINE_BYTES_MAX, LINE_FRAMES_MAX, Turns
from peer.trust.badge import Badge
from peer.trust.grant import CHAIN_MAX, encode_chain, grant
from peer.trust.lies import contradiction_of, lie_of
from peer.trust.orders import LIED, REGRANT, RETIRE, REVOKE, TRUST, Order, edict_of, order_of, signed
from peer.trust.rights import ALL, OF_HOSTS, allows, checked, is_narrower
from peer.trust.token import Token
from peer.trust.trust import RETIRE_US, Trust
from protocol.checkpoints.witness import Head
from protocol.fact import Began, Claim, HostFact
from protocol.ids import HOST, StepId
from protocol.message import Ballot
from protocol.message import Propose as ProposeMessage
from protocol.proposal import Proposal
from protocol.wire import Answer, Ask

ROOT = HostKeys.from_seed(b"root")
ONE, TWO, THREE = (HostKeys.from_seed(name) for name in (b"one", b"two", b"three"))


def trust() -> Trust:
    found = Trust((ROOT.public_key,))
    found.now_us = lambda: 1_000
    return found


def chain_of(keys: HostKeys, may: tuple[str, ...] = ALL, **more: int) -> tuple:
    return (grant(ROOT, "one", keys.public_key, may, **more),)


def taken(believer: Trust, order: Order) -> bool:
    return believer.take(edict_of(order).id, order)


# -- TR-1


def test_tr1_only_a_chain_from_the_authority_lets_a_host_in():
    believer = trust()
    assert believer.admit(chain_of(ONE)).host == ONE.host_id
    assert believer.may_come(ONE.host_id)
    assert not believer.may_come(TWO.host_id)
    with pytest.raises(errors.NotEntitled, match="does not vouch for one"):
        believer.admit((grant(TWO, "one", TWO.public_key, ALL),))
    forged = msgspec.structs.replace(chain_of(TWO)[0], may=("host:*",))
    with pytest.raises(errors.NotEntitled, match="signature does not fit"):
        believer.admit((forged,))
    with pytest.raises(errors.NotEntitled, match="1 to 4 grants, and this one 0"):
        believer.admit(())


def test_tr1_who_this_host_goes_to_see_is_let_in_and_nobody_else():
    believer = trust()
    believer.expect(TWO.public_key)
    assert believer.may_come(TWO.host_id)
    assert not believer.may(TWO.host_id, "look", "a")
    assert not believer.may_come(THREE.host_id)


def test_tr1_a_grant_that_has_ended_lets_nobody_in_and_puts_out_who_was():
    believer = trust()
    believer.admit(chain_of(ONE, until_us=1_500))
    believer.now_us = lambda: 1_501
    assert not believer.may_come(ONE.host_id)
    with pytest.raises(errors.NotEntitled, match="has ended"):
        believer.admit(chain_of(TWO, until_us=1_500))


# -- TR-2


def test_tr2_rights_are_words_that_anybody_can_compare():
    assert allows(("look:*",), "look", "a")
    assert allows(("look:orders-*",), "look", "orders-1")
    assert allows(("look:orders-*",), "look", "orders-*")
    assert not allows(("look:orders-*",), "look", "order")
    assert not allows(("look:orders-1",), "look", "*")
    assert not allows(("submit:*",), "look", "a")
    assert is_narrower(("look:orders-1", "submit:a"), ("look:orders-*", "submit:*"))
    assert not is_narrower(("look:*",), ("look:orders-*",))
    for wrong in ("look", "look:", "fly:*", "look:a*b", "look:*a", ":*", "look:" + "x" * 300):
        with pytest.raises(errors.CallerError, match="is no right"):
            checked((wrong,))


def test_tr2_a_chain_narrows_down_and_never_widens():
    believer, narrow = trust(), grant(ROOT, "desk", ONE.public_key, ("look:*", "submit:orders-*"))
    good = (narrow, grant(ONE, "helper", TWO.public_key, ("submit:orders-7",)))
    assert believer.check(good).may == ("submit:orders-7",)
    with pytest.raises(errors.NotEntitled, match="it is for more"):
        believer.check((narrow, grant(ONE, "helper", TWO.public_key, ("submit:*",))))
    with pytest.raises(errors.NotEntitled, match="not signed by the holder of the grant before"):
        believer.check((narrow, grant(THREE, "helper", TWO.public_key, ("look:*",))))
    long = [grant(ROOT, "a", ONE.public_key, ALL)] + [grant(ONE, "a", ONE.public_key, ALL)] * CHAIN_MAX
    with pytest.raises(errors.NotEntitled, match="1 to 4 grants"):
        believer.check(tuple(long))


def test_tr2_a_question_takes_the_right_to_ask_it():
    believer = trust()
    believer.admit(chain_of(ONE, ("look:*", "submit:orders-*", "rollback:orders-*")))
    check = Entitlement(believer).check

    def asks(agent: str, what: str, body: bytes = b"") -> bool:
        try:
            check(ONE.host_id, Ask(1, agent, what, body))
        except errors.NotEntitled:
            return False
        return True

    def propose(*agents: str) -> bytes:
        roots = tuple(StepId(agent, 1, 1) for agent in agents)
        return encode(Propose(roots, "retry", "", b"", (), 0))

    assert asks("orders-1", "submit")
    assert not asks("bank", "submit")
    assert asks("bank", "state")
    assert asks("bank", "status")
    assert asks("orders-1", "propose", propose("orders-1"))
    assert not asks("orders-1", "propose", propose("orders-1", "bank"))
    assert asks("orders-1", "effect", encode(EffectAsk("x", "counter")))
    assert not asks("orders-1", "effect", encode(EffectAsk("x", "retry")))
    for what in ("say", "pause", "tier", "restore", "checkpoint", "leave", "move", "make", "take", "room"):
        assert not asks("orders-1", what)
    assert asks(HOST, REST)
    assert asks(HOST, EACH, encode(Each("status", ("bank",), b"")))
    with pytest.raises(errors.NotEntitled, match=f"{TWO.host_id} may not look"):
        check(TWO.host_id, Ask(1, "bank", "state", b""))


def test_tr2_a_host_speaks_for_agents_that_it_may_host_and_for_no_others():
    believer = Badge.issued(ROOT, THREE)
    narrow = Badge.issued(ROOT, ONE, ("host:orders-*",))
    fact = HostFact(ONE.host_id, 1, "there", ("orders-1",))
    assert believer.believes(narrow.prove(fact))
    assert not believer.believes(narrow.prove(msgspec.structs.replace(fact, agents=("bank",))))
    assert not believer.believes(msgspec.structs.replace(narrow.prove(fact), address="elsewhere"))
    assert not believer.believes(Badge.issued(ROOT, TWO).prove(fact))
    for agent, is_its in (("orders-2", True), ("bank", False)):
        assert believer.may_say(narrow.vouch(Claim(agent, 2, ONE.host_id))) is is_its
        assert believer.may_say(narrow.vouch(Began(agent, 2, ((1, 5),)))) is is_its
    assert not believer.may_say(narrow.vouch(Claim("orders-2", 2, TWO.host_id)))
    assert not believer.may_say(Claim("orders-2", 2, ONE.host_id))


def test_tr2_a_token_lets_in_as_many_as_it_is_for():
    token = Token.of(Token.made(ROOT, "desk", OF_HOSTS, uses=2).text())
    believer = trust()
    badges = [Badge.joined(token, HostKeys.generate()) for _ in range(3)]
    for badge in badges[:2]:
        believer.admit(badge.chain, counts=True)
    believer.admit(badges[0].chain, counts=True)
    with pytest.raises(errors.NotEntitled, match="was for 2 keys, and as many have come"):
        believer.admit(badges[2].chain, counts=True)
    # Heard of by others it is let in: two hosts must not differ on who belongs. But it is told.
    assert not believer.is_overused(badges[1].chain)
    believer.admit(badges[2].chain)
    assert believer.is_overused(badges[2].chain) == "desk"
    for wrong in ("", "ebbtide-token-", "ebbtide-token-AAAA", "x"):
        with pytest.raises(errors.NotEntitled, match="is no token"):
            Token.of(wrong)


# -- TR-3 and TR-4


def test_tr3_what_is_revoked_is_worth_nothing_nor_what_was_granted_by_it():
    above = grant(ROOT, "desk", ONE.public_key, ALL)
    chain = (above, grant(ONE, "helper", TWO.public_key, ("look:*",)))
    for subject in (above.id, ONE.public_key.hex(), ONE.host_id, chain[1].id, TWO.host_id):
        believer = trust()
        believer.admit(chain)
        assert taken(believer, signed(ROOT, REVOKE, subject, "lost", 5))
        assert not believer.may_come(TWO.host_id)
        with pytest.raises(errors.NotEntitled, match="was revoked: lost"):
            believer.admit(chain)
    assert not taken(believer, signed(ROOT, REVOKE, TWO.host_id, "lost", 5)), "it is no news"


def test_tr3_only_the_authority_or_who_may_evict_revokes():
    believer = trust()
    evicts, looks = chain_of(ONE, ("evict:*",)), chain_of(TWO, ("look:*", "evict:orders-1"))
    assert not taken(believer, signed(THREE, REVOKE, "x", "", 5))
    assert not taken(believer, signed(TWO, REVOKE, "x", "", 5, chain=looks))
    assert not taken(believer, signed(TWO, REVOKE, "x", "", 5, chain=evicts))
    assert not taken(believer, signed(ONE, TRUST, "x", "", 5, chain=evicts, value=ONE.public_key))
    altered = msgspec.structs.replace(signed(ROOT, REVOKE, "x", "", 5), subject="y")
    assert not taken(believer, altered)
    assert taken(believer, signed(ONE, REVOKE, "x", "", 5, chain=evicts))
    edict = edict_of(signed(ROOT, REVOKE, "x", "", 5))
    assert order_of(msgspec.structs.replace(edict, id="0" * 32)) is None


def test_tr4_another_authority_takes_over_and_the_old_one_counts_no_more():
    believer, new = trust(), HostKeys.from_seed(b"new")
    believer.admit(chain_of(ONE))
    believer.admit(chain_of(TWO))
    assert not taken(believer, signed(new, RETIRE, "r", "", 5, value=ROOT.public_key)), "nobody trusts it yet"
    assert taken(believer, signed(ROOT, TRUST, "n", "", 5, value=new.public_key))
    renewed = (grant(new, "one", ONE.public_key, ALL),)
    assert taken(believer, signed(new, REGRANT, ONE.host_id, "", 6, value=encode_chain(renewed)))
    assert believer.member(ONE.host_id).chain == renewed
    assert taken(believer, signed(new, RETIRE, "r", "", 7, value=ROOT.public_key))
    # Who has not been granted anew has some time yet; nobody else comes by the old key.
    assert believer.may_come(TWO.host_id)
    with pytest.raises(errors.NotEntitled, match="is retired"):
        believer.admit(chain_of(THREE))
    with pytest.raises(errors.NotEntitled, match="is retired"):
        believer.check(chain_of(THREE))
    believer.now_us = lambda: 1_001 + RETIRE_US
    taken(believer, signed(new, REVOKE, "somebody", "", 8))
    assert not believer.may_come(TWO.host_id)
    assert believer.may_come(ONE.host_id)
    assert not taken(believer, signed(ROOT, TRUST, "n", "", 9, value=THREE.public_key))


# -- TR-5


def head(keys: HostKeys, sequence: int, digest: bytes) -> Head:
    bare = Head(keys.host_id, sequence, digest, keys.public_key, b"")
    return msgspec.structs.replace(bare, signature=keys.sign(bare.signed()))


def proposal(badge: Badge, name: str, root: str = "a") -> Proposal:
    message = ProposeMessage(Proposal(name, "a", (StepId(root, 1, 1),), "retry"))
    found = Vouching(badge, None, {}, lambda agent: 1).vouch(message, lambda agent: True)
    return found.proposal


def test_tr5_two_statements_for_one_slot_are_proof_and_nothing_else_is():
    one, two = Badge.issued(ROOT, ONE), Badge.issued(ROOT, TWO)
    fact = HostFact(ONE.host_id, 3, "here", ("a",))
    other = msgspec.structs.replace(fact, agents=("b",))
    later = msgspec.structs.replace(other, version=4)
    assert contradiction_of(lie_of(one.prove(fact), one.prove(other))) == ONE.host_id
    assert contradiction_of(lie_of(one.prove(fact), one.prove(fact))) is None
    assert contradiction_of(lie_of(one.prove(fact), one.prove(later))) is None
    assert contradiction_of(lie_of(one.prove(fact), two.prove(other))) is None
    assert contradiction_of(lie_of(one.prove(fact), other)) is None
    assert contradiction_of(lie_of(head(ONE, 7, b"x"), head(ONE, 7, b"y"))) == ONE.host_id
    assert contradiction_of(lie_of(head(ONE, 7, b"x"), head(ONE, 8, b"y"))) is None
    assert contradiction_of(lie_of(head(ONE, 7, b"x"), head(TWO, 7, b"y"))) is None
    assert contradiction_of(lie_of(proposal(one, "p"), proposal(one, "p", "b"))) == ONE.host_id
    assert contradiction_of(lie_of(proposal(one, "p"), proposal(two, "p", "b"))) is None
    assert contradiction_of(lie_of(proposal(one, "p"), proposal(one, "q", "b"))) is None
    assert contradiction_of(b"no proof") is None


def test_tr5_a_proven_liar_is_out_whoever_tells_of_it():
    believer, one = trust(), Badge.issued(ROOT, ONE)
    believer.admit(one.chain)
    fact = HostFact(ONE.host_id, 3, "here", ("a",))
    lie = lie_of(one.prove(fact), one.prove(msgspec.structs.replace(fact, agents=("b",))))
    assert not taken(believer, Order(LIED, TWO.host_id, "slander", 5, lie))
    assert believer.may_come(ONE.host_id)
    assert taken(believer, Order(LIED, ONE.host_id, "two things", 5, lie))
    assert not believer.may_come(ONE.host_id)
    assert believer.why_out(ONE.host_id) == "two things"
    with pytest.raises(errors.NotEntitled, match="has lied: two things"):
        believer.admit(one.chain)


# -- TR-6


class Log:
    """A log in memory: what is appended is durable when it is said to be."""

    def __init__(self) -> None:
        self.records: list[bytes] = []

    def append(self, agent, records, done, anchor=False):
        self.records = [*([] if anchor else self.records), *records]
        done()

    def read(self, agent, first=0):
        return iter(self.records)


def test_tr6_what_was_answered_is_answered_the_same_after_any_number_of_restarts():
    log = Log()
    first = Repeats(log)
    given = []
    assert first.find("h", 7) is None
    first.keep("h", Answer(7, b"done"), lambda: given.append(7))
    assert given == [7]
    for _ in range(3):
        later = Repeats(log)
        later.open()
        assert later.find("h", 7) == Answer(7, b"done")
        assert later.find("g", 7) is None
        assert later.find("h", 8) is None


def test_tr6_what_is_older_than_all_that_is_kept_is_refused():
    log = Log()
    repeats, numbers = Repeats(log), count(1)
    for _ in range(OF_ONE_MAX + 10):
        repeats.keep("h", Answer(next(numbers), b""), lambda: None)
    for host in range(ASKERS_MAX + 1):
        repeats.keep(f"g{host}", Answer(next(numbers), b""), lambda: None)
    for again in (repeats, Repeats(log)):
        again.open()
        with pytest.raises(errors.CallerError, match="asked before, or long ago"):
            again.find("h", 5)
        assert again.find("new", 1 << 50) is None


# -- TR-7


def test_tr7_nobody_proposes_in_anothers_name():
    homes = {"a": ONE.host_id, "b": TWO.host_id}
    badge = Badge.issued(ROOT, THREE)
    for keys in (ONE, TWO):
        badge.trust.admit(Badge.issued(ROOT, keys, OF_HOSTS).chain)
    told: list[str] = []

    class Orders:
        def lied(self, host, lie, why):
            told.append(host)

    vouching = Vouching(badge, Orders(), homes, lambda agent: 1)  # type: ignore[arg-type]
    mine, thief = Badge.issued(ROOT, ONE, OF_HOSTS), Badge.issued(ROOT, TWO, OF_HOSTS)
    good = proposal(mine, "p")
    assert vouching.why_not("b", ProposeMessage(good)) == ""
    assert vouching.why_not("b", Ballot(good, ())) == "", "also passed on by another"
    bare = msgspec.structs.replace(good, proof=b"")
    for forged in (bare, msgspec.structs.replace(good, reason="other")):
        assert "nobody has signed it" in vouching.why_not("b", ProposeMessage(forged))
    assert f"a lives on {ONE.host_id}" in vouching.why_not("b", ProposeMessage(proposal(thief, "q")))
    outsider = Badge.issued(HostKeys.generate(), HostKeys.generate())
    assert "may not speak for a" in vouching.why_not("b", ProposeMessage(proposal(outsider, "r")))
    assert "two proposals" in vouching.why_not("b", ProposeMessage(proposal(mine, "p", "b")))
    assert told == [ONE.host_id]


def test_tr7_who_may_roll_back_some_agents_alone_proposes_nothing_of_others():
    badge = Badge.issued(ROOT, THREE)
    narrow = Badge.issued(ROOT, ONE, ("host:a", "rollback:a"))
    badge.trust.admit(narrow.chain)
    vouching = Vouching(badge, None, {}, lambda agent: 1)  # type: ignore[arg-type]
    assert vouching.why_not("b", ProposeMessage(proposal(narrow, "p"))) == ""
    assert "may not roll back b" in vouching.why_not("b", ProposeMessage(proposal(narrow, "q", "b")))


# -- TR-8


def test_tr8_whoever_sends_more_or_takes_longer_waits_longer_itself():
    read: list[str] = []
    clock = [0.0]

    def take(sender: str, frame: bytes) -> None:
        read.append(sender)
        clock[0] += 10.0 if sender == "slow" else 1.0

    turns = Turns(take, lambda: clock[0])
    for _ in range(50):
        turns.put("slow", b"x")
        turns.put("flood", b"x")
        turns.put("flood", b"x")
    turns.put("quiet", b"x")
    for _ in range(22):
        turns.one()
    # Each has had its share of the time: of 22 frames the slow one has had two.
    assert read.index("quiet") < 3
    assert read.count("slow") <= 3
    turns.put("late", b"x")
    turns.one()
    turns.one()
    assert "late" in read[-2:], "whoever comes late is not behind those who had their share"


def test_tr8_a_line_is_bounded_and_others_do_not_notice():
    turns = Turns(lambda sender, frame: None)
    assert all(turns.put("flood", b"") for _ in range(LINE_FRAMES_MAX))
    assert turns.is_full
    assert not turns.put("flood", b"")
    assert turns.put("other", b"x")
    assert not turns.is_full, "what the other sends is to be fetched"
    big = Turns(lambda sender, frame: None)
    big.put("flood", bytes(LINE_BYTES_MAX))
    assert not big.put("flood", b"x")
    assert big.put("other", b"x")
