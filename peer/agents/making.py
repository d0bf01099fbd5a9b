"""What it takes that a handler makes another agent: what is asked for, checked, and how it travels (NA-1)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from peer import errors
from peer.agents import envelope
from peer.values import payload
from peer.values.key_text import OWN_MARK
from peer.values.texts import check_agent_name
from protocol.ids import AgentId, HostId

MADE = f"{OWN_MARK}made"
"""Among an agent's options: a handler has made it. No option of a class can have this name."""


class Making(NamedTuple):
    """An agent that is to be made."""

    kind: str
    """Its class, as `module:qualname`."""
    options: bytes
    host: HostId
    """Where it is to live; empty: where whoever makes it does."""

    def sealed(self) -> bytes:
        """Return the message that it travels as."""
        return envelope.sealed(envelope.MAKE, list(self))


def making_in(data: bytes) -> Making | None:
    """Return what a message is to make; None if it is another.

    Raises: PayloadInvalid.
    """
    tag, body = envelope.opened(data)
    return Making(*body) if tag == envelope.MAKE else None


def made_options(options: dict[str, Any]) -> bytes:
    """Return the options of an agent that a handler makes, encoded.

    Raises: PayloadUnsupported, PayloadTooLarge.
    """
    return payload.encode({**options, MADE: True})


def _nowhere(name: AgentId, kind: str) -> HostId:
    return ""


def _never(kind: str, options: bytes) -> None:
    raise AssertionError("only a host can bring up an agent as another")


@dataclass
class Origin:
    """How an agent has come to be, and what its host does for it about others."""

    is_made: bool = False
    """A handler has made it: it is there as long as that step stands."""
    options: bytes = b""
    """Its options, as they were asked for."""
    place: Callable[[AgentId, str], HostId] = _nowhere
    """Says where a new agent of a class is to live."""
    replace: Callable[[str, bytes], None] = _never
    """Has this agent brought up again, as of another class or with other options."""
    absent_s: Callable[[], float] = float
    """Says for how many seconds the agent has not been there."""


def check_name(name: Any, own: AgentId) -> AgentId:
    """Return the name of an agent that is to be made.

    Raises: CallerError, if it can't be one, or is that of whoever makes it.
    """
    named = check_agent_name(name, "Nothing was made.")
    if named == own:
        raise errors.CallerError(f"{named!r} is this agent's own name. Nothing was made. Give each agent its own.")
    return named
