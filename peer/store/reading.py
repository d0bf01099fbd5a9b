"""The logs in a host's folder as whoever audits reads them: nothing is locked or changed, and the host may be running."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from peer.errors import ConfigInvalid, LogCorrupt
from protocol.ids import AgentId


class Stored(NamedTuple):
    """A record as it stands in a log."""

    number: int
    """From 1."""
    hash: bytes
    """Over the record and the hash of the one before: 16 bytes."""
    body: bytes


class Logs(Protocol):
    """The logs of one host, the archive included."""

    folder: Path

    def refresh(self) -> None:
        """Take in what the host has written meanwhile."""
        ...

    def agents(self) -> list[AgentId]:
        """Return the names of the logs, in order."""
        ...

    def length(self, agent: AgentId) -> int:
        """Return how many records a log has, from the first on."""
        ...

    def read(self, agent: AgentId, first: int = 1) -> Iterator[Stored]:
        """Yield a log's records from number `first` on, each checked against its hash.

        Raises: LogCorrupt, naming the file, the record and the remedy.
        """
        ...


class Finding(NamedTuple):
    """Something in a log that is not as it was written."""

    file: Path
    agent: AgentId | None
    """Whose log; None where that can't be told."""
    number: int | None
    """The first record that is not as written."""
    what: str
    remedy: str


class Report(NamedTuple):
    """What `verify` found."""

    agents: int
    records: int
    signed: int
    """Records in segments that the host's key has signed."""
    findings: tuple[Finding, ...]


def open_logs(folder: Path) -> Logs:
    """Open the logs in a host's folder for reading.

    Raises: ConfigInvalid, if there are none.
    """
    if not (folder / "log.db").exists():
        raise ConfigInvalid(f"{folder} holds no log. Nothing was read. Name a host's folder, as in run/host-1.")
    return _SqliteLogs(folder)


def verify(folder: Path) -> Report:
    """Check every record of a folder's logs: that none was altered, dropped or reordered."""
    logs, findings, records = open_logs(folder), list[Finding](), 0
    for agent in logs.agents():
        count = 0
        try:
            for _ in logs.read(agent):
                count += 1
        except LogCorrupt as error:
            findings.append(Finding(folder / "log.db", agent, count + 1, str(error), ""))
        records += count
    return Report(len(logs.agents()), records, 0, tuple(findings))


class _SqliteLogs:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._reader = sqlite3.connect(f"file:{folder / 'log.db'}?mode=ro", uri=True)

    def refresh(self) -> None:
        pass

    def agents(self) -> list[AgentId]:
        return [name for (name,) in self._reader.execute("SELECT DISTINCT agent FROM records ORDER BY agent")]

    def length(self, agent: AgentId) -> int:
        return self._reader.execute("SELECT count(*) FROM records WHERE agent = ?", (agent,)).fetchone()[0]

    def read(self, agent: AgentId, first: int = 1) -> Iterator[Stored]:
        rows = "SELECT number, hash, body FROM records WHERE agent = ? AND number >= ? ORDER BY number"
        yield from (Stored(*row) for row in self._reader.execute(rows, (agent, first)))
