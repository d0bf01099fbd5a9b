"""Makes values of any type that is sent or logged, at random: right in form, and in content as wild as may be."""

from random import Random
from typing import Any

from msgspec import inspect

from tests.fuzz.shapes import NUMBERS

DEPTH_MAX = 6
"""Below it only what need not be there is left out."""


class Examples:
    """Values of types as MessagePack has them.

    Args:
        words: texts that mean something to whoever is sent them.
        bodies: bytes that do.
    """

    def __init__(self, words: tuple[str, ...], bodies: tuple[bytes, ...]) -> None:
        self._words = words
        self._bodies = bodies
        self._known: dict[Any, inspect.Type] = {}

    def of(self, kind: Any, rng: Random) -> Any:
        """Return a value of a type."""
        found = self._known.get(kind)
        if found is None:
            found = self._known[kind] = inspect.type_info(kind)
        return self._of(found, rng, 0)

    def _of(self, kind: inspect.Type, rng: Random, depth: int) -> Any:
        match kind:
            case inspect.StructType():
                return self._struct(kind, rng, depth)
            case inspect.NamedTupleType():
                return self._fields(kind.fields, rng, depth)
            case inspect.UnionType():
                types = kind.types
                if depth >= DEPTH_MAX:
                    types = tuple(each for each in types if isinstance(each, inspect.NoneType)) or types
                return self._of(rng.choice(types), rng, depth + 1)
            case inspect.VarTupleType() | inspect.ListType() | inspect.SetType() | inspect.FrozenSetType():
                count = 0 if depth >= DEPTH_MAX else rng.choice((0, 1, 1, 2, 3))
                return [self._of(kind.item_type, rng, depth + 1) for _ in range(count)]
            case inspect.TupleType():
                return [self._of(each, rng, depth + 1) for each in kind.item_types]
            case inspect.DictType():
                count = 0 if depth >= DEPTH_MAX else rng.choice((0, 1, 2))
                return {
                    self._of(kind.key_type, rng, depth + 1): self._of(kind.value_type, rng, depth + 1)
                    for _ in range(count)
                }
            case _:
                return self._leaf(kind, rng)

    def _leaf(self, kind: inspect.Type, rng: Random) -> Any:
        match kind:
            case inspect.IntType():
                return rng.choice((0, 1, 1, 1, 2, 3)) if rng.random() < 0.9 else rng.choice(NUMBERS)
            case inspect.FloatType():
                return rng.choice((0.0, 0.5, 1.0, float("nan")))
            case inspect.BoolType():
                return rng.random() < 0.5
            case inspect.StrType():
                return rng.choice(self._words)
            case inspect.BytesType():
                return rng.choice(self._bodies)
            case inspect.EnumType():
                return rng.choice([each.value for each in kind.cls])
            case inspect.NoneType():
                return None
            case _:
                return rng.choice((None, 0, "", b"", [], {}))

    def _struct(self, kind: inspect.StructType, rng: Random, depth: int) -> Any:
        if kind.array_like:
            head = [] if kind.tag is None else [kind.tag]
            return [*head, *self._fields(kind.fields, rng, depth)]
        found: dict[Any, Any] = {} if kind.tag is None else {kind.tag_field: kind.tag}
        for each in kind.fields:
            if each.required or (depth < DEPTH_MAX and rng.random() < 0.6):
                found[each.encode_name] = self._of(each.type, rng, depth + 1)
        return found

    def _fields(self, fields: tuple[inspect.Field, ...], rng: Random, depth: int) -> list[Any]:
        least = sum(each.required for each in fields)
        count = least if depth >= DEPTH_MAX else rng.randint(least, len(fields))
        return [self._of(each.type, rng, depth + 1) for each in fields[:count]]
