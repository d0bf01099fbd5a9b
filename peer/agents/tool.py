"""Tools: what agents do to the world outside, with their undo declared beside them.

A tool is a plain function, sync or async; a sync one runs in a thread. What undoing it means is part of its
declaration, so the runtime can undo a call long after the agent that made it has forgotten why.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from peer import errors
from peer.values import payload

P = ParamSpec("P")
R = TypeVar("R")

PURE, IDEMPOTENT, COMPENSABLE, IRREVERSIBLE = "pure", "idempotent", "compensable", "irreversible"


@dataclass(frozen=True)
class Call:
    """One call of a tool, as its `undo` and `check` are told of it."""

    intent: str
    """Unique name of the call: the same for every try, so a good key for the outside world to recognise it by."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any = None
    """What the call returned, if that is known."""


@dataclass(frozen=True)
class Happened:
    """A check's answer: the call took effect, and returned this."""

    result: Any = None


class NotHappened:
    """A check's answer: the call did not take effect, or was undone."""


class Unknown:
    """A check's answer: nobody can tell."""


Undo = Callable[[Call], Awaitable[None] | None]
Check = Callable[[Call], Any]


class Tool(Generic[P, R]):
    """A declared tool; call it from a handler by `await ctx.call(tool, ...)`, never directly."""

    def __init__(
        self, function: Callable[P, Any], kind: str, undo: Undo | None, check: Check | None, name: str | None = None
    ) -> None:
        self.function = function
        self.kind = kind
        self.undo = undo
        self.check = check
        self.name = name or f"{function.__module__}:{function.__qualname__}"
        """What logs call it: a call that they hold finds its undo by this name."""
        self.takes_intent = "intent" in inspect.signature(function).parameters
        self.__doc__ = function.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Refuse: a direct call could not be undone."""
        raise errors.CallerError(
            f"tool {self.name} was called directly, so nobody could undo it. Nothing happened."
            f" Use 'await ctx.call({self.function.__name__}, ...)' in a handler."
        )

    def __repr__(self) -> str:
        return f"<{self.kind} tool {self.name}>"


def tool(
    *,
    undo: Undo | None = None,
    check: Check | None = None,
    kind: str | None = None,
    name: str | None = None,
) -> Callable[[Callable[P, Any]], Tool[P, Any]]:
    """Declare a tool.

    Args:
        undo: takes a `Call` and reverses it. It may be called again for the same intent, after a crash: key what it
            does by `call.intent`. Makes the tool `compensable`.
        check: takes a `Call` and answers `Happened(result)`, `NotHappened()` or `Unknown()`. With it, a crash between
            a call and its result leaves no doubt.
        kind: `pure` (no effect at all) or `idempotent` (safe to repeat, nothing to undo), where there is no undo.
        name: what logs call the tool; its module and name if left out. Give the old one after a move or a renaming, so
            that calls in logs still find their undo.

    A function with a parameter `intent` is given the call's unique name.

    Raises: CallerError, if neither an undo nor a kind says what undoing means.
    """

    def declare(function: Callable[P, Any]) -> Tool[P, Any]:
        chosen = COMPENSABLE if undo is not None else kind
        if chosen == IRREVERSIBLE:
            raise errors.CallerError(
                f"tool {function.__qualname__}: irreversible tools need 'ctx.request', which is not built yet"
            )
        if chosen not in (PURE, IDEMPOTENT, COMPENSABLE) or (undo is not None and kind not in (None, COMPENSABLE)):
            raise errors.CallerError(
                f"tool {function.__qualname__}: say what undoing it means: undo=..., or kind='idempotent' or 'pure'"
            )
        return Tool(function, chosen, undo, check, name)

    return declare


def encode_args(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Encode a call's arguments: equal arguments give equal bytes."""
    return payload.encode([list(args), dict(sorted(kwargs.items()))])


def decode_args(data: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Decode a call's arguments."""
    args, kwargs = payload.decode(data)  # type: ignore[misc]
    return tuple(args), kwargs
