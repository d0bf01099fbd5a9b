"""What a method of an agent's is allowed: how often it is tried, and how long it may take."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from peer import errors
from peer.agents.retry import Retry, checked_retry
from peer.values.fields import number

M = TypeVar("M", bound=Callable[..., Any])

SECONDS_MAX = 100 * 366 * 24 * 3600
"""Of a time that is waited for: a century."""
_TERMS = "_ebbtide_terms"


class Terms(NamedTuple):
    """The terms of one method; what is None is as its class has it."""

    retry: Retry | None = None
    timeout_s: float | None = None
    """How many seconds it may take, from its first line to its end; None: any."""


NO_TERMS = Terms()


def checked_terms(what: str, retry: Any, timeout: Any) -> Terms:
    """Return terms as they were declared.

    Raises: DeclarationRefused, naming what can't be meant so.
    """
    return Terms(checked_retry(what, retry), None if timeout is None else _seconds(what, timeout))


def _seconds(what: str, value: Any) -> float:
    try:
        seconds = number("timeout", value)
    except errors.CallerError:
        seconds = 0.0
    if not 0 < seconds <= SECONDS_MAX:
        raise errors.DeclarationRefused(
            f"{what}: timeout={value!r}: seconds that it may take, more than 0. Leave it out for as long as it takes."
        )
    return seconds


def mark_terms(method: Callable[..., Any], terms: Terms) -> None:
    """Give a method its terms, if there are any."""
    if terms != NO_TERMS:
        setattr(method, _TERMS, terms)


def answers(*, retry: Retry | None = None, timeout: float | None = None) -> Callable[[M], M]:
    """Give a method terms of its own that handles answers: the `then` of `ctx.ask`. It works without this, too.

    Args:
        retry: how often it is tried on one answer, and when; None: as its class says.
        timeout: how many seconds it may take: see `handles`.

    Raises: DeclarationRefused.
    """
    terms = checked_terms("@answers", retry, timeout)

    def mark(method: M) -> M:
        mark_terms(method, terms)
        return method

    return mark


def terms_of(cls: type, inherited: Mapping[str, Terms]) -> dict[str, Terms]:
    """Return the terms of a class's methods, by name; one that is overridden keeps them, unless it has its own."""
    found: dict[str, Terms] = {}
    for name in dir(cls):
        raw = inspect.getattr_static(cls, name, None)
        terms = getattr(getattr(raw, "__func__", raw), _TERMS, inherited.get(name))
        if isinstance(terms, Terms):
            found[name] = terms
    return found
