"""What is fuzzed of who belongs to a cluster and who may what: chains, tokens, addresses, orders, lies, proposals."""

from base64 import urlsafe_b64encode
from contextlib import suppress
from random import Random
from typing import Any

import msgspec

from peer import errors
from peer.host.vouching import Vouching
from peer.transport.place import Place
from peer.trust import orders as edicts
from peer.trust.badge import Badge
from peer.trust.grant import Chain, decode_chain, encode_chain, holder
from peer.trust.lies import Lie, cast_of, contradiction_of, lie_of
from peer.trust.orders import Order, edict_of, edict_of_body, order_of, signed
from peer.trust.rights import ALL
from peer.trust.token import Token
from peer.trust.trust import Trust
from protocol.checkpoints.witness import Head
from protocol.errors import UNREADABLE
from protocol.fact import Edict, HostFact
from protocol.ids import HostId, StepId
from protocol.message import Ballot, Message, Propose
from protocol.proposal import Proposal, Vote
from tests.fuzz.badges import (
    AUTHORITY,
    HOST_ID,
    KEYS,
    MEMBER_ID,
    STRANGER_ID,
    badge_of,
    chain_of,
    contradicting,
    host_keys,
    proposed,
    resigned,
    voted,
)
from tests.fuzz.examples import Examples
from tests.fuzz.shapes import mutated

NOW_US = 1_700_000_000_000_000
KINDS = (edicts.REVOKE, edicts.TRUST, edicts.RETIRE, edicts.REGRANT, edicts.LIED, edicts.USED)
WORDS = (
    *ALL, "host:m", "submit:a-*", "host:", "*", "", "m", "a", "me", "token", "m/p1", "retry", "fact", "head",
    "proposal", HOST_ID, MEMBER_ID, STRANGER_ID, *(key.hex() for key in KEYS), *KINDS,
)  # fmt: skip
EXAMPLES = Examples(WORDS, (*KEYS, b"", b"k" * 32, b"s" * 64, b"\x90"))
SHAPES: tuple[Any, ...] = (Chain, Order, Lie, Message)


class Fooled(AssertionError):
    """What nobody has signed is believed."""


class _Orders:
    """Takes note of nothing."""

    def lied(self, host: HostId, proof: bytes, why: str) -> None:
        """A host is proven to lie: by what it has signed, or not at all."""
        if contradiction_of(proof) != host:
            raise Fooled(f"{host}: {why}")

    def charge(self, host: HostId, what: str) -> None:
        """A host has sent what does not hold."""

    def refused(self) -> None:
        """Something does not hold of which nobody knows whose fault it is."""


def grants(data: bytes) -> None:
    """Chains of grants, tokens, addresses. NotEntitled, ConfigInvalid."""
    for given in (data, resigned(data)):
        with suppress(errors.NotEntitled):
            chain = decode_chain(given)
            trust = _trust()
            if trust.admit(chain, counts=True).grant != holder(chain, trust.roots, NOW_US):
                raise Fooled("a chain is of another than its last holder")
            if chain[0].by != AUTHORITY.public_key:
                raise Fooled("a chain that this cluster has not begun holds")
    text = data.decode("latin-1")
    for word in (text, "ebbtide-token-" + urlsafe_b64encode(data).decode().rstrip("=")):
        with suppress(errors.NotEntitled):
            token = Token.of(word)
            with suppress(errors.NotEntitled):
                Badge.joined(token, host_keys("x"))
    for address in (text, f"tcp://{text}", f"tcp://127.0.0.1:4000?{text}"):
        with suppress(errors.ConfigInvalid):
            Place.of(address)


def orders(data: bytes) -> None:
    """What is said to all hosts, proofs of lies, proposals' proofs. NotEntitled."""
    for given in (data, resigned(data)):
        contradiction_of(given)
        for edict in (edict_of_body(given), Edict(data[:16].hex(), given)):
            order = order_of(edict)
            if order is not None:
                trust = _trust()
                trust.take(edict.id, order)
                with suppress(errors.NotEntitled):
                    trust.check_order(order)
                if trust.why_out(MEMBER_ID) and order.kind == edicts.LIED and contradiction_of(order.value) is None:
                    raise Fooled("a host is out for a lie that it has not told")
    try:
        message = msgspec.msgpack.decode(data, type=Message)
    except UNREADABLE:
        return
    vouching = Vouching(badge_of(HOST_ID), _Orders(), {"m": MEMBER_ID, "a": HOST_ID}, lambda agent: 1)  # type: ignore[arg-type]
    vouching.why_not("m", message)
    if isinstance(message, Propose | Ballot):
        for proposal in (proposed(message.proposal), proposed(msgspec.structs.replace(message.proposal, reason="x"))):
            vouching.why_not("m", msgspec.structs.replace(message, proposal=proposal))
        vouching.why_not("m", message)
        vouching.checked(MEMBER_ID, message)
    if isinstance(message, Ballot):
        for ballot in (message, msgspec.structs.replace(message, votes=message.votes[::-1])):
            vouching.checked(MEMBER_ID, voted(ballot))


def _trust() -> Trust:
    trust = Trust((AUTHORITY.public_key,))
    trust.now_us = lambda: NOW_US
    trust.admit(chain_of("m"))
    trust.admit(chain_of("token", "x", uses=1))
    return trust


def change(data: bytes, rng: Random) -> bytes:
    """Change a chain, an order, a lie or a message."""
    kind = rng.choice(SHAPES)
    return mutated(data, rng, WORDS, lambda: EXAMPLES.of(kind, rng))


def chains() -> list[bytes]:
    """Inputs of `grants`."""
    found = [
        encode_chain(chain_of(*names, until_us=until_us, uses=uses))
        for names in (("m",), ("token", "x"), ("me", "token", "m", "x"))
        for until_us, uses in ((0, 0), (1, 0), (1 << 62, 1))
    ]
    token = Token.made(AUTHORITY, "token", ALL, uses=2, addresses=(str(_PLACE),))
    return [*found, token.text().encode(), str(_PLACE).encode(), b""]


_PLACE = Place("tcp://10.0.0.7:40123", "tcp://10.0.0.7:40124", host_keys("m").public_key)


def said_to_all() -> list[bytes]:
    """Inputs of `orders`: one of each kind, a lie of each kind, and messages with proposals."""
    subject, key = MEMBER_ID, host_keys("x").public_key
    values = {edicts.TRUST: key, edicts.RETIRE: AUTHORITY.public_key, edicts.REGRANT: encode_chain(chain_of("m"))}
    found = [edict_of(signed(AUTHORITY, kind, subject, "why", 1, value=values.get(kind, b""))).body for kind in KINDS]
    found.append(edict_of(signed(host_keys("m"), edicts.REVOKE, STRANGER_ID, "", 1, chain=chain_of("m"))).body)
    lies = [msgspec.msgpack.encode(contradicting(msgspec.msgpack.decode(each, type=Lie))) for each in _lies()]
    found += [*lies, *(edict_of(Order(edicts.LIED, subject, "why", 1, lie)).body for lie in lies)]
    proposal = proposed(Proposal("m/p1", "m", (StepId("m", 1, 1), StepId("a", 1, 1)), "retry"))
    return [
        *found,
        msgspec.msgpack.encode(Propose(proposal)),
        msgspec.msgpack.encode(Ballot(proposal, (_VOTE, msgspec.structs.replace(_VOTE, whole=b"another")))),
    ]


_VOTE = Vote("m", 1, True, "", (), (), incarnation=1).sealed(None)


def _lies() -> list[bytes]:
    fact, head = HostFact(MEMBER_ID, 3, "there", ("m",)), Head(MEMBER_ID, 3, b"d" * 16, b"", b"")
    proposal = Proposal("m/p1", "m", (StepId("m", 1, 1),), "retry")
    other = msgspec.structs.replace
    return [
        lie_of(fact, other(fact, agents=("m", "n"))),
        lie_of(head, other(head, digest=b"e" * 16)),
        lie_of(proposal, other(proposal, reason="another")),
        lie_of(cast_of(proposal, _VOTE), cast_of(proposal, other(_VOTE, whole=b"another"))),
    ]
