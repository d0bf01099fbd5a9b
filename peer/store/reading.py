"""The logs in a host's folder as whoever audits reads them: nothing is locked or changed, and the host may be running."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from peer.ports import LogStore
from protocol.ids import AgentId


class Stored(NamedTuple):
    """A record as it stands in a log."""

    number: int
    """From 1."""
    hash: bytes
    """Over the record and the hash of the one before: 16 bytes."""
    body: bytes
