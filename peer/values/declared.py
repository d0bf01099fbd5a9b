"""What an agent's class declares of its state: how keys are kept, and of which version its values are.

What would make a rollback wrong, or leave something that nobody could read, is refused when the class is defined.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from peer.errors import DeclarationRefused
from peer.values.key_text import Key
from peer.values.versioning import check_chain

Load = Callable[[Key], Any]
Build = Callable[[Key, Mapping[Any, Any]], Any]
Migrate = Callable[[Key, Any], Any]


@dataclass(frozen=True)
class KeyKind:
    """How the values of a key are kept, other than in the log as they are."""


@dataclass(frozen=True)
class Derived(KeyKind):
    """Not kept at all: made from other keys whenever it is read."""

    build: Build
    of: tuple[str, ...]


@dataclass(frozen=True)
class Secret(KeyKind):
    """Kept in memory; the log has a hash."""

    load: Load


@dataclass(frozen=True)
class Bulky(KeyKind):
    """Kept outside the log, which has a reference."""


@dataclass(frozen=True)
class Hidden:
    """What is seen of a secret from outside, and of a bulky value in a step: the hash that stands in the log."""

    digest: str


class Schema(NamedTuple):
    """All that a class declares of its state."""

    name: str = "Agent"
    keys: Mapping[str, KeyKind] = {}
    version: int = 1
    migrations: Mapping[int, Migrate] = {}


@dataclass(frozen=True)
class _Shown:
    """A class while it is looked at: whatever is wrong is told with its name."""

    name: str
    keys: dict[str, KeyKind] = field(default_factory=dict)

    def refuse(self, why: str) -> DeclarationRefused:
        return DeclarationRefused(f"class {self.name}: {why}")


def derived(build: Build, *, of: tuple[str, ...]) -> Derived:
    """Declare a key that is never stored: it is built anew from other keys each time it is read.

    Args:
        build: called with the key and a mapping to look at, which holds the keys of `of` alone. It should tell the same
            of the same: what it makes is not logged. A KeyError of its means that there is no value.
        of: the keys that it is built from, by their first elements; reading the derived key reads what is looked at.

    Raises: DeclarationRefused, if `of` is no tuple of keys, or empty.
    """
    _check_function("build", build)
    if not isinstance(of, tuple) or not of or not all(isinstance(name, str) for name in of):
        raise DeclarationRefused(f"derived(of={of!r}): of is a tuple of one key or more, as in of=('orders',).")
    return Derived(build, of)


def secret(load: Load | None = None) -> Secret:
    """Declare a key whose values are never logged: the log has a salted hash that can't be guessed without the vault.

    Args:
        load: called with the key to bring a value back after a restart or an undo; what it returns must be the value
            that the surviving step has written, else reading it raises SecretChanged.

    Raises: DeclarationRefused, without `load`: an undo or a restart could not bring the value back.
    """
    if load is None:
        raise DeclarationRefused(
            "secret() without load: the log has only a hash, so an undo or a restart could not bring the value back."
            " Pass load=, a function from the key to the value."
        )
    _check_function("load", load)
    return Secret(load)


def bulky() -> Bulky:
    """Declare a key whose values are kept outside the log, at `Cluster(blobs=...)`; the log has hash and size."""
    return Bulky()


def kind_of(key: object, keys: Mapping[str, KeyKind]) -> KeyKind | None:
    """Return how a key is kept: a tuple is kept as its first element says; None: in the log, as it is."""
    name = family(key)
    return keys.get(name) if name is not None else None


def family(key: object) -> str | None:
    """Return the name under which a key may be declared: itself, or a tuple's first element, if that is a str."""
    if isinstance(key, tuple):
        key = key[0] if key else None
    return key if isinstance(key, str) else None


def schema_of(kind: type[Any]) -> Schema:
    """Return what a class declares of its state, its bases' declarations included.

    Raises: DeclarationRefused, saying what is wrong and why.
    """
    shown = _Shown(kind.__qualname__)
    for base in reversed(kind.__mro__):
        keys = vars(base).get("keys", {})
        if not isinstance(keys, Mapping):
            raise shown.refuse(f"keys is {keys!r}: it declares state, as a dict from keys to derived, secret or bulky.")
        for name, how in keys.items():
            _declare(shown, name, how)
    for name in shown.keys:
        _check_cycles(shown, (name,))
    name = f"the state of {kind.__qualname__}"
    check_chain(name, kind.state_version, kind.migrations, "Add it to `migrations`.")
    for migration in kind.migrations.values():
        _check_function("a migration", migration)
    return Schema(kind.__qualname__, shown.keys, kind.state_version, kind.migrations)


def _declare(shown: _Shown, name: object, how: object) -> None:
    if isinstance(name, tuple):
        raise shown.refuse(f"keys declares {name!r}: tuples are kept as their first element says. Declare that.")
    if not isinstance(name, str):
        raise shown.refuse(f"keys declares {name!r}, which is no str. Only keys that are, or begin with, one can be.")
    if not isinstance(how, KeyKind):
        raise shown.refuse(f"keys declares {name!r} as {how!r}. Use derived(...), secret(...) or bulky().")
    if shown.keys.get(name, how) != how:
        raise shown.refuse(
            f"keys declares {name!r} as {type(how).__name__.lower()}, and a base class otherwise: the handlers of that"
            " class count on it. Use another key."
        )
    shown.keys[name] = how


def _check_cycles(shown: _Shown, path: tuple[str, ...]) -> None:
    how = shown.keys.get(path[-1])
    if not isinstance(how, Derived):
        return
    for source in how.of:
        if source in path:
            way = " of ".join((*path[path.index(source) :], source))
            raise shown.refuse(f"{way}: a key that is derived of itself has nothing to begin with.")
        _check_cycles(shown, (*path, source))


def _check_function(what: str, function: object) -> None:
    if not callable(function):
        raise DeclarationRefused(f"{what} is {function!r}: it has to be a function.")
    if inspect.iscoroutinefunction(function):
        raise DeclarationRefused(f"{what} is a coroutine function: it is called while a value is read, and can't wait.")
