"""What is wrong with a log, as people are told."""

from typing import NamedTuple

from peer.damage import Finding


class Report(NamedTuple):
    """What `verify` found."""

    agents: int
    records: int
    signed: int
    """Records that the host's key has signed."""
    findings: tuple[Finding, ...]
    torn: int = 0
    """Bytes of a last write that a crash has cut short: they had never been acknowledged."""
    host: str = ""
    """The host's id; empty where that can't be told."""
