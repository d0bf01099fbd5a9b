"""What a method of an agent's is allowed: how often it is tried, and how long it may take."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from peer.agents.retry import Retry, checked_retry

M = TypeVar("M", bound=Callable[..., Any])

_TERMS = "_ebbtide_terms"


class Terms(NamedTuple):
    """The terms of one method; what is None is as its class has it."""

    retry: Retry | None = None


NO_TERMS = Terms()


def checked_terms(what: str, retry: Any) -> Terms:
    """Return terms as they were declared.

    Raises: DeclarationRefused, naming what can't be meant so.
    """
    return Terms(checked_retry(what, retry))


def mark_terms(method: Callable[..., Any], terms: Terms) -> None:
    """Give a method its terms, if there are any."""
    if terms != NO_TERMS:
        setattr(method, _TERMS, terms)


def answers(*, retry: Retry | None = None) -> Callable[[M], M]:
    """Say how often a method is tried that handles answers: the `then` of `ctx.ask`. One without this is as its class.

    Args:
        retry: how often it is tried on one answer, and when.

    Raises: DeclarationRefused.
    """
    terms = checked_terms("@answers", retry)

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
