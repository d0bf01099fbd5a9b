"""Versions of what is kept and sent: a class of messages says which it is, and how older ones become it.

From version 2 on the version stands in the message's tag, as `Order@2`; version 1 has the form that messages had before
there were versions, so whatever is older than a class's first change is of version 1. A message has a version as a
whole: whoever changes a class that only stands in a field raises the version of the messages that hold it.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from peer.errors import DeclarationRefused, MigrationFailed, PayloadInvalid, VersionUnknown
from peer.values.brief import brief

VERSION_MAX = 999_999_999

Fields = dict[str, Any]
Migration = Callable[[Fields], Fields]
K = TypeVar("K", bound=type)
M = TypeVar("M", bound=Migration)

_VERSION = "__ebbtide_version__"
_MIGRATIONS = "__ebbtide_migrations__"


def versioned(version: int) -> Callable[[K], K]:
    """Say of which version a class of messages is; without it, of version 1. Subclasses say it for themselves.

    Whoever handles such messages needs a migration from every older version (`migrates`).

    Raises: DeclarationRefused, for a version that is no int from 1 on, or a Struct whose fields have no names.
    """
    _check_version(version)

    def mark(kind: K) -> K:
        if issubclass(kind, msgspec.Struct) and kind.__struct_config__.array_like:
            raise DeclarationRefused(
                f"{kind.__qualname__} is array_like: its fields have no names to migrate by. Leave array_like out."
            )
        setattr(kind, _VERSION, version)
        return kind

    return mark


def migrates(kind: type, version: int) -> Callable[[M], M]:
    """Mark a function that makes the fields of the next version out of those of `version`, as dicts by name.

    It is called when an old message is read, again each time, and nothing that it makes is written back.

    Raises: DeclarationRefused, if the class is not newer than that, or has such a migration already.
    """
    _check_version(version)
    if version >= version_of(kind):
        raise DeclarationRefused(
            f"{kind.__qualname__} is of version {version_of(kind)}: nothing migrates from {version}. Raise @versioned."
        )

    def mark(migration: M) -> M:
        if _MIGRATIONS not in vars(kind):
            setattr(kind, _MIGRATIONS, {})
        there = vars(kind)[_MIGRATIONS]
        if version in there:
            raise DeclarationRefused(f"{kind.__qualname__} has a migration from version {version} already.")
        there[version] = migration
        return migration

    return mark


def version_of(kind: type) -> int:
    """Return the version of a class of messages."""
    return vars(kind).get(_VERSION, 1)


def tag_of(kind: type) -> str:
    """Return what stands for a class on the wire and in logs."""
    version = version_of(kind)
    return kind.__name__ if version == 1 else f"{kind.__name__}@{version}"


def read_tag(tag: str) -> tuple[str, int]:
    """Return the name of a class and its version.

    Raises: PayloadInvalid, for a tag that `tag_of` does not make.
    """
    name, at, digits = tag.partition("@")
    if not at:
        return tag, 1
    if not (digits.isascii() and digits.isdigit()) or digits.startswith("0") or not 1 < int(digits) <= VERSION_MAX:
        raise PayloadInvalid(f"{brief(tag)} names no version of a type. It was refused.")
    return name, int(digits)


def check_messages(kind: type) -> None:
    """Check that messages of every older version of a class can be read.

    Raises: DeclarationRefused, naming the version that has no migration.
    """
    check_chain(kind.__qualname__, version_of(kind), vars(kind).get(_MIGRATIONS, {}), "Add @migrates({name}, {step}).")


def check_chain(name: str, version: int, migrations: Mapping[int, Any], remedy: str) -> None:
    """Check that migrations lead from version 1 to this one, step by step.

    Raises: DeclarationRefused, naming the first step that is missing or leads beyond.
    """
    _check_version(version)
    for step in range(1, version):
        if step not in migrations:
            raise DeclarationRefused(
                f"{name} is of version {version} and has no migration from {step} to {step + 1}: what was written then"
                f" could not be read any more. {remedy.format(name=name, step=step)}"
            )
    for step in migrations:
        if step not in range(1, version):
            raise DeclarationRefused(
                f"{name} is of version {version} and has a migration from {step!r}, which is none."
            )


def migrated(kind: type, version: int, fields: object) -> Fields:
    """Return the fields of a message as its class has them now.

    Raises: VersionUnknown, if the message is newer than the class; MigrationFailed; PayloadInvalid.
    """
    now = version_of(kind)
    if version > now:
        raise unknown(f"A message {kind.__name__}", version, now)
    if type(fields) is not dict:
        raise PayloadInvalid(f"A message of type {kind.__name__} has no fields by name. It was refused.")
    found: Any = fields
    for step in range(version, now):
        migration = vars(kind).get(_MIGRATIONS, {}).get(step)
        try:
            found = migration(found) if migration is not None else None
        except Exception as error:  # whatever a user's function raises
            raise failed(f"of {kind.__name__} from version {step}", error) from error
        if type(found) is not dict:
            raise failed(f"of {kind.__name__} from version {step}", f"it made {brief(found)} where fields belong")
    return found


def unknown(what: str, version: int, now: int) -> VersionUnknown:
    """Return the error of whoever meets something newer than itself."""
    reads = f"versions 1 to {now}" if now > 1 else "version 1"
    return VersionUnknown(
        f"{what} is of version {version}, and this release reads {reads}. Nothing changed; the input waits."
        " Upgrade: start the host again with a release that reads it."
    )


def failed(what: str, why: object) -> MigrationFailed:
    """Return the error of a migration that did not do its work."""
    text = f"{type(why).__name__}: {why}" if isinstance(why, Exception) else str(why)
    return MigrationFailed(
        f"The migration {what} failed ({text}). Nothing changed; the input waits. Correct it, and start the host again."
    )


def _check_version(version: object) -> None:
    if type(version) is not int or not 1 <= version <= VERSION_MAX:
        raise DeclarationRefused(f"version {version!r}: it is an int from 1 on.")
