"""Which keys of the world outside a tool's calls touch, by its declaration: `writes={"stock": lambda item: item}`."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from peer import errors
from peer.agents.failures import told
from peer.values.fields import NAME_CHARS_MAX, text
from peer.values.key_text import encode_key
from protocol.step import OUTSIDE, space_key

Keys = str | tuple[str, ...] | Mapping[str, Callable[..., Any]]
"""Scopes; or by scope a function of the tool's arguments, which returns the key, or a list of keys."""
KEYS_MAX = 1_000
"""Of one call."""
WHOLE = "*"
"""The key of a scope that is read and written as a whole."""


class Touched(NamedTuple):
    """What a call reads or writes: spaces and keys."""

    space: str
    key: str


def checked_keys(what: str, given: Any) -> dict[str, Callable[..., Any] | None]:
    """Return what a declaration says, by scope.

    Raises: DeclarationRefused, naming what it can't be.
    """
    if not isinstance(given, str | tuple | Mapping):
        raise errors.DeclarationRefused(f"{what}={given!r}: a scope, or functions of the arguments by scope.")
    found: dict[str, Any] = dict.fromkeys((given,) if isinstance(given, str) else given)
    if isinstance(given, Mapping):
        found.update(given)
    for scope, function in found.items():
        try:
            text(f"a scope in {what}", scope, NAME_CHARS_MAX, is_empty_ok=False)
        except errors.CallerError as error:
            raise errors.DeclarationRefused(str(error)) from error
        if "/" in scope:
            raise errors.DeclarationRefused(f"{what}: scope {scope!r} holds a slash. Name it otherwise.")
        if function is not None and (not callable(function) or inspect.iscoroutinefunction(function)):
            raise errors.DeclarationRefused(
                f"{what}: {scope!r}: {function!r} is no plain function of the tool's arguments that returns a key."
            )
    return found


def outside_space(scope: str) -> str:
    """Return the space in which a scope's entries are."""
    return f"{OUTSIDE}{scope}"


def touched(
    tool: str, keys: Mapping[str, Callable[..., Any] | None], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Touched]:
    """Return the keys that a call reads, or writes.

    Args:
        tool: its name.
        keys: what its declaration says.
        args: of the call.
        kwargs: of the call.

    Raises: CallerError, if a function fails, or returns what is no key.
    """
    found: dict[Touched, None] = {}
    for scope, function in keys.items():
        space = outside_space(scope)
        try:
            given = WHOLE if function is None else function(*args, **kwargs)
            several = given if isinstance(given, list | set | frozenset) else [given]
            texts = [encode_key(key) for key in several]
        except Exception as error:
            raise errors.CallerError(
                f"what {tool} touches in {scope!r} is not known: {told(error)}. Nothing happened. Let its function"
                " return a key (a str, an int, or a tuple of such), or a list of keys."
            ) from error
        found.update(dict.fromkeys(Touched(space, space_key(space, each)) for each in texts))
    if len(found) > KEYS_MAX:
        raise errors.CallerError(
            f"{tool} would touch {len(found)} keys at once; the limit is {KEYS_MAX}. Nothing happened."
            " Name the scope as a whole."
        )
    return list(found)
