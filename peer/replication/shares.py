"""A secret in shares: so many of them make it again, and fewer say nothing about it.

Source: Shamir 1979 (How to share a secret).
"""

from collections.abc import Mapping
from hashlib import blake2b

from peer.replication.sealing import SECRET_BYTES, derived
from protocol.ids import HostId

_PRIME = 2**521 - 1
"""Of the field: larger than any secret."""
SHARE_BYTES = 66
CHECK_BYTES = 16


def share_of(secret: bytes, threshold: int, trustee: HostId) -> bytes:
    """Return a host's share of a secret, always the same one: of `threshold` hosts' it can be made again."""
    terms = [int.from_bytes(secret)]
    # What only who knows the secret can know is as good as chance, and need not be kept.
    terms += [int.from_bytes(derived(secret, f"share {threshold} {at}", SHARE_BYTES)) for at in range(1, threshold)]
    x, value = _place_of(trustee), 0
    for term in reversed(terms):
        value = (value * x + term) % _PRIME
    return value.to_bytes(SHARE_BYTES)


def check_of(secret: bytes) -> bytes:
    """Return by what a secret can be known, and not guessed: it is as long as a key."""
    return blake2b(secret, digest_size=CHECK_BYTES, person=b"ebbtide-secret").digest()


def secret_of(shares: Mapping[HostId, bytes], check: bytes) -> bytes | None:
    """Return the secret that shares make; None if it is not the one with that check."""
    points = [(_place_of(trustee), int.from_bytes(share)) for trustee, share in shares.items()]
    value = 0
    for x, y in points:
        weight = y
        for other, _ in points:
            if other != x:
                weight = weight * other * pow(other - x, -1, _PRIME) % _PRIME
        value = (value + weight) % _PRIME
    if value >= 1 << 8 * SECRET_BYTES:
        return None
    secret = value.to_bytes(SECRET_BYTES)
    return secret if check_of(secret) == check else None


def _place_of(trustee: HostId) -> int:
    """Return where the polynomial is taken for a host: anywhere but at 0, where the secret is."""
    return 1 + int.from_bytes(blake2b(trustee.encode(), digest_size=32, person=b"ebbtide-share").digest())
