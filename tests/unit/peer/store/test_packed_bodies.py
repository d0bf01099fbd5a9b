"""What is stored comes back, and what is damaged is told: it asks for no memory that it only claims to need."""

import os
import resource

import pytest
import zstandard

from peer.store.codec import ZSTD, Codec


def test_a_body_with_any_bit_flipped_is_an_error_or_has_its_length() -> None:
    body = b"what an agent has done " * 400
    flags, stored = Codec().pack(body)
    assert flags == ZSTD
    assert Codec().unpack(flags, stored, len(body)) == body
    for at in range(len(stored)):
        for bit in range(8):
            damaged = bytearray(stored)
            damaged[at] ^= 1 << bit
            try:
                found = Codec().unpack(flags, bytes(damaged), len(body))
            except ValueError:
                continue
            assert len(found) == len(body)


def test_a_body_that_claims_to_be_huge_takes_no_memory() -> None:
    body = os.urandom(100) * 20
    head = zstandard.ZstdCompressor(level=3).compress(bytes(1 << 28))
    assert len(head) < 50_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="it says that it has 268435456 bytes of 2000"):
        Codec().unpack(ZSTD, head, len(body))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
