"""What somebody writes on the command line, as a message for an agent."""

import json
from dataclasses import is_dataclass
from typing import Any

import msgspec
from msgspec import Struct

from peer.agents.agent import Agent
from peer.agents.kinds import kind_at
from peer.cluster.attached import Attached
from peer.errors import CallerError, ConfigInvalid, HandlerMissing
from peer.values import payload
from protocol.ids import AgentId


async def messages_for(cluster: Attached, agent: AgentId, texts: list[str], as_: str | None) -> list[Any]:
    """Return messages that an agent handles, as far as it can be told here.

    Args:
        cluster: who asks for the agent's class.
        agent: whose messages they are.
        texts: each JSON, or else a text.
        as_: the name of the messages' class, if they are of one.

    Raises: CallerError, naming what does not fit, before anything is submitted; AgentUnknown, AskTimeout.
    """
    profile = await cluster.profile(agent)
    kind = kind_at(profile.kind)
    if as_ is None:
        found = [plain_or_text(text) for text in texts]
    else:
        if as_ not in profile.messages:
            raise CallerError(
                f"{agent} handles no {as_!r}, only {', '.join(profile.messages) or 'nothing'}. Nothing was submitted."
            )
        found = [_made(text, _class(agent, profile.kind, kind, as_)) for text in texts]
    if kind is not None:
        for text, message in zip(texts, found, strict=True):
            _check(kind, text, message)
    return found


def plain_or_text(text: str) -> Any:
    """Return what JSON says; the text itself, if it is none, or none that Python reads: too deep, too many digits."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _class(agent: AgentId, path: str, kind: type[Agent] | None, name: str) -> type:
    if kind is None:
        raise ConfigInvalid(
            f"the class of {agent}, {path}, can't be imported here, so no {name} can be made. Nothing was submitted."
            " Put the folder of its module on PYTHONPATH."
        )
    return kind.message_types[name]


def _made(text: str, kind: type) -> Any:
    try:
        if issubclass(kind, Struct) or is_dataclass(kind):
            return msgspec.json.decode(text, type=kind)
        return kind(plain_or_text(text))
    except (ValueError, TypeError) as error:
        raise CallerError(f"{text!r} is no {kind.__name__}: {error}. Nothing was submitted.") from error


def _check(kind: type[Agent], text: str, message: Any) -> None:
    """Check that an agent handles a message: to it, it would be a dead letter."""
    try:
        kind.check_handles(message)
    except HandlerMissing as error:
        known = ", ".join(sorted(kind.message_types)) or "nothing"
        raise CallerError(
            f"{text!r} is of type {type(message).__name__}, and {kind.__name__} handles {known}. Nothing was submitted."
            " Name the message's class with --as."
        ) from error
    payload.encode_message(message)
