"""Shares messages out over frames: each is signed, sent and checked as a whole, so none should be large."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from protocol.limits import ENVELOPES_MAX
from protocol.message import Ballot, Data, Shared
from protocol.wire import Envelope

T = TypeVar("T")

PORTION_BYTES = 1 << 20
"""About how large a frame gets."""


def portions(things: Iterable[T], size_of: Callable[[T], int]) -> Iterator[tuple[T, ...]]:
    """Share things out over frames that are small enough to be read.

    Args:
        things: in their order.
        size_of: returns about how many bytes one has on the wire.
    """
    some: list[T] = []
    size = 0
    for thing in things:
        more = size_of(thing)
        if some and (len(some) == ENVELOPES_MAX or size + more > PORTION_BYTES):
            yield tuple(some)
            some, size = [], 0
        some.append(thing)
        size += more
    if some:
        yield tuple(some)


def size_of_envelope(envelope: Envelope) -> int:
    """Return about how many bytes a message has on the wire: payloads count, the rest is small."""
    message = envelope.message
    if isinstance(message, Data):
        return 500 + len(message.input.payload) + 40 * len(message.input.clock)
    if isinstance(message, Ballot):
        steps = len(message.suspects) + len(message.found)
        return 500 + 100 * steps + sum(100 * len(vote.cone) + 60 * len(vote.credits) for vote in message.votes)
    return 500 + (len(message.update) if isinstance(message, Shared) else 0)
