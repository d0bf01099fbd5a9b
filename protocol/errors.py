"""Errors of the protocol: only bytes from outside raise, and only while they are read."""


class WireInvalid(ValueError):
    """Bytes from another host that are not a frame of this protocol: too large, wrong version, wrong form."""
