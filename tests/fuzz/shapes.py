"""Changes bytes where they have a shape: of MessagePack a few values are changed, and it is encoded again.

Raw mutations hardly ever get past a decoder that checks types; these do, and reach what is done with what it lets in.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import msgpack

NUMBERS = (
    0, 1, -1, 2, 3, 7, 64, 255, 256, 4095, 4096, 65_535, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 53) + 1, 1 << 61,
    (1 << 61) + 1, (1 << 62), (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 31), -(1 << 63), 1_700_000_000_000_000,
)  # fmt: skip
FLOATS = (0.0, -0.0, 1.5, float("inf"), float("-inf"), float("nan"), 1e308)
NESTED_MAX = 400
"""Containers that one change may put around a value."""
LIST_MAX = 2000
LIST_BYTES_MAX = 20_000
"""Of a list that is repeated."""
PLACES_MAX = 5000
"""Values among which one is chosen to be changed."""
CHANGES_MAX = 4

Place = tuple[Any, Any]
"""A container, and the index or key at which a value is."""


class Unshaped(ValueError):
    """The bytes are no MessagePack, or are more than that."""


def read(data: bytes) -> Any:
    """Return what MessagePack bytes hold; text that is no UTF-8 comes back as it was. Raises: Unshaped."""
    try:
        return msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogateescape")
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise Unshaped(str(error)) from error


def write(value: Any) -> bytes:
    """Return the bytes of a value as `read` returns it. Raises: Unshaped."""
    try:
        return msgpack.Packer(unicode_errors="surrogateescape").pack(value)
    except (ValueError, TypeError, OverflowError, RecursionError, UnicodeEncodeError) as error:
        raise Unshaped(str(error)) from error


def mutated(data: bytes, rng: Random, words: tuple[str, ...], fresh: Callable[[], Any] | None = None) -> bytes:
    """Return the bytes with some values in them changed.

    Args:
        data: MessagePack.
        rng: chooses what is changed.
        words: texts that mean something to whoever reads the bytes.
        fresh: makes another value of which something may be taken.

    Raises: Unshaped.
    """
    root = [read(data)]
    for _ in range(rng.randint(1, CHANGES_MAX)):
        _change(root, rng, words, fresh)
    return write(root[0])


def _change(root: list[Any], rng: Random, words: tuple[str, ...], fresh: Callable[[], Any] | None) -> None:
    places = _places(root)
    holder, at = rng.choice(places)
    value = holder[at]
    choice = rng.random()
    if choice < 0.1:
        other, there = rng.choice(places)
        holder[at] = _copied(other[there])
    elif choice < 0.2 and fresh is not None:
        others = _places([fresh()])
        alike = [(h, a) for h, a in others if type(h[a]) is type(value)] or others
        other, there = rng.choice(alike)
        holder[at] = other[there]
    elif choice < 0.24:
        holder[at] = rng.choice([None, True, False, 0, "", b"", [], {}, rng.choice(FLOATS)])
    elif choice < 0.25:
        for _ in range(rng.randint(2, NESTED_MAX)):
            value = [value]
        holder[at] = value
    else:
        holder[at] = _changed(value, rng, words, fresh)


def _changed(value: Any, rng: Random, words: tuple[str, ...], fresh: Callable[[], Any] | None) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return rng.choice([value + 1, value - 1, rng.randint(0, 5), rng.choice(NUMBERS), rng.choice(NUMBERS)])
        case float():
            return rng.choice(FLOATS)
        case str():
            return _text(value, rng, words)
        case bytes():
            return _raw(value, rng, words, fresh)
        case list():
            return _items(value, rng)
        case dict():
            return _map(value, rng, words)
        case msgpack.ExtType():
            code = value.code if rng.random() < 0.7 else rng.randint(0, 20)
            return msgpack.ExtType(code, _raw(value.data, rng, words, fresh))
        case _:
            return rng.choice([0, "", b"", [], {}, rng.choice(NUMBERS), rng.choice(words)])


def _text(value: str, rng: Random, words: tuple[str, ...]) -> str:
    choice = rng.randrange(8)
    if choice < 4:
        return rng.choice(words)
    if choice == 4:
        return value + rng.choice(("x", "/", "\x00", "\udcff", "é", "𝄞", "#0", ":", "%", "{}", "\n"))
    if choice == 5:
        return value[: len(value) // 2]
    if choice == 6:
        return (value or "x") * rng.choice((2, 100))
    return str(rng.choice(NUMBERS))


def _raw(value: bytes, rng: Random, words: tuple[str, ...], fresh: Callable[[], Any] | None) -> bytes:
    choice = rng.random()
    if choice < 0.5 and value:
        # Bytes inside are MessagePack often enough: a question's body, a user's value, a record.
        for skip in (0, 1):
            try:
                return value[:skip] + mutated(value[skip:], rng, words, fresh)
            except Unshaped:
                continue
    if choice < 0.6:
        return b""
    if choice < 0.7:
        return value[: rng.randint(0, len(value))]
    if choice < 0.8:
        return value + rng.randbytes(rng.randint(1, 16))
    if not value:
        return rng.randbytes(rng.choice((1, 8, 16, 32, 64)))
    found = bytearray(value)
    for _ in range(rng.randint(1, 4)):
        found[rng.randrange(len(found))] = rng.choice((0, 255, 0x80, 0xC0, 0xC9, 0xDD, 0xDF, rng.randrange(256)))
    return bytes(found)


def _items(value: list[Any], rng: Random) -> list[Any]:
    found = list(value)
    match rng.randrange(6):
        case 0 if found:
            del found[rng.randrange(len(found))]
        case 1 if found:
            found.insert(rng.randint(0, len(found)), _copied(rng.choice(found)))
        case 2 if found:
            rng.shuffle(found)
        case 3 if found:
            again = write(found)
            for _ in range(min(rng.choice((300, LIST_MAX)) // len(found), LIST_BYTES_MAX // len(again))):
                found += read(again)
        case 4:
            found = []
        case _:
            found.append(rng.choice((None, 0, "", b"", [], {}, rng.choice(NUMBERS))))
    return found


def _map(value: dict[Any, Any], rng: Random, words: tuple[str, ...]) -> dict[Any, Any]:
    found = dict(value)
    choice = rng.randrange(3)
    if choice == 0 and found:
        del found[rng.choice(list(found))]
    elif choice == 1 and found:
        found[rng.choice(words)] = _copied(rng.choice(list(found.values())))
    else:
        found[rng.choice(words)] = rng.choice((0, 1, "", [], [1, 1], rng.choice(NUMBERS)))
    return found


def _places(root: list[Any]) -> list[Place]:
    found: list[Place] = []
    todo: list[Any] = [root]
    while todo and len(found) < PLACES_MAX:
        holder = todo.pop()
        keys = range(len(holder)) if isinstance(holder, list) else list(holder)
        for at in keys:
            found.append((holder, at))
            if isinstance(holder[at], list | dict):
                todo.append(holder[at])
    return found


def _copied(value: Any) -> Any:
    try:
        return read(write(value))
    except Unshaped:
        return None  # the same object twice would be changed twice, or hold itself
