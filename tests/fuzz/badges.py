"""Keys, grants and signatures of those who speak to the hosts that are fuzzed: what is changed is signed anew."""

from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from peer.keys import HostKeys
from peer.trust.badge import Badge
from peer.trust.grant import Chain, Grant, grant
from peer.trust.lies import Cast, Lie, cast_of, signed_part
from peer.trust.orders import Order, edict_of, order_of
from peer.trust.rights import ALL
from protocol.checkpoints.witness import Head
from protocol.errors import UNREADABLE
from protocol.fact import Began, Claim, Edict, Fact, HostFact
from protocol.ids import HostId
from protocol.message import Ballot, Propose
from protocol.proposal import Proposal
from protocol.wire import Envelope, Frame

T = TypeVar("T")
_UNFIT = (*UNREADABLE, ValueError, TypeError, LookupError, RecursionError, OverflowError)


@cache
def host_keys(name: str) -> HostKeys:
    """Return the keys of a host, or of whoever says to be one."""
    return HostKeys.from_seed(f"0/{name}".encode())


AUTHORITY = HostKeys.from_seed(b"the authority of these hosts alone")
HOST_ID, MEMBER_ID, STRANGER_ID = (host_keys(name).host_id for name in ("h", "m", "x"))
KEYS: dict[bytes, HostKeys] = {
    keys.public_key: keys for keys in (AUTHORITY, *(host_keys(name) for name in ("h", "m", "x", "me", "token")))
}
"""By public key, whoever can sign."""
_BY_HOST = {keys.host_id: keys for keys in KEYS.values()}


@cache
def badge_of(host: HostId) -> Badge:
    """Return the badge of a host: the authority vouches for it. Raises: KeyError, for one without keys here."""
    return Badge.issued(AUTHORITY, _BY_HOST[host], ALL)


def chain_of(*names: str, may: tuple[str, ...] = ALL, until_us: int = 0, uses: int = 0) -> Chain:
    """Return a chain in which each of these vouches for the next, and the authority for the first."""
    found, issuer = [], AUTHORITY
    for name in names:
        found.append(grant(issuer, name, host_keys(name).public_key, may, until_us=until_us, uses=uses))
        issuer = host_keys(name)
    return tuple(found)


def proven(fact: Fact) -> Fact:
    """Return a fact with the proof that whoever it is of has said so, if they have keys here."""
    match fact:
        case HostFact() if fact.host in _BY_HOST:
            return badge_of(fact.host).prove(replace(fact, proof=b""))
        case Claim():
            return replace(fact, proof=badge_of(MEMBER_ID if fact.host != HOST_ID else HOST_ID).sign(signed_part(fact)))
        case Began():
            return replace(fact, proof=badge_of(MEMBER_ID).sign(signed_part(fact)))
        case Edict():
            order = _read(fact.body, Order)
            return fact if order is None else edict_of(ordered(order))
        case _:
            return fact


def sealed(frame: Frame) -> Frame:
    """Return a frame whose facts and proposals are signed by whoever they are of."""
    compare = frame.compare
    if compare is not None:
        compare = replace(compare, facts=tuple(map(proven, compare.facts)))
    envelopes = tuple(map(_sealed_envelope, frame.envelopes))
    return replace(frame, facts=tuple(map(proven, frame.facts)), compare=compare, envelopes=envelopes)


def _sealed_envelope(envelope: Envelope) -> Envelope:
    message = envelope.message
    if not isinstance(message, Propose | Ballot):
        return envelope
    return Envelope(envelope.sender, envelope.receiver, replace(message, proposal=proposed(message.proposal)))


def proposed(proposal: Proposal) -> Proposal:
    """Return a proposal that the member has signed."""
    return replace(proposal, proof=badge_of(MEMBER_ID).sign(signed_part(proposal)))


def voted(ballot: Ballot) -> Ballot:
    """Return a ballot whose votes the member has signed, with its proposal."""
    proposal, sign = proposed(ballot.proposal), badge_of(MEMBER_ID).sign
    votes = tuple(replace(vote, proof=sign(signed_part(cast_of(proposal, vote)))) for vote in ballot.votes)
    return replace(ballot, proposal=proposal, votes=votes)


def granted(chain: Chain) -> Chain:
    """Return a chain whose grants hang together and are signed, as far as their issuers have keys here."""
    found: list[Grant] = []
    by = AUTHORITY.public_key
    for one in chain:
        unsigned = replace(one, by=by, signature=b"")
        found.append(replace(unsigned, signature=KEYS[by].sign(unsigned.body())) if by in KEYS else one)
        by = one.public_key
    return tuple(found)


def ordered(order: Order) -> Order:
    """Return an order that is signed by whoever it names, or else by the authority."""
    keys = KEYS.get(order.by, AUTHORITY)
    unsigned = replace(order, by=keys.public_key, chain=granted(order.chain), signature=b"")
    return replace(unsigned, signature=keys.sign(unsigned.body()))


def contradicting(lie: Lie) -> Lie:
    """Return two statements that are both signed by the member."""
    return replace(lie, one=_stated(lie.kind, lie.one), other=_stated(lie.kind, lie.other))


def _stated(kind: str, data: bytes) -> bytes:
    member = badge_of(MEMBER_ID)
    if kind == "fact" and (fact := _read(data, HostFact)) is not None:
        return msgspec.msgpack.encode(member.prove(replace(fact, host=MEMBER_ID, proof=b"")))
    if kind == "head" and (head := _read(data, Head)) is not None:
        own = replace(head, host=MEMBER_ID, key=member.keys.public_key)
        return msgspec.msgpack.encode(replace(own, signature=member.keys.sign(own.signed())))
    if kind == "proposal" and (proposal := _read(data, Proposal)) is not None:
        return msgspec.msgpack.encode(proposed(proposal))
    if kind == "vote" and (cast := _read(data, Cast)) is not None:
        return msgspec.msgpack.encode(replace(cast, proof=member.sign(signed_part(cast))))
    return data


def resigned(data: bytes) -> bytes:
    """Return bytes that hold a chain, an order or a lie, signed anew; what holds none of them stays."""
    chain = _read(data, Chain)
    if chain is not None:
        return msgspec.msgpack.encode(granted(chain))
    order = _read(data, Order)
    if order is not None and order_of(edict_of(order)) is not None:
        return msgspec.msgpack.encode(ordered(order))
    lie = _read(data, Lie)
    return data if lie is None else msgspec.msgpack.encode(contradicting(lie))


def _read(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except _UNFIT:
        return None
