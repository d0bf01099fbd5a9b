"""What one agent asks another: how a question travels, what its asker remembers of it, and what comes back.

A question is a message in an envelope, its answer another, and the end of its time a timer; nothing below knows of
them. What the asker remembers is a key of its state that handlers do not see: so it is undone with what has asked, and
whoever comes second, the answer or the end of the time, finds nothing any more.
"""

import sys
from dataclasses import dataclass, is_dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from peer import errors
from peer.agents.envelope import ANSWER, ASK, TIME_OUT, sealed
from peer.agents.every import checked_seconds
from peer.agents.functions import check_callable
from peer.agents.state import Tracked
from peer.values import payload
from peer.values.brief import brief
from peer.values.fields import text
from peer.values.key_text import OWN_MARK, decode_key, encode_key
from protocol.step import Input, OutputDraft

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


class Asking(Protocol):
    """What a question needs of the step that is run: see `peer.agents.context.Context`."""

    input: Input
    run: Tracked
    owner: type
    asked: int
    question: Question | None
    outputs: list[OutputDraft]

    def set_timer(self, seconds: float, data: bytes, key: str | None) -> None:
        """Set a timer."""
        ...


def ask(ctx: Asking, agent: Any, message: Any, then: Any, timeout: Any) -> None:
    """Ask another agent; see `Context.ask`."""
    receiver = text("agent", agent, is_empty_ok=False)
    ctx.run.check_may(f"ask {receiver}")
    handler = checked_then(ctx.owner, then)
    wait_s = None if timeout is None else checked_seconds("timeout", timeout)
    data = payload.encode_message(message)
    # By lineage: if this step is run again the same question is the same message.
    name = f"{ctx.input.lineage}/{ctx.asked}"
    said = sealed(ASK, [name, data])
    kept = payload.encode([receiver, handler, data])
    ctx.asked += 1
    ctx.run.write(state_key(name), kept)
    ctx.outputs.append(OutputDraft(receiver, said))
    if wait_s is not None:
        ctx.set_timer(wait_s, sealed(TIME_OUT, name), timer_key(name))


def reply(ctx: Asking, value: Any, to: Question | None) -> None:
    """Answer a question; see `Context.reply`."""
    ctx.run.check_may("reply")
    question = ctx.question if to is None else to
    if question is None:
        raise errors.CallerError(f"nobody waits for an answer to {ctx.input}: nobody has asked. Nothing was sent.")
    asker, name = read_question(question)
    ctx.outputs.append(OutputDraft(asker, sealed(ANSWER, [name, payload.encode_message(value)])))


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
            raise errors.CallerError(f"{brief(question)} is no question. Nothing was sent. Pass what ctx.question was.")


def checked_then(cls: type, then: Any) -> str:
    """Return the name of the method that is to handle an answer.

    Raises: CallerError, if the class has none of that name that takes an answer and ctx.
    """
    name = then if isinstance(then, str) else getattr(then, "__name__", None)
    method = getattr(cls, name, None) if isinstance(name, str) else None
    if method is None:
        raise errors.CallerError(f"then={brief(then)}: {cls.__name__} has no such method. Nothing was sent.")
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
