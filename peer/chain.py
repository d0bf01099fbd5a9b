"""The hash chain over an agent's records: each stands for all before it (ST-7)."""

from collections.abc import Iterable
from hashlib import blake2b

from protocol.ids import AgentId

HASH_BYTES = 16
FIRST_HASH = bytes(HASH_BYTES)
"""What the first record of an agent, and the first batch of a host, follows."""


def chain(prev: bytes, agent: AgentId, number: int, body: bytes) -> bytes:
    """Return the hash of a record that follows the one with hash `prev`."""
    name = agent.encode()
    head = prev + len(name).to_bytes(4, "big") + name + number.to_bytes(8, "big")
    return blake2b(head + body, digest_size=HASH_BYTES).digest()


def chained(prev: bytes, agent: AgentId, first: int, records: Iterable[bytes]) -> bytes:
    """Return the hash of the last of some records, of which the first has number `first` and follows `prev`."""
    for number, record in enumerate(records, first):
        prev = chain(prev, agent, number, record)
    return prev
