"""Whether a message arrives as it was sent: what would not is refused where it is sent, with the field's name.

A class of messages says what its fields are, and a receiver makes them that. Where they hold something else, such as
an object of a subclass, a list for a tuple, or an Enum where anything may be, that would be lost on the way.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from types import NoneType
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
from msgspec import inspect
from msgspec.structs import force_setattr

from peer.values.brief import brief
from peer.values.personal import Personal

_PLAIN: dict[type, type] = {
    inspect.NoneType: NoneType,
    inspect.BoolType: bool,
    inspect.IntType: int,
    inspect.FloatType: float,
    inspect.StrType: str,
    inspect.BytesType: bytes,
    inspect.DecimalType: Decimal,
    inspect.UUIDType: UUID,
    inspect.DateType: date,
}

_FIXED = frozenset((float, str, bytes, NoneType))
"""A receiver makes nothing else of these."""
_Check = Callable[[Any], bool]
_Path = tuple[str, ...]


def is_plain(message: Any) -> bool:
    """Tell whether all fields of a Struct or a dataclass surely arrive as they are: the common case, told quickly."""
    checks = _checks_of(type(message))
    return checks is not None and all(check(getattr(message, name)) for name, check in checks)


@lru_cache(maxsize=4096)
def _checks_of(kind: type) -> tuple[tuple[str, _Check], ...] | None:
    if hasattr(kind, "__post_init__"):
        return None  # it runs again at the receiver
    info: Any = inspect.type_info(kind)
    if not isinstance(info, inspect.StructType | inspect.DataclassType):
        return None
    checks = [(field.name, _check_of(field.type)) for field in info.fields]
    if any(check is None for _, check in checks):
        return None
    return tuple((name, check) for name, check in checks if check is not None)


def _check_of(info: Any) -> _Check | None:
    """Return what tells quickly whether a field's value is exactly what its class says; None: nothing does."""
    kinds = _kinds_of(info)
    if kinds is not None:
        return lambda value: type(value) in kinds
    if _is_bounded(info):
        return None
    if isinstance(info, inspect.StructType | inspect.DataclassType):
        cls = info.cls
        return lambda value: type(value) is cls and is_plain(value)
    if type(info) is inspect.UnionType:
        checks = [check for item in info.types if (check := _check_of(item)) is not None]
        return (lambda value: any(check(value) for check in checks)) if len(checks) == len(info.types) else None
    if type(info) is inspect.ListType:
        holds = all_of(info.item_type)
        return None if holds is None else lambda value: type(value) is list and holds(value)
    if type(info) is inspect.DictType:
        keys, items = all_of(info.key_type), all_of(info.value_type)
        if keys is not None and items is not None:
            return lambda value: type(value) is dict and keys(value) and items(value.values())
    return None


def all_of(info: Any) -> Callable[[Iterable[Any]], bool] | None:
    """Return what tells the same of many values."""
    kinds, check = _kinds_of(info), _check_of(info)
    if kinds is not None:
        return lambda values: kinds.issuperset(map(type, values))
    return None if check is None else lambda values: all(map(check, values))


def _kinds_of(info: Any) -> frozenset[type] | None:
    if _is_bounded(info):
        return None
    if type(info) in _PLAIN:
        return frozenset((_PLAIN[type(info)],))
    if type(info) is inspect.UnionType:
        kinds = [_kinds_of(item) for item in info.types]
        if all(kind is not None for kind in kinds):
            return frozenset(item for kind in kinds if kind is not None for item in kind)
    return None


def _is_bounded(info: Any) -> bool:
    """Tell whether an annotation says more than a type, as `Meta(gt=0)` does."""
    return any(
        getattr(info, name, None) is not None
        for name in ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "tz")
    )


# -- numbers ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def has_floats(kind: type) -> bool:
    """Tell whether a class has a field of floats anywhere: one that holds an int is given that back (`restored`)."""
    pending, seen = [inspect.type_info(kind)], set[int]()
    while pending:
        info: Any = pending.pop()
        if id(info) in seen:
            continue
        seen.add(id(info))
        if type(info) is inspect.FloatType:
            return True
        for name in getattr(info, "__struct_fields__", ()):
            item = getattr(info, name)
            pending += [
                part for part in (item if isinstance(item, tuple) else (item,)) if isinstance(part, msgspec.Struct)
            ]
    return False


def restored(made: Any, body: Any, everywhere: bool = False) -> Any:
    """Return what a receiver has made of a message, with the numbers that were sent: an int as one, numpy's as numpy's.

    Args:
        made: the message, or a part of it; changed in place where that can be.
        body: what it was made of.
        everywhere: look also where no float is expected: numpy's numbers may be there.
    """
    kind = type(made)
    if kind is float or kind is int or kind is bool:
        return body if isinstance(body, np.generic) or (kind is float and type(body) is int) else made
    if kind is list and type(body) in (list, tuple):
        if not _FIXED.issuperset(map(type, body)):
            for at, (item, sent) in enumerate(zip(made, body, strict=False)):
                made[at] = restored(item, sent, everywhere)
    elif kind is dict and type(body) is dict:
        pairs = zip(list(made.items()), list(body.items()), strict=False)
        again = {
            restored(key, sent, everywhere): restored(item, held, everywhere) for (key, item), (sent, held) in pairs
        }
        made.clear()
        made.update(again)
    elif isinstance(made, tuple) and type(body) in (list, tuple):
        items = [restored(item, sent, everywhere) for item, sent in zip(made, body, strict=False)]
        return kind._make(items) if hasattr(kind, "_make") else tuple(items)  # pyright: ignore[reportAttributeAccessIssue]
    elif isinstance(made, msgspec.Struct):
        if everywhere or has_floats(kind):
            _restore(made, _sent_fields(made, body), force_setattr, everywhere)
    elif is_dataclass(made) and not isinstance(made, type) and type(body) is dict and (everywhere or has_floats(kind)):
        named = {field.name: body[field.name] for field in fields(made) if field.name in body}
        _restore(made, named, object.__setattr__, everywhere)
    return made


def _restore(made: Any, sent: dict[str, Any], put: Callable[[Any, str, Any], None], everywhere: bool) -> None:
    for name, body in sent.items():
        item = getattr(made, name)
        again = restored(item, body, everywhere)
        if again is not item:
            put(made, name, again)


def _sent_fields(made: msgspec.Struct, body: Any) -> dict[str, Any]:
    config, names = made.__struct_config__, made.__struct_fields__
    if config.array_like and type(body) is list:
        return dict(zip(names, body[config.tag is not None :], strict=False))
    if type(body) is dict:
        return {
            name: body[wire] for wire, name in zip(made.__struct_encode_fields__, names, strict=True) if wire in body
        }
    return {}


# -- differences --------------------------------------------------------------------------------------------------


def difference(sent: Any, made: Any) -> str | None:
    """Return where a message would not arrive as it was sent, and how; None if it does."""
    found = _difference(sent, made, ())
    if found is None:
        return None
    path, one, two = found
    place = "".join(path).lstrip(".") or "it"
    if type(one) is not type(two):
        return f"{place} is {_a(one)}, and would arrive as {_a(two)}"
    return f"{place} is {brief(one)}, and would arrive as {brief(two)}"


def _difference(one: Any, two: Any, path: _Path) -> tuple[_Path, Any, Any] | None:
    kind = type(one)
    if kind is not type(two):
        return path, one, two
    if isinstance(one, msgspec.Struct | tuple | list | dict) or (is_dataclass(one) and not isinstance(one, type)):
        return _difference_inside(one, two, path)
    return None if _is_same(one, two) else (path, one, two)


def _difference_inside(one: Any, two: Any, path: _Path) -> tuple[_Path, Any, Any] | None:
    if isinstance(one, dict):
        if len(one) != len(two):
            return path, one, two
        for (key, item), (other, made) in zip(one.items(), two.items(), strict=True):
            if type(key) is not type(other) or not (key == other or _is_same(key, other)):
                return (*path, f" key {brief(key)}"), key, other
            if (found := _difference(item, made, (*path, f"[{brief(key)}]"))) is not None:
                return found
        return None
    if isinstance(one, tuple | list):
        if len(one) != len(two):
            return path, one, two
        pairs = ((f"[{at}]", item, made) for at, (item, made) in enumerate(zip(one, two, strict=True)))
    else:
        names = one.__struct_fields__ if isinstance(one, msgspec.Struct) else [field.name for field in fields(one)]
        pairs = ((f".{name}", getattr(one, name), getattr(two, name, None)) for name in names)
    for step, item, made in pairs:
        if item is not made and (found := _difference(item, made, (*path, step))) is not None:
            return found
    return None


def _is_same(one: Any, two: Any) -> bool:
    """Tell whether two values of one type, which hold no fields, are the same."""
    if isinstance(one, Personal):
        return True  # encrypted and back, and nobody else's to look at
    if isinstance(one, Enum):
        return one is two
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())
    if isinstance(one, np.generic):
        return one.dtype == two.dtype and one.tobytes() == two.tobytes()
    if isinstance(one, float):
        return one == two or (math.isnan(one) and math.isnan(two))
    if isinstance(one, Decimal):
        return str(one) == str(two)
    if isinstance(one, set | frozenset):
        return one == two and Counter(map(type, one)) == Counter(map(type, two))
    if isinstance(one, datetime):
        return one == two and one.utcoffset() == two.utcoffset()
    return bool(one == two)


def _a(value: Any) -> str:
    return f"{type(value).__qualname__} {brief(value)}"
