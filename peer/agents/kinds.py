"""Classes of agents by name: how logs and messages call them, and how another process finds them again."""

from collections.abc import Iterable
from importlib import import_module
from types import CellType
from typing import Any

from peer import errors
from peer.agents.agent import Agent
from peer.values.brief import brief

_KNOWN: dict[str, type[Agent]] = {}
"""Classes that have been brought up in this process: one that no import finds is found here."""


def path_of(kind: type[Agent]) -> str:
    """Return the name by which a class can be found again, as `module:qualname`."""
    path = f"{kind.__module__}:{kind.__qualname__}"
    _KNOWN[path] = kind
    return path


def kind_at(path: str) -> type[Agent] | None:
    """Return the class of a name that `path_of` gave, or None if it can't be found in this process."""
    if path in _KNOWN:
        return _KNOWN[path]
    module, _, name = path.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError):
        return None
    return found if isinstance(found, type) and issubclass(found, Agent) else None


def is_importable(path: str) -> bool:
    """Tell whether another process would find a class by its name; one of a script or a function it would not."""
    module, _, name = path.partition(":")
    return module != "__main__" and "<locals>" not in name


def kind_near(path: str, kinds: Iterable[type[Agent]]) -> type[Agent] | None:
    """Return a class that methods of others name: of a script's classes, which come by value, no import finds any."""
    for kind in kinds:
        for function in vars(kind).values():
            cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or () if cell != CellType()]
            for value in (*getattr(function, "__globals__", {}).values(), *cells):
                if isinstance(value, type) and issubclass(value, Agent) and path_of(value) == path:
                    return value
    return None


def path_of_agent(kind: Any) -> str:
    """Return the name of a class that is to be that of an agent.

    Raises: CallerError, for what is no class of agents.
    """
    if isinstance(kind, type) and issubclass(kind, Agent) and kind is not Agent:
        return path_of(kind)
    what = kind.__qualname__ if isinstance(kind, type) else brief(kind)
    raise errors.CallerError(
        f"{what} is no subclass of ebbtide.Agent. Nothing was made. Give a class, as in 'class Buyer(Agent): ...'."
    )
