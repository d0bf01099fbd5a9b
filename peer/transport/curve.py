"""The key by which ZeroMQ's CURVE knows a host: its Ed25519 key, in the form in which it agrees on secrets.

Ed25519 and X25519 are one curve in two forms. So a host needs no second key, and no certificate that binds one to the
other: who has proven the one has proven the other. Sources: Bernstein et al. 2012; RFC 7748 section 4.1; that one key
may serve both: Thormarker 2021 ("On using the same key pair for Ed25519 and an X25519 based KEM").
"""

from functools import lru_cache
from hashlib import sha512

from peer.keys import KEYS_CACHED

_P = 2**255 - 19
_SIGN_BIT = 1 << 255


@lru_cache(maxsize=KEYS_CACHED)
def curve_public(public_key: bytes) -> bytes:
    """Return the X25519 form of an Ed25519 public key, 32 bytes; of two that differ in the sign alone, the same."""
    y = int.from_bytes(public_key, "little") % _SIGN_BIT
    return ((1 + y) * pow(1 - y, _P - 2, _P) % _P).to_bytes(32, "little")


def curve_private(seed: bytes) -> bytes:
    """Return the X25519 form of an Ed25519 private key, 32 bytes."""
    return sha512(seed).digest()[:32]
