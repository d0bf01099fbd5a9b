"""What tools are called in logs, and which tool a name in a log means.

A name is a function's module and name. Where a factory or a loop makes several of one name, each has a mark of the
values that it was made with behind it, as in `shop:make.<locals>.pay#5f0c...`.
"""

from typing import Any, Protocol
from weakref import WeakSet

from peer.agents.identity import Identity, code_of

_MARKS_MAX = 10_000
"""Marks of one name that are remembered: tools that are made without end count as several after that, too."""


class Nameable(Protocol):
    """A tool, as far as names go."""

    function: Any
    identity: Identity
    base: str
    has_own_name: bool


class _Named:
    """The tools of one name in this process."""

    def __init__(self) -> None:
        self.tools: WeakSet[Nameable] = WeakSet()
        self.code: object = None
        """What the function runs that was declared last; a reload makes another, and what was before is gone."""
        self.marks: dict[str, None] = {}


_NAMED: dict[str, _Named] = {}


def declared(tool: Nameable) -> None:
    """Note a tool."""
    named = _NAMED.setdefault(tool.base, _Named())
    code = code_of(tool.function)
    if not _is_lambda(tool) and code is not named.code:
        named.marks.clear()
    named.code = code
    if len(named.marks) < _MARKS_MAX:
        named.marks[_mark(tool)] = None
    named.tools.add(tool)


def name_of(tool: Nameable) -> str:
    """Return what logs call a tool."""
    named = _NAMED[tool.base]
    if tool.has_own_name or len(named.marks) < 2 or _mark(tool) not in named.marks:
        return tool.base
    return f"{tool.base}#{_mark(tool)}"


def found(name: str) -> Nameable | None:
    """Return the tool of this process that a name in a log means; None if there is none, or nobody can tell which."""
    base, _, mark = name.partition("#")
    named = _NAMED.get(name) or _NAMED.get(base)
    living = [] if named is None else list(named.tools)
    if name not in _NAMED:
        living = [tool for tool in living if _mark(tool) == mark]
    if len(living) > 1 and any(not tool.identity.is_same(living[0].identity) for tool in living):
        return None
    return living[0] if living else None


def _is_lambda(tool: Nameable) -> bool:
    return "<lambda>" in tool.base


def _mark(tool: Nameable) -> str:
    code = tool.identity.code if _is_lambda(tool) else ""
    return f"{code}{tool.identity.values}" or "0"
