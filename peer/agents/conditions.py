"""On what an agent agrees to a rollback: its `still_valid`, and what it has marked by `@precondition`."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar, overload

from peer import errors
from peer.agents.functions import check_callable
from peer.agents.resources import Opens, check_opens

C = TypeVar("C", bound=Callable[..., Any])

STILL_VALID = "still_valid"
_PRECONDITION = "_ebbtide_precondition"
_FORMS = "It takes (self, proposal), or (self, proposal, then, now)"


class Marked(NamedTuple):
    """What a method's mark says."""

    kinds: tuple[type, ...] = ()
    """Classes of messages: it is looked at only where a step that handled one is to be undone. Empty: always."""
    resources: Mapping[str, Opens] = {}
    """By parameter, what is opened for it."""


class Condition(NamedTuple):
    """One method that is asked before its agent votes."""

    name: str
    looks_back: bool
    """It is shown the state, as it was and as it is."""
    handled: frozenset[str] = frozenset()
    """Names of classes of messages: see `Marked.kinds`."""
    resources: Mapping[str, Opens] = {}

    @property
    def is_own_word(self) -> bool:
        """Whether it speaks for the agent as a whole, so that its reason needs no name."""
        return self.name == STILL_VALID


@overload
def precondition(method: C, /) -> C:
    """Mark a method, without arguments."""
    ...


@overload
def precondition(
    *, handles: type | tuple[type, ...] = (), resources: Mapping[str, Opens] | None = None,
) -> Callable[[C], C]:  # fmt: skip
    """Mark a method, with arguments."""
    ...


def precondition(
    method: Any = None, /, *, handles: Any = (), resources: Any = None,
) -> Any:  # fmt: skip
    """Mark a method as a condition of going back: it is looked at anew before its agent agrees to a rollback.

    The method is `async def name(self, proposal, then, now) -> bool | str`, or takes `(self, proposal)`; a plain def
    runs in a thread. It says True, or why not: then the agent rejects, and nothing is undone anywhere. It may ask the
    world; it is no step, so it can't write, send or call tools. `then` and `now` are as for `Agent.still_valid`.

    What it says stands in the log, with its name and the time. One that raises, or takes longer than the class's
    `consent_s`, does not hold.

    Args:
        method: given by `@precondition` without arguments.
        handles: a class of messages, or several: it is looked at only where the agent's part has a step that handled
            one. Without: whenever the agent has a part in a rollback.
        resources: by parameter, what is opened once in a host, as for `@tool`.

    Raises: DeclarationRefused, naming what is no class of messages, or no resource.
    """
    kinds = handles if isinstance(handles, tuple) else (handles,)
    for kind in kinds:
        if not isinstance(kind, type):
            raise errors.DeclarationRefused(
                f"@precondition(handles={handles!r}): {kind!r} is no class of messages. Name those whose steps it is"
                " about, or leave handles out."
            )
    if resources is not None and not isinstance(resources, Mapping):
        raise errors.DeclarationRefused(
            f"@precondition(resources={resources!r}): a dict of parameters and what opens them, as {{'db': open_db}}."
        )
    mark = Marked(kinds, dict(resources or {}))

    def marked(function: Any) -> Any:
        if not callable(function) and not isinstance(function, staticmethod | classmethod):
            raise errors.DeclarationRefused(
                f"@precondition({function!r}): that is no method. Write @precondition above one."
            )
        setattr(function, _PRECONDITION, mark)
        return function

    return marked if method is None else marked(method)


def conditions_of(cls: Any, base: type, inherited: Mapping[str, Marked]) -> tuple[Condition, ...]:
    """Return what a class has asked before it agrees, `still_valid` first; what is overridden keeps its mark.

    Args:
        cls: with `handlers` as it declares them.
        base: whose `still_valid` says nothing.
        inherited: marks by method, as its bases have them.

    Raises: DeclarationRefused, naming the method.
    """
    found: list[Condition] = []
    if cls.still_valid is not getattr(base, STILL_VALID):
        found.append(Condition(STILL_VALID, takes_past(f"class {cls.__qualname__}: {STILL_VALID}", cls.still_valid)))
    for name, mark in marks_of(cls, inherited).items():
        what = f"class {cls.__qualname__}: @precondition {name}"
        raw = inspect.getattr_static(cls, name)
        if isinstance(raw, staticmethod | classmethod):
            raise errors.DeclarationRefused(f"{what} is a {type(raw).__name__}: it has no self. Leave that out.")
        if name == STILL_VALID:
            raise errors.DeclarationRefused(f"{what}: it is asked in any case. Leave out @precondition.")
        looks_back = takes_past(what, raw, tuple(mark.resources))
        for parameter, opens in mark.resources.items():
            check_opens(f"{what}: resource {parameter}", opens)
        handled = frozenset(kind.__name__ for kind in cls.handlers if mark.kinds and issubclass(kind, mark.kinds))
        if mark.kinds and cls.handlers and not handled:
            kinds = ", ".join(kind.__name__ for kind in mark.kinds)
            raise errors.DeclarationRefused(
                f"{what} is about steps that handle {kinds}, and there are none: no handler takes that. Name what is"
                " handled, or leave handles out."
            )
        found.append(Condition(name, looks_back, handled, mark.resources))
    return tuple(found)


def marks_of(cls: type, inherited: Mapping[str, Marked]) -> dict[str, Marked]:
    """Return the marks of a class's methods, those of its bases first, in the order in which they are written."""
    marks: dict[str, Marked] = {}
    for name in _names(cls):
        raw = inspect.getattr_static(cls, name, None)
        mark = getattr(getattr(raw, "__func__", raw), _PRECONDITION, getattr(raw, _PRECONDITION, inherited.get(name)))
        if isinstance(mark, Marked) and callable(getattr(cls, name, None)):
            marks[name] = mark
    return marks


def _names(cls: type) -> Iterator[str]:
    yield from dict.fromkeys(name for kind in reversed(cls.__mro__) for name in vars(kind))


def takes_past(what: str, function: Any, resources: tuple[str, ...] = ()) -> bool:
    """Tell whether a method takes the state as it was and as it is, besides the proposal.

    Raises: DeclarationRefused, if it takes something else.
    """
    check_callable(what, function)
    given = dict.fromkeys(resources)
    signature = inspect.signature(function)
    for count in (4, 2):
        try:
            signature.bind(*([None] * count), **given)
        except TypeError:
            continue
        return count == 4
    besides = f" and resources {', '.join(resources)}" if resources else ""
    raise errors.DeclarationRefused(f"{what} is {signature}. {_FORMS}{besides}.")
