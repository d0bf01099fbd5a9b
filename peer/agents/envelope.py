"""Messages to an agent that are not for a handler as they are: each is a tag that no class can have, and a body."""

from collections.abc import Mapping
from typing import Any

from peer.errors import EbbtideError
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

SAGA_FAIL = "!saga-fail"
"""Somebody says that a saga has failed: its name, its first step (empty: whichever), why, and who says so."""
SAGA_FAILED = "!saga-failed"
"""What the first step of a saga is handled as, once it failed: name, method, message, why, by whom, within what."""
SAGA_LATE = "!saga-late"
"""The time of a saga is over: its name."""
SAGA_STUCK = "!saga-stuck"
"""A saga that has failed a while ago, and may still stand: its name, why it has failed, and who has said so."""

ROLLED_BACK = "!rolled-back"
"""How a rollback has ended that the agent has proposed: the method that is told, and a `RolledBack`'s fields."""

COMPENSATE = "!compensate"
"""Effects are to be countered though their steps stand: their intents in order, why, and who says so."""

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


def content(data: bytes, types: Mapping[str, type]) -> Any:
    """Return a message for people, as far as it can be read here; of a question or an answer, what is inside.

    Nothing is inside of what makes or retires an agent, or of a time.
    """
    try:
        tag, body = opened(data)
        if tag in (ASK, ANSWER):
            return content(body[1], types)
        if tag == SAGA_FAILED:
            return content(body[2], types)
        return None if tag else payload.decode_message(data, types)
    except EbbtideError:
        return payload.fields_of(data)


def handled_by_name(data: bytes) -> str:
    """Return the class by which a handler is found for a message, or for what is asked in a question.

    Of what comes from the runtime it is `Answer`, or a tag that no class has; of what can't be read it is empty.
    """
    try:
        name = payload.type_name(data)
        if not name:
            return type(payload.decode_message(data, {})).__name__
        if name in (ANSWER, TIME_OUT):
            return "Answer"
        if name == REQUEST:
            return "Result"
        if name == SAGA_FAILED:
            return "SagaFailed"
        return handled_by_name(opened(data)[1][1]) if name == ASK else name
    except EbbtideError:
        return ""
