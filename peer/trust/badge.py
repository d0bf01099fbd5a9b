"""What one host shows of itself: its keys, the chain by which it belongs, and whom it believes."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from peer import errors
from peer.keys import HostKeys, host_id_of
from peer.store.files import Files
from peer.trust.grant import Chain, counted, decode_chain, encode_chain, grant
from peer.trust.lies import Proof, Signed, is_signed, proof_of, signed_by, signed_part
from peer.trust.rights import ALL, HOST, OF_HOSTS
from peer.trust.token import Token
from peer.trust.trust import Trust
from protocol.fact import Began, Claim, HostFact
from protocol.ids import HostId

FILE = "badge"
"""In a host's folder: its chain, and the authority's keys as it knows them."""


class Badge:
    """One host's.

    Args:
        keys: its own.
        chain: by which it belongs: its last grant is of these keys.
        trust: whom it believes.
    """

    def __init__(self, keys: HostKeys, chain: Chain, trust: Trust) -> None:
        self.keys = keys
        self.chain = chain
        self.trust = trust
        self.used: Callable[[str, bytes], None] = lambda grant, key: None
        """Told of each key that comes to this host by a grant that counts: whoever has a log keeps it there."""
        trust.admit(chain)

    @classmethod
    def issued(cls, authority: HostKeys, keys: HostKeys, may: tuple[str, ...] = ALL) -> "Badge":
        """Return the badge of a host that the authority itself vouches for."""
        chain = (grant(authority, keys.host_id, keys.public_key, may),)
        return cls(keys, chain, Trust((authority.public_key,)))

    @classmethod
    def joined(cls, token: Token, keys: HostKeys, may: tuple[str, ...] | None = None) -> "Badge":
        """Return the badge of a host that joins by a token.

        Args:
            may: what it may, within what the token is for; None: all of that.

        Raises: NotEntitled, if the token does not hold.
        """
        trust = Trust(token.roots)
        rights = trust.check(token.chain).may if may is None else may
        chain = (*token.chain, grant(token.keys, token.chain[-1].name, keys.public_key, rights))
        return cls(keys, chain, trust)

    @classmethod
    def in_folder(cls, folder: Path, token: Token, keys: HostKeys) -> "Badge":
        """Return the badge that a host has from an earlier life, or one by its token; it is kept in its folder.

        Raises: NotEntitled, if neither holds.
        """
        file = folder / FILE
        try:
            roots, chain = msgspec.msgpack.decode(file.read_bytes(), type=tuple[tuple[bytes, ...], bytes])
            return cls(keys, _of(decode_chain(chain), keys), Trust(roots))
        except (OSError, msgspec.MsgspecError, errors.NotEntitled):
            # It is not there, or of another key (a disk that was lost), or holds no more: the token may.
            badge = cls.joined(token, keys, OF_HOSTS)
        badge.keep(folder)
        return badge

    # -- what a transport asks (`ports.Gate`)

    def hello(self) -> bytes:
        """Return what shows that this host belongs to the cluster: its chain."""
        return encode_chain(self.chain)

    def welcome(self, host: HostId, hello: bytes) -> bool:
        """Let in a host that shows a chain of its own that holds; tell whether it does."""
        try:
            chain = decode_chain(hello)
            if not chain or host_id_of(chain[-1].public_key) != host:
                return False  # what another has been granted is the other's to show
            self.trust.admit(chain, counts=True)
        except errors.NotEntitled:
            return False
        for grant_, key in counted(chain):
            self.used(grant_.id, key)
        return True

    def host_at(self, curve_key: bytes) -> HostId | None:
        """Return who may connect by a key of CURVE."""
        return self.trust.host_at(curve_key)

    def may_come(self, host: HostId) -> bool:
        """Tell whether what a host sends is read now."""
        return self.trust.may_come(host)

    def expect(self, public_key: bytes) -> None:
        """Let in what answers where this host knocks."""
        self.trust.expect(public_key)

    # -- its own

    def keep(self, folder: Path) -> None:
        """Write it down in the host's folder."""
        data = msgspec.msgpack.encode((tuple(self.trust.roots), encode_chain(self.chain)))
        Files().put(folder / FILE, data)

    def renew(self, chain: Chain) -> bool:
        """Take another chain for one's own, if it is, and holds; True if it was taken."""
        if chain == self.chain or not chain or chain[-1].public_key != self.keys.public_key:
            return False
        try:
            self.trust.admit(chain)
        except errors.NotEntitled:
            return False
        self.chain = chain
        return True

    def prove(self, fact: HostFact) -> HostFact:
        """Return a fact of this host with what shows that it is, and that the host belongs here."""
        return msgspec.structs.replace(
            fact, proof=msgspec.msgpack.encode(Proof(self.chain, self.keys.sign(signed_part(fact))))
        )

    def sign(self, part: bytes) -> bytes:
        """Return what shows that this host has said something."""
        return msgspec.msgpack.encode(Signed(self.keys.public_key, self.keys.sign(part)))

    def vouch(self, fact: Claim | Began) -> Claim | Began:
        """Return a word of this host about an agent that lives here, with what shows that it is."""
        return fact if fact.proof else msgspec.structs.replace(fact, proof=self.sign(signed_part(fact)))

    def may_say(self, fact: Claim | Began) -> bool:
        """Tell whether a word about an agent is of a host that it may live on."""
        by = signed_by(fact.proof, signed_part(fact))
        if by is None or (isinstance(fact, Claim) and by != fact.host):
            return False
        return self.trust.may(by, HOST, fact.agent)

    def believes(self, fact: HostFact) -> bool:
        """Tell whether a fact is of a member that may host whom it names; the member is let in from now on."""
        proof = proof_of(fact)
        if proof is None or not proof.chain:
            return False
        try:
            member = self.trust.admit(proof.chain)
        except errors.NotEntitled:
            return False
        is_own = {agent for agent, _ in fact.spaces} <= {*fact.agents}
        return is_own and member.host == fact.host and is_signed(fact) and self.trust.may_host(fact.host, fact.agents)


def _of(chain: Chain, keys: HostKeys) -> Chain:
    if not chain or chain[-1].public_key != keys.public_key:
        raise errors.NotEntitled("that badge is of another host. Nothing changed.")
    return chain
