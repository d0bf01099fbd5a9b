"""Methods that run again and again: `@every(seconds)`."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from peer import errors
from peer.agents.envelope import EVERY, MARK
from peer.agents.functions import check_callable
from peer.agents.retry import Retry
from peer.agents.terms import SECONDS_MAX, checked_terms, mark_terms
from peer.values.fields import number, text

M = TypeVar("M", bound=Callable[..., Any])

_EVERY = "_ebbtide_every"


def every(seconds: float, *, retry: Retry | None = None, timeout: float | None = None) -> Callable[[M], M]:
    """Mark a method `async def method(self, ctx)` to run as a step of its own, so many seconds after the last time.

    It runs first when so much time has passed since the agent first began, and goes on over restarts, rollbacks and
    moves. What fell due while the agent was away comes once. A run that fails too often is a dead letter, as a
    message's would be, and the next one comes in its time.

    Args:
        seconds: how far apart its runs are.
        retry: how often one run is tried, and when; None: as its class says.
        timeout: how many seconds one run may take: see `handles`.

    Raises: DeclarationRefused, for what is no time or no policy.
    """
    wait_s = checked_seconds("seconds", seconds, errors.DeclarationRefused)
    if wait_s <= 0:
        raise errors.DeclarationRefused(f"@every({seconds!r}) would never rest. Give it more than 0 seconds.")

    terms = checked_terms(f"@every({seconds!r})", retry, timeout)

    def mark(method: M) -> M:
        mark_terms(method, terms)
        setattr(method, _EVERY, wait_s)
        return method

    return mark


def checked_seconds(what: str, value: Any, error: type[Exception] = errors.CallerError) -> float:
    """Return a time in seconds.

    Raises: `error`, naming what it is, if it is no number, below 0, or over a century.
    """
    try:
        seconds = number(what, value)
    except errors.CallerError as refused:
        raise error(str(refused)) from None
    if not 0 <= seconds <= SECONDS_MAX:
        raise error(f"{what}={value!r}: it is from 0 to {SECONDS_MAX} (a century). Nothing was set.")
    return seconds


def everies_of(cls: type, inherited: Mapping[str, float]) -> dict[str, float]:
    """Return how many seconds apart the marked methods of a class run; one that is overridden keeps its mark.

    Raises: DeclarationRefused, naming a method that does not take `ctx` alone.
    """
    found: dict[str, float] = {}
    for name in dir(cls):
        raw = inspect.getattr_static(cls, name, None)
        # A staticmethod's mark is on the function inside.
        seconds = getattr(getattr(raw, "__func__", raw), _EVERY, inherited.get(name))
        if seconds is not None:
            what = f"class {cls.__qualname__}: @every method {name}"
            if isinstance(raw, staticmethod | classmethod):
                raise errors.DeclarationRefused(f"{what} is a {type(raw).__name__}: it has no self. Leave that out.")
            check_callable(what, raw, 2)
            found[name] = seconds
    return found


def timer_key(name: str) -> str:
    """Return the key under which an `@every` method's next run is set."""
    return f"{EVERY}/{name}"


def checked_timer_key(key: Any) -> str:
    """Return a user's key of a timer. Raises: CallerError, for what is no text, or one of the runtime's."""
    named = text("key of a timer", key, is_empty_ok=False)
    if named.startswith(MARK):
        raise errors.CallerError(
            f"key of a timer {named!r} begins with {MARK!r}, as Ebbtide's own do. Nothing was set."
        )
    return named
