"""Takes over the logs that an older release kept in one SQLite file, with their numbers and hashes."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from peer.chain import FIRST_HASH, chain
from peer.errors import ConfigInvalid, LogCorrupt
from peer.store.files import Files
from peer.store.frame import ANCHOR
from peer.store.index import Index
from peer.store.stored import Stored
from peer.store.writing import Run, Writer

FILE = "log.db"
DONE = "log.db.imported"
FORMAT = 1
BATCH = 1000
_RECORDS = "SELECT number, hash, body FROM records WHERE agent = ? ORDER BY number"


def import_sqlite(folder: Path, index: Index, writer: Writer, files: Files) -> None:
    """Read `log.db`, if there is one, into the segments; it is kept under another name.

    A crash in between leaves some logs whole and some not begun: these are read the next time.

    Raises: LogCorrupt, naming the record; ConfigInvalid, for a file of another format.
    """
    file = folder / FILE
    if not file.exists():
        return
    try:
        reader = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            (version,) = reader.execute("PRAGMA user_version").fetchone()
            if version != FORMAT:
                raise ConfigInvalid(
                    f"{file} has format {version}; this release reads {FORMAT}. Nothing was changed."
                    " Use the release that wrote it."
                )
            anchors = dict(reader.execute("SELECT agent, number FROM anchors"))
            for (agent,) in reader.execute("SELECT DISTINCT agent FROM records ORDER BY agent").fetchall():
                _import(file, reader, agent, anchors.get(agent, 0), index, writer)
        finally:
            reader.close()
    except sqlite3.DatabaseError as error:
        raise LogCorrupt.at(file, None, None, f"SQLite can't read it ({error})") from error
    files.replace(file, folder / DONE)
    files.sync_folder(folder)


def read_sqlite(file: Path, reader: sqlite3.Connection, agent: str, first: int = 1) -> Iterator[Stored]:
    """Yield an agent's records from number `first` on, each checked against the one before it.

    Raises: LogCorrupt.
    """
    number, last = 0, FIRST_HASH
    try:
        for found, digest, body in reader.execute(_RECORDS, (agent,)):
            number += 1
            last = chain(last, agent, number, body)
            if found != number or digest != last:
                raise LogCorrupt.at(file, agent, number, "its hash does not fit its body, or one before it is missing")
            if number >= first:
                yield Stored(number, last, body)
    except sqlite3.DatabaseError as error:
        raise LogCorrupt.at(file, agent, number + 1, f"SQLite can't read it ({error})") from error


def _import(file: Path, reader: sqlite3.Connection, agent: str, anchor: int, index: Index, writer: Writer) -> None:
    runs: list[Run] = []
    for stored in read_sqlite(file, reader, agent, index.tail(agent)[0] + 1):
        if stored.number == anchor or not runs or len(runs[-1].records) >= BATCH:
            runs.append(Run(agent, [], ANCHOR if stored.number == anchor else 0))
        runs[-1].records.append(stored.body)
    for run in runs:
        writer.commit([run])
