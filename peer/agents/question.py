"""What one agent asks another: how a question travels, what its asker remembers of it, and what comes back.

A question is a message in an envelope, its answer another, and the end of its time a timer; nothing below knows of
them. What the asker remembers is a key of its state that handlers do not see: so it is undone with what has asked, and
whoever comes second, the answer or the end of the time, finds nothing any more.
"""

import sys
from dataclasses import dataclass, is_dataclass
from typing import Any, NamedTuple

import msgspec

from peer import errors
from peer.agents.functions import check_callable
from peer.values import payload
from peer.values.key_text import OWN_MARK, decode_key, encode_key

Question = str
"""Who has asked what, as text: to be kept in state, and given to `ctx.reply`."""


@dataclass(frozen=True)
class Answer:
    """What has come of a question."""

    agent: str
    """Who was asked."""
    asked: Any
    """The message that it was sent."""
    value: Any = None
    """What it has replied; None if nothing has come in time."""
    timed_out: bool = False
    """The time is over, and nothing has come."""


class Open(NamedTuple):
    """A question that waits for its answer, as its asker remembers it."""

    agent: str
    then: str
    asked: bytes

    def answer(self, cls: type, types: dict[str, type], value: bytes | None) -> Answer:
        """Return what has come of it; None: nothing in time."""
        asked = _value(cls, types, self.asked)
        if value is None:
            return Answer(self.agent, asked, timed_out=True)
        return Answer(self.agent, asked, _value(cls, types, value))


def state_key(name: str) -> str:
    """Return the text of the key under which an open question is kept."""
    return encode_key((f"{OWN_MARK}ask", name))


def timer_key(name: str) -> str:
    """Return the key of the timer that ends a question's time."""
    return f"{OWN_MARK}ask/{name}"


def question_of(asker: str, name: str) -> Question:
    """Return a question as text."""
    return encode_key((asker, name))


def read_question(question: Any) -> tuple[str, str]:
    """Return who has asked, and the question's name.

    Raises: CallerError, if it is no question.
    """
    try:
        found = decode_key(question) if isinstance(question, str) else None
    except errors.PayloadInvalid:
        found = None
    match found:
        case (str(asker), str(name)):
            return asker, name
        case _:
            raise errors.CallerError(f"{question!r} is no question. Nothing was sent. Pass what ctx.question was.")


def checked_then(cls: type, then: Any) -> str:
    """Return the name of the method that is to handle an answer.

    Raises: CallerError, if the class has none of that name that takes an answer and ctx.
    """
    name = then if isinstance(then, str) else getattr(then, "__name__", None)
    method = getattr(cls, name, None) if isinstance(name, str) else None
    if method is None:
        raise errors.CallerError(f"then={then!r}: {cls.__name__} has no such method. Nothing was sent.")
    if name in getattr(cls, "read_only_handlers", ()):
        raise errors.CallerError(f"then={name} is read_only, and closing a question writes. Nothing was sent.")
    try:
        check_callable(f"then={name}", method, 3)
    except errors.DeclarationRefused as error:
        raise errors.CallerError(f"{error}. Nothing was sent. It is given self, an Answer and ctx.") from None
    assert isinstance(name, str)
    return name


def _value(cls: type, types: dict[str, type], data: bytes) -> Any:
    """Return a message or value; of a class that the agent's does not know, its fields by name."""
    name = payload.type_name(data)
    kind = types.get(name) or _named(cls, name)
    if not name or kind is not None:
        return payload.decode_message(data, {} if kind is None else {name: kind})
    outer: Any = payload.decode(data)
    return outer[1]


def _named(cls: type, name: str) -> type | None:
    """Return the class of messages that the module of an agent's class, or of a base, knows by a name."""
    for kind in cls.__mro__:
        found = getattr(sys.modules.get(kind.__module__), name, None) if name else None
        if isinstance(found, type) and (issubclass(found, msgspec.Struct) or is_dataclass(found)):
            return found
    return None
