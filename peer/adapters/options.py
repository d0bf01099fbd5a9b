"""What the tools of all adapters have in common: their options, and the key of a call in an external system."""

from typing import TypedDict

from tenacity import BaseRetrying

from peer.agents.keys import Keys
from peer.errors import EbbtideError


class Options(TypedDict, total=False):
    """Options of a tool that an adapter passes on as they are; `peer.tool` says what each means."""

    timeout: float
    """Seconds that a call, an undo or a check may take."""
    retry: BaseRetrying
    """When a call is tried again that is known not to have happened."""
    concurrency: int
    """Calls at once in one process."""
    undo_cost: str
    """What an undo costs, for people."""
    reads: Keys
    """Which keys of the world outside a call reads."""
    writes: Keys
    """Which it writes."""


class NoAnswer(EbbtideError):
    """An external system was asked to do something and has not said what came of it."""


class ChangedSince(EbbtideError):
    """What is to be undone is not as the call left it: somebody has changed it since. Nothing was undone."""


def keyed(scope: str, intent: str) -> str:
    """Return the key of a call in an external system.

    Args:
        scope: tells clusters apart that share the system and call agents and inputs by the same names; may be empty.
        intent: the call's intent.
    """
    return f"{scope}:{intent}" if scope else intent


def told(error: BaseException) -> str:
    """Return what an error says, in one line, for people."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
