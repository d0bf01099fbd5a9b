"""Proof that a host lies: two statements under its signature for one slot, of which one at most can be true (TR-5).

A slot is what a host may say once: who lives there in one version of its announcement, the hash of its log after so
many batches, one version of a vote. So a proof needs no witness: whoever has both statements has it.
"""

from collections.abc import Callable
from hashlib import blake2b

import msgspec
from msgspec import Struct

from peer.keys import host_id_of, verify
from peer.trust.grant import Chain
from protocol.checkpoints.witness import Head
from protocol.errors import UNREADABLE
from protocol.fact import Began, Claim, HostFact
from protocol.ids import AgentId, HostId, Number
from protocol.proposal import Proposal, Vote


class Proof(Struct, frozen=True, array_like=True):
    """What a host adds to a fact of its own: its chain, and its signature over the fact."""

    chain: Chain
    signature: bytes


class Signed(Struct, frozen=True, array_like=True):
    """What a host adds to a proposal of one of its agents."""

    public_key: bytes
    signature: bytes


class Cast(Struct, frozen=True, array_like=True):
    """What a host says of a vote of one of its agents, under its signature: all that it is by one version (TR-10)."""

    proposal: bytes
    """Names the proposal, with all that it says."""
    voter: AgentId
    incarnation: Number
    version: Number
    whole: bytes
    """Names all that the vote says; see `Vote.digest`."""
    proof: bytes = b""

    def slot(self) -> tuple[bytes, AgentId, Number, Number]:
        """Return what a host may say once."""
        return self.proposal, self.voter, self.incarnation, self.version


class Lie(Struct, frozen=True, array_like=True):
    """Two statements of one host, encoded."""

    kind: str
    """`fact`, `head`, `proposal` or `vote`."""
    one: bytes
    other: bytes


_CONTEXTS: dict[type, bytes] = {
    HostFact: b"ebbtide host fact\0", Claim: b"ebbtide word\0", Began: b"ebbtide word\0",
    Proposal: b"ebbtide proposal\0", Cast: b"ebbtide vote\0",
}  # fmt: skip
"""By statement, what begins all that is signed of its kind: said of one, it is not said of another."""

_proofs = msgspec.msgpack.Decoder(Proof)
_lies = msgspec.msgpack.Decoder(Lie)
_facts = msgspec.msgpack.Decoder(HostFact)
_heads = msgspec.msgpack.Decoder(Head)
_proposals = msgspec.msgpack.Decoder(Proposal)
_casts = msgspec.msgpack.Decoder(Cast)
_signatures = msgspec.msgpack.Decoder(Signed)


def signed_part(statement: HostFact | Claim | Began | Proposal | Cast) -> bytes:
    """Return what a host signs of a fact of its own, or of what it says for an agent that lives there."""
    return _CONTEXTS[type(statement)] + msgspec.msgpack.encode(msgspec.structs.replace(statement, proof=b""))


def cast_of(proposal: Proposal, vote: Vote) -> Cast:
    """Return what a host signs of a vote, with the signature that the vote has."""
    said = blake2b(signed_part(proposal), digest_size=32).digest()
    return Cast(said, vote.voter, vote.incarnation, vote.version, vote.whole, vote.proof)


def signed_by(proof: bytes, part: bytes) -> HostId | None:
    """Return which host has signed this; None: none has."""
    try:
        signed = _signatures.decode(proof)
    except UNREADABLE:
        return None
    return host_id_of(signed.public_key) if verify(signed.public_key, signed.signature, part) else None


def proof_of(fact: HostFact) -> Proof | None:
    """Return what a host has added to its fact; None for what is none."""
    try:
        return _proofs.decode(fact.proof)
    except UNREADABLE:
        return None


def is_signed(fact: HostFact) -> bool:
    """Tell whether the host that a fact is of has signed it, whatever its chain is worth."""
    proof = proof_of(fact)
    if proof is None or not proof.chain:
        return False
    key = proof.chain[-1].public_key
    return host_id_of(key) == fact.host and verify(key, proof.signature, signed_part(fact))


def is_head_signed(head: Head) -> bool:
    """Tell whether the host that a head is of has signed it."""
    return host_id_of(head.key) == head.host and verify(head.key, head.signature, head.signed())


Statement = HostFact | Head | Proposal | Cast


def lie_of(one: Statement, other: Statement) -> bytes:
    """Return the proof that two statements make, if they contradict each other: see `contradiction_of`."""
    kind = {HostFact: "fact", Head: "head", Proposal: "proposal", Cast: "vote"}[type(one)]
    return msgspec.msgpack.encode(Lie(kind, msgspec.msgpack.encode(one), msgspec.msgpack.encode(other)))


def contradiction_of(data: bytes) -> HostId | None:
    """Return which host is proven to lie by two statements; None if they prove nothing."""
    try:
        lie = _lies.decode(data)
        return _LOOKS[lie.kind](lie) if lie.kind in _LOOKS else None
    except UNREADABLE:
        return None


def _two_facts(lie: Lie) -> HostId | None:
    one, other = _facts.decode(lie.one), _facts.decode(lie.other)
    is_slot = (one.host, one.version) == (other.host, other.version)
    if not is_slot or signed_part(one) == signed_part(other):
        return None
    return one.host if is_signed(one) and is_signed(other) else None


def _two_heads(lie: Lie) -> HostId | None:
    one, other = _heads.decode(lie.one), _heads.decode(lie.other)
    is_slot = (one.host, one.sequence) == (other.host, other.sequence) and one.sequence > 0
    if not is_slot or one.digest == other.digest:
        return None
    return one.host if is_head_signed(one) and is_head_signed(other) else None


def _two_proposals(lie: Lie) -> HostId | None:
    one, other = _proposals.decode(lie.one), _proposals.decode(lie.other)
    return _by_one(one, other) if one.id == other.id else None


def _two_votes(lie: Lie) -> HostId | None:
    one, other = _casts.decode(lie.one), _casts.decode(lie.other)
    return _by_one(one, other) if one.slot() == other.slot() else None


def _by_one(one: Proposal | Cast, other: Proposal | Cast) -> HostId | None:
    """Return who has signed both of two statements that differ; None if nobody has."""
    if signed_part(one) == signed_part(other):
        return None
    by = signed_by(one.proof, signed_part(one))
    return by if by is not None and by == signed_by(other.proof, signed_part(other)) else None


_LOOKS: dict[str, Callable[[Lie], HostId | None]] = {
    "fact": _two_facts, "head": _two_heads, "proposal": _two_proposals, "vote": _two_votes,
}  # fmt: skip
