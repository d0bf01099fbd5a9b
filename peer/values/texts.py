"""Texts that users give and logs hold: names, keys, reasons. What a log could not give back is refused."""

import re
from collections.abc import Sequence

from peer.errors import CallerError
from peer.values.brief import brief

NAME_CHARS_MAX = 200
"""Of an agent's name, and of a person's: it is a part of the names of steps, logs and keys."""
REASON_CHARS_MAX = 10_000
"""Of what people and agents say for people."""


def check_text(what: str, value: object, most: int, remark: str, least: int = 1) -> str:
    """Return a text as a plain str.

    Args:
        what: what it is called, for the error.
        value: what was given; a subclass of str becomes a str.
        most: of its characters.
        remark: what did not happen, for the error.
        least: of its characters.

    Raises: CallerError, naming the value, if it is no str, too long or too short, or has half a surrogate.
    """
    if not isinstance(value, str):
        raise CallerError(f"{what}={brief(value)}: it is of type {type(value).__qualname__}, not str. {remark}")
    if not least <= len(value) <= most:
        raise CallerError(f"{what}={brief(value)}: it has {len(value):,} characters, not {least} to {most:,}. {remark}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = value[error.start]
        raise CallerError(
            f"{what}={brief(value)}: {half!r} at place {error.start} is half of a character. {remark}"
        ) from None
    return str.__str__(value)


def check_agent_name(value: object, remark: str) -> str:
    """Return what an agent is to be called, as a plain str.

    Raises: CallerError, naming what is not made of letters, digits, '.', '_' and '-'.
    """
    name = check_text("name", value, NAME_CHARS_MAX, remark)
    if not all(letter.isalnum() or letter in "._-" for letter in name):
        raise CallerError(f"not a name for an agent: {name!r} (letters, digits, '.', '_' and '-'). {remark}")
    return name


def asked_name(value: object) -> str:
    """Return the name of an agent that is asked something, as a plain str: a frame takes no subclass, as of numpy.

    Raises: CallerError, for what can be no name.
    """
    return check_text("agent", value, NAME_CHARS_MAX, "Nothing was asked.", 0)


def as_plain(value: object) -> str:
    """Return a text of a subclass of str, as numpy has some, as a plain one: for encoders that know no others.

    Raises: CallerError, for anything else.
    """
    if isinstance(value, str):
        return str.__str__(value)
    raise CallerError(f"{brief(value)} is of type {type(value).__qualname__}, which nobody can be asked with.")


def check_choice(what: str, value: object, choices: Sequence[str], remark: str) -> None:
    """Check that one of some words was given. Raises: CallerError, naming the value and the words."""
    if not isinstance(value, str) or value not in choices:
        known = f"{', '.join(choices[:-1])} or {choices[-1]}"
        raise CallerError(f"{what}={brief(value)}: it is {known}. {remark}")


def natural(name: str) -> list[tuple[int, str]]:
    """Return what puts names in the order that people count in: host-2 before host-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]
