"""What one key says another may do: a host's membership, a token to join, a person's say, all of one kind.

Grants make a chain. The first is signed by the authority of a cluster, each next by the holder of the one before, and
may only narrow it down. Whoever knows the authority's public key can check a chain, offline; to act by it takes the
private key of its last holder, so a chain that others have seen is of no use to them.
"""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

import msgspec
from msgspec import Struct

from peer import errors
from peer.keys import PUBLIC_KEY_BYTES, HostKeys, verify
from peer.trust.rights import checked, is_narrower
from peer.values.texts import NAME_CHARS_MAX, check_text
from protocol.errors import UNREADABLE

CHAIN_MAX = 4
"""Grants in a chain: the authority's, and three that narrow it down."""
CHAIN_BYTES_MAX = 16_384
ROLES_MAX = 16
_CONTEXT = b"ebbtide grant\0"
_NOTHING = "Nothing was granted."


class Grant(Struct, frozen=True, array_like=True):
    """What the holder of a key may."""

    name: str
    """Of whom: a person, a token; of a host its id."""
    roles: tuple[str, ...]
    """What people may answer for."""
    public_key: bytes
    """Its holder's."""
    may: tuple[str, ...]
    """Rights, as `peer.trust.rights` has them."""
    until_us: int
    """Until when it counts, in microseconds since 1970; 0: for good."""
    uses: int
    """To how many keys its holder may pass on what it may; 0: to any number."""
    by: bytes
    """The public key of whoever has signed it."""
    signature: bytes = b""

    def body(self) -> bytes:
        """Return what is signed."""
        return _CONTEXT + msgspec.msgpack.encode(msgspec.structs.replace(self, signature=b""))

    @property
    def id(self) -> str:
        """By which it is revoked: 16 hex digits that follow from what it says."""
        return blake2b(self.body(), digest_size=8).hexdigest()

    def is_one_of(self, names: tuple[str, ...]) -> bool:
        """Tell whether the holder, or a role of theirs, is among these."""
        return self.name in names or any(role in names for role in self.roles)


Chain = tuple[Grant, ...]

_chains = msgspec.msgpack.Decoder(Chain)


def grant(
    issuer: HostKeys, name: str, public_key: bytes, may: tuple[str, ...], *, roles: tuple[str, ...] = (),
    until_us: int = 0, uses: int = 0,
) -> Grant:  # fmt: skip
    """Sign a grant. What it says beyond the issuer's own is void, which whoever checks a chain finds out.

    Raises: CallerError, for a name, a role or a right that is none.
    """
    named = check_text("name", name, NAME_CHARS_MAX, _NOTHING)
    ranks = tuple(check_text("role", role, NAME_CHARS_MAX, _NOTHING) for role in roles)
    unsigned = Grant(named, ranks, public_key, checked(may), until_us, uses, issuer.public_key)
    return msgspec.structs.replace(unsigned, signature=issuer.sign(unsigned.body()))


def ends_us(chain: Chain) -> int:
    """Return when the first grant of a chain ends; 0: none does."""
    return min((one.until_us for one in chain if one.until_us), default=0)


def counted(chain: Chain) -> Iterator[tuple[Grant, bytes]]:
    """Yield the grants of a chain that count their uses, each with the key that has come by it."""
    for above, below in pairwise(chain):
        if above.uses:
            yield above, below.public_key


def encode_chain(chain: Chain) -> bytes:
    """Return a chain as it is sent and kept."""
    return msgspec.msgpack.encode(chain)


def decode_chain(data: bytes) -> Chain:
    """Return a chain from what somebody has sent; whether it holds is for `holder` to say.

    Raises: NotEntitled, for what is no chain.
    """
    if len(data) > CHAIN_BYTES_MAX:
        raise errors.NotEntitled(
            f"a chain of grants of {len(data)} bytes; at most {CHAIN_BYTES_MAX} are read. Nothing changed."
        )
    try:
        return _chains.decode(data)
    except UNREADABLE as error:
        raise errors.NotEntitled(f"that is no chain of grants ({error}). Nothing changed.") from error


def holder(chain: Chain, roots: "frozenset[bytes] | set[bytes] | dict[bytes, None]", now_us: int) -> Grant:
    """Return the last grant of a chain, if it holds.

    Args:
        roots: public keys of authorities.
        now_us: the time.

    Raises: NotEntitled, saying what is wrong with it.
    """
    if not 1 <= len(chain) <= CHAIN_MAX:
        raise _refused("nobody", f"a chain has 1 to {CHAIN_MAX} grants, and this one {len(chain)}")
    if chain[0].by not in roots:
        raise _refused(chain[-1].name, f"this cluster does not vouch for {chain[-1].name}")
    for number, one in enumerate(chain):
        if number and one.by != chain[number - 1].public_key:
            raise _refused(one.name, "it was not signed by the holder of the grant before")
        if number and not is_narrower(one.may, chain[number - 1].may):
            raise _refused(one.name, f"it is for more ({', '.join(one.may)}) than the grant before")
        if one.until_us and one.until_us < now_us:
            raise _refused(one.name, "it has ended")
        if len(one.public_key) != PUBLIC_KEY_BYTES or not _is_signed(one):
            raise _refused(one.name, "its signature does not fit")
    return chain[-1]


def _refused(name: str, why: str) -> errors.NotEntitled:
    return errors.NotEntitled(
        f"the grant of {name} does not hold: {why}. Nothing changed. Whoever holds the folder of the cluster can make"
        " another: `ebbtide people add`, `ebbtide access token`."
    )


@lru_cache(maxsize=1 << 14)
def _is_signed(one: Grant) -> bool:
    return len(one.may) <= 64 and len(one.roles) <= ROLES_MAX and verify(one.by, one.signature, one.body())
