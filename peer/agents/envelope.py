"""Messages to an agent that are not for a handler as they are: each is a tag that no class can have, and a body."""

from typing import Any

from peer.values import payload
from peer.values.key_text import OWN_MARK

MARK = OWN_MARK
"""Begins the tags here, and the keys of timers that the runtime sets for an agent."""
EVERY = "!every"
"""An `@every` method's name, and whether its time has come; if not it is only to be set for the first time."""

ASK = "!ask"
"""A question: its name, and the message that is asked."""
ANSWER = "!answer"
"""What has been replied: the question's name, and the value as a message."""
TIME_OUT = "!time-out"
"""The time of a question is over: its name."""

REQUEST = "!request"
"""What a request is due with: the method that handles the answer, the tool, and its arguments."""

MAKE = "!make"
"""What a new agent is to be, which this comes to: its class, its options, and the host where it is to live."""
RETIRE = "!retire"
"""The agent is to handle nothing any more."""


def sealed(tag: str, body: object) -> bytes:
    """Return the bytes of an envelope."""
    return payload.encode([tag, body])


def opened(data: bytes) -> tuple[str, Any]:
    """Return an envelope's tag and body; an empty tag for a message that is in none.

    Raises: PayloadInvalid.
    """
    tag = payload.type_name(data)
    if not tag.startswith(MARK):
        return "", None
    outer: Any = payload.decode(data)
    return tag, outer[1]
