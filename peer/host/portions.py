"""Shares messages out over frames: each is signed, sent and checked as a whole, so none should be large."""

from collections.abc import Iterator

from protocol.limits import ENVELOPES_MAX
from protocol.message import Ballot, Data, Message, Shared
from protocol.wire import Envelope

PORTION_BYTES = 1 << 20
"""About how large a frame gets."""


def portions(envelopes: list[Envelope]) -> Iterator[tuple[Envelope, ...]]:
    """Share messages out over frames that are small enough to be read."""
    some: list[Envelope] = []
    size = 0
    for envelope in envelopes:
        more = _size(envelope.message)
        if some and (len(some) == ENVELOPES_MAX or size + more > PORTION_BYTES):
            yield tuple(some)
            some, size = [], 0
        some.append(envelope)
        size += more
    if some:
        yield tuple(some)


def _size(message: Message) -> int:
    """Return about how many bytes a message has on the wire: payloads count, the rest is small."""
    if isinstance(message, Data):
        return 500 + len(message.input.payload) + 40 * len(message.input.clock)
    if isinstance(message, Ballot):
        steps = len(message.suspects) + len(message.found)
        return 500 + 100 * steps + sum(100 * len(vote.cone) + 60 * len(vote.credits) for vote in message.votes)
    return 500 + (len(message.update) if isinstance(message, Shared) else 0)
