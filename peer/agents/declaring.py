"""What a class of agents declares, checked when it is made: what would fail later, or in silence, is refused."""

import inspect
from collections.abc import Iterator
from functools import partial, partialmethod
from typing import Any, NamedTuple

from peer import errors
from peer.agents.approval import Approval
from peer.agents.functions import check_callable
from peer.agents.oversight import Overseer
from peer.agents.retry import checked_retry
from peer.agents.suspecting import check_watchers
from peer.agents.tier import check_tiers
from peer.agents.tool import Tool
from peer.values.fields import number, text

CONSENT_S_MAX = 3600
"""For which an agent may think about a rollback: its part is frozen meanwhile."""
_ITEMS_MAX = 1_000
"""Of a container that is looked through for tools."""


class Declared(NamedTuple):
    """A class's handlers."""

    handlers: dict[type, str]
    read_only: frozenset[str]


def declared_by(cls: Any, handles: str, reads_only: str) -> Declared:
    """Return the handlers of a class.

    Args:
        cls: with `handlers` and `read_only_handlers` as its bases have them.
        handles, reads_only: attributes with which methods are marked.

    Raises: DeclarationRefused, naming the method.
    """
    handlers: dict[type, str] = dict(cls.handlers)
    read_only: set[str] = set()
    seen: dict[type, str] = {}
    names: dict[str, type] = {}
    inherited = set(handlers.values())
    for name in dir(cls):
        raw = inspect.getattr_static(cls, name, None)
        kinds = _mark(raw, handles, ())
        if _mark(raw, reads_only, name in cls.read_only_handlers):
            read_only.add(name)
        if kinds or name in inherited:
            _check_method(cls, name, raw)
        for kind in kinds:
            other = seen.setdefault(kind, name)
            if (other in read_only) != (name in read_only):
                raise errors.DeclarationRefused(
                    f"class {cls.__qualname__}: {other} and {name} both handle {kind.__name__}, and one of them is"
                    " read_only: whether a step is logged with its reads would depend on their names. Leave one."
                )
            if other != name:
                raise errors.DeclarationRefused(
                    f"class {cls.__qualname__}: {other} and {name} both handle {kind.__name__}, and only one of them"
                    " would ever run. Leave one; to replace that of a base class, give it the same name."
                )
            handlers[kind] = name
    for kind in handlers:
        other = names.setdefault(kind.__name__, kind)
        if other is not kind:
            raise errors.DeclarationRefused(
                f"class {cls.__qualname__} handles {_path(other)} and {_path(kind)}: messages travel by their class's"
                f" name, so one would get what was sent as the other. Rename one of them, or give it to another agent."
            )
    return Declared(handlers, frozenset(read_only))


def _mark(raw: Any, name: str, default: Any) -> Any:
    """Return what a method is marked with; a staticmethod's mark may be on the function inside."""
    inner = getattr(raw, "__func__", None)
    return getattr(raw, name, getattr(inner, name, default) if inner is not None else default)


def _check_method(cls: type, name: str, raw: Any) -> None:
    what = f"class {cls.__qualname__}: handler {name}"
    if isinstance(raw, staticmethod | classmethod):
        raise errors.DeclarationRefused(
            f"{what} is a {type(raw).__name__}: it has no self, so no state. Leave that out."
        )
    if isinstance(raw, partial | partialmethod | property) or not hasattr(type(raw), "__get__"):
        raise errors.DeclarationRefused(
            f"{what} is {raw!r}. Write it as a method: async def {name}(self, message, ctx)."
        )
    if getattr(raw, "__name__", "") == "<lambda>":
        raise errors.DeclarationRefused(
            f"{what} is a lambda. Write it as a method: async def {name}(self, message, ctx)."
        )
    check_callable(what, raw, 3)


def check_settings(cls: Any) -> None:
    """Check a class's settings.

    Raises: DeclarationRefused, naming the setting.
    """
    if isinstance(cls.spaces, str) or not isinstance(cls.spaces, tuple | list):
        raise errors.DeclarationRefused(
            f"class {cls.__qualname__}: spaces = {cls.spaces!r} is no tuple of names. Write spaces = ({cls.spaces!r},)."
        )
    for space in cls.spaces:
        text(f"a space of class {cls.__qualname__}", space, is_empty_ok=False)
    for hook, takes in (("on_start", 1), ("on_restart", 1), ("on_undone", 2)):
        check_callable(f"class {cls.__qualname__}: {hook}", getattr(cls, hook), takes)
    check_watchers(cls)
    _check_consent(f"class {cls.__qualname__}: consent_s = {cls.consent_s!r}", cls.consent_s)
    if type(cls.tries) is not int or cls.tries < 1:
        raise errors.DeclarationRefused(f"class {cls.__qualname__}: tries = {cls.tries!r}: an int from 1 on.")
    if cls.attempts is not None and (type(cls.attempts) is not int or cls.attempts < 1):
        raise errors.DeclarationRefused(
            f"class {cls.__qualname__}: attempts = {cls.attempts!r}: an int from 1 on, or None for the cluster's limit."
        )
    for setting, kind in (("approvals", Approval), ("overseers", Overseer)):
        rules: Any = getattr(cls, setting)
        if not isinstance(rules, tuple) or not all(isinstance(rule, kind) for rule in rules):
            raise errors.DeclarationRefused(
                f"class {cls.__qualname__}: {setting} = {rules!r}: a tuple of {kind.__name__}(...)."
            )
    check_tiers(f"class {cls.__qualname__}", cls.tiers, cls.tiers_by)
    checked_retry(f"class {cls.__qualname__}", cls.retry)


def _check_consent(what: str, value: Any) -> None:
    try:
        seconds = number("consent_s", value)
    except errors.CallerError:
        seconds = 0.0
    if not 0 < seconds <= CONSENT_S_MAX:
        raise errors.DeclarationRefused(f"{what}: seconds, more than 0 and up to {CONSENT_S_MAX}: others wait for it.")


def is_other(one: type, two: type) -> bool:
    """Tell whether two classes of one name are two things: not one that was made anew, or is known by two modules."""
    if one is two or (one.__module__, one.__qualname__) == (two.__module__, two.__qualname__):
        return False
    return "__main__" not in (one.__module__, two.__module__)


def visible_tools(cls: type) -> Iterator[Tool[..., Any]]:
    """Yield the tools that a class's methods can see: its attributes, globals, and what these and closures hold."""
    for kind in cls.__mro__:
        for member in vars(kind).values():
            yield from _tools_in(member)
            function = getattr(member, "__func__", member)
            for value in getattr(function, "__globals__", {}).values():
                yield from _tools_in(value)
            for cell in getattr(function, "__closure__", None) or ():
                try:
                    yield from _tools_in(cell.cell_contents)
                except ValueError:
                    continue  # not yet given a value


def _tools_in(value: Any) -> Iterator[Tool[..., Any]]:
    if isinstance(value, Tool):
        yield value
    elif isinstance(value, dict | list | tuple | set | frozenset) and len(value) <= _ITEMS_MAX:
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, Tool):
                yield item


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
