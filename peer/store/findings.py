"""What is wrong with a log, as people are told."""

from pathlib import Path
from typing import NamedTuple

from protocol.ids import AgentId


class Finding(NamedTuple):
    """Something in a log that is not as it was written."""

    file: Path
    agent: AgentId | None
    """Whose log; None where that can't be told, or it is the file's own."""
    number: int | None
    """The first record that is not as written."""
    what: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}"
        if self.agent is not None:
            place += f", agent {self.agent}, record {self.number}"
        return f"{place}: {self.what}. {self.remedy}"


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
