"""The heads of others' logs, as the log that a host keeps of them holds them (CP-12)."""

import msgspec

from protocol.checkpoints.witness import Head
from protocol.errors import UNREADABLE, WireInvalid

LOG = "heads:"
"""The log of others' heads; no agent can have its name."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Head)


def encode_head(head: Head) -> bytes:
    """Return a head as the log keeps it."""
    return _encoder.encode(head)


def decode_head(data: bytes) -> Head:
    """Return a head from what the log keeps. Raises: WireInvalid."""
    try:
        return _decoder.decode(data)
    except UNREADABLE as error:
        raise WireInvalid(f"it is no head of a log ({error})") from error
