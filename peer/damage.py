"""What is wrong with a log: for whoever mends it, and as people are told."""

from pathlib import Path
from typing import NamedTuple

from protocol.ids import AgentId


class Damage(NamedTuple):
    """Records of one agent that are not there as they were written."""

    first: int
    end: int | None
    """The last that is missing; None: nobody can tell how many."""
    file: Path
    what: str


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
