"""What comes of a request: a tool that was called for a step when that was over (RQ-1)."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from peer import errors
from peer.agents.approval import PERSON_TOOL
from peer.agents.tool import decode_args


@dataclass(frozen=True)
class Result:
    """What has come of a requested call."""

    tool: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    value: Any = None
    """What the tool has returned; None if it has not happened, or nobody knows."""
    error: str = ""
    """Why it has not happened, or why nobody knows; empty if it has."""
    in_doubt: bool = False
    """Nobody can tell whether it happened: it is not repeated, and a person has to look."""
    by: str = ""
    """Who has answered, of a question to a person; empty: the default of its deadline."""
    note: str = ""
    """What that person has said besides."""

    @property
    def happened(self) -> bool:
        """Whether it is known that the call took effect."""
        return not self.error


async def result_of(tool: str, given: bytes, value: Awaitable[Any]) -> Result:
    """Return what has come of a request.

    Args:
        tool: its name.
        given: its arguments, encoded.
        value: what it has returned, or raises why not.
    """
    args, kwargs = decode_args(given)
    try:
        found = await value
        if tool != PERSON_TOOL.name:
            return Result(tool, args, kwargs, found)
        answer, by, note = found
        return Result(tool, args, kwargs, answer, by=by, note=note)
    except errors.EffectInDoubt as error:
        return Result(tool, args, kwargs, error=str(error), in_doubt=True)
    except (errors.ToolFailed, errors.ResultLost, errors.AskTimeout) as error:
        return Result(tool, args, kwargs, error=str(error))
