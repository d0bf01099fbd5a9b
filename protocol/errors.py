"""Errors of the protocol: bytes that can't be read."""

from msgspec import DecodeError

UNREADABLE = (DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that can't be read: no UTF-8, and too deep, are no DecodeErrors."""


class WireInvalid(ValueError):
    """Bytes from another host that are not a frame of this protocol: too large, wrong version, wrong form."""


class VersionUnspoken(WireInvalid):
    """A frame in a version that this host does not read (CL-8)."""

    def __init__(self, text: str, version: int) -> None:
        super().__init__(text)
        self.version = version


class ShelfUnreadable(Exception):
    """A message that lies on the shelf can't be read for now; the log has it (CL-5)."""
