"""What one check has found."""

from typing import NamedTuple

OK, WARN, FAIL, UNKNOWN = "ok", "warn", "fail", "unknown"


class Finding(NamedTuple):
    """What one check has found."""

    check: str
    """What was looked at, in a word."""
    verdict: str
    """`ok`; `warn`: it works, and should not stay so; `fail`; `unknown`: it can't be told now."""
    text: str
    remedy: str = ""


def ok(check: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(check, OK, text)


def warn(check: str, text: str, remedy: str) -> Finding:
    """Return that something should not stay as it is."""
    return Finding(check, WARN, text, remedy)


def fail(check: str, text: str, remedy: str) -> Finding:
    """Return that something is wrong."""
    return Finding(check, FAIL, text, remedy)


def unknown(check: str, why: str, remedy: str = "") -> Finding:
    """Return that it can't be told."""
    return Finding(check, UNKNOWN, why, remedy)
