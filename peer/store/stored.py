"""A record as it stands in a log."""

from typing import NamedTuple


class Stored(NamedTuple):
    """A record, where it stands, and the hash that fixes it and all before it."""

    number: int
    """From 1."""
    hash: bytes
    """Over the record and the hash of the one before: 16 bytes."""
    body: bytes
