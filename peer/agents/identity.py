"""What a function is, as far as it can be told: its code, and the values that it was made with.

A factory or a loop makes functions of one name that do different things: pay from another account, ask another model.
They are told apart by the values that they were made with, not by the order in which they were made, which may be
another after a restart.
"""

import inspect
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from hashlib import blake2b
from pathlib import PurePath
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple
from uuid import UUID

_SIMPLE = (type(None), bool, int, float, str, bytes, Decimal, date, datetime, UUID, PurePath, Enum)
_DEPTH_MAX = 6
"""Functions inside functions, and containers inside containers, that are looked into."""
_ITEMS_MAX = 1_000


class Identity(NamedTuple):
    """What some functions are together."""

    code: str
    """A digest of what they do."""
    values: str
    """A digest of the plain values that they were made with; empty if there are none."""
    objects: tuple[Any, ...]
    """The other things that they were made with: told apart only by being others."""

    def is_same(self, other: "Identity") -> bool:
        """Tell whether both do the same with the same."""
        return (
            (self.code, self.values) == (other.code, other.values)
            and len(self.objects) == len(other.objects)
            and all(one is two for one, two in zip(self.objects, other.objects, strict=True))
        )


def identity_of(functions: Iterable[Any]) -> Identity:
    """Return what functions are together."""
    code, values, objects = blake2b(digest_size=8), blake2b(digest_size=8), list[Any]()
    has_values = False
    for at, function in enumerate(functions):
        for kind, name, item in _parts(function, 0):
            if kind == "code":
                code.update(f"{at} {name} ".encode(errors="backslashreplace"))
            elif kind == "value":
                has_values = True
                values.update(f"{at} {name} {item!r} ".encode(errors="backslashreplace"))
            else:
                objects.append(item)
    return Identity(code.hexdigest(), values.hexdigest() if has_values else "", tuple(objects))


def code_of(function: Any) -> CodeType | None:
    """Return the code that a function runs; None for what is no function of Python's."""
    while isinstance(function, partial | MethodType):
        function = function.func if isinstance(function, partial) else function.__func__
    return function.__code__ if isinstance(function, FunctionType) else None


def _parts(function: Any, depth: int) -> Iterator[tuple[str, str, Any]]:
    """Yield what a function consists of: code, plain values, other objects; each with its name."""
    if isinstance(function, MethodType):
        yield from _value("self", function.__self__, depth)
        function = function.__func__
    if isinstance(function, partial):
        yield from _parts(function.func, depth)
        for name, item in (*enumerate(function.args), *function.keywords.items()):
            yield from _value(str(name), item, depth)
    elif isinstance(function, FunctionType):
        yield "code", _shown(function.__code__), None
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                yield from _value(name, cell.cell_contents, depth)
            except ValueError:
                continue  # not yet given a value
        for name, item in enumerate(function.__defaults__ or ()):
            yield from _value(str(name), item, depth)
        for name, item in (function.__kwdefaults__ or {}).items():
            yield from _value(name, item, depth)
    elif function is not None:
        yield "code", f"{type(function).__module__}:{type(function).__qualname__}", None
        yield "object", "", function


def _value(name: str, value: Any, depth: int) -> Iterator[tuple[str, str, Any]]:
    if isinstance(value, _SIMPLE) or (isinstance(value, type) and value.__module__ == "builtins"):
        yield "value", name, value
    elif depth < _DEPTH_MAX and isinstance(value, FunctionType | MethodType | partial):
        yield from _parts(value, depth + 1)
    elif depth < _DEPTH_MAX and isinstance(value, tuple | frozenset) and len(value) < _ITEMS_MAX:
        items = value if isinstance(value, tuple) else sorted(value, key=repr)
        for at, item in enumerate(items):
            yield from _value(f"{name}.{at}", item, depth + 1)
    elif not inspect.ismodule(value):
        yield "object", name, value


def _shown(code: CodeType) -> str:
    constants = [_shown(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {constants}"
