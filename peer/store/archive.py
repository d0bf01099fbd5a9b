"""Segments that no agent needs to come back: where they are, and where the working log begins.

They are kept for audits, in the folder beside the log or at any address that fsspec knows (s3, gcs, file, memory ...).
"""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec

from peer.errors import LogCorrupt, LogFailed
from peer.store.files import Files
from peer.store.outside.places import Place
from peer.store.segment import NAME
from protocol.errors import UNREADABLE
from protocol.ids import AgentId

FILE = "archived.json"
FOLDER = "archive"
"""Beside the log, where no address is given."""


class Edge(msgspec.Struct, frozen=True):
    """The border between two segments."""

    segment: int
    """The one before it."""
    sequence: int
    """Of that one's last batch."""
    digest: bytes
    tails: dict[AgentId, tuple[int, bytes]]
    """How far each log had come: number and hash of its last record."""


class Archived(msgspec.Struct, frozen=True):
    """A segment in the archive."""

    number: int
    size: int
    """Bytes."""
    at_s: int
    """When it was put there, in seconds since the Unix epoch."""


class Boundary(msgspec.Struct, frozen=True):
    """The archive as the working log knows it."""

    end: Edge
    """Its end, where the working log begins."""
    segments: tuple[Archived, ...] = ()
    begin: Edge | None = None
    """Its beginning, if older segments have been dropped."""
    address: str = ""
    """Where it is; empty: in the folder beside the log."""


class _Checked(msgspec.Struct, frozen=True):
    check: str
    boundary: msgspec.Raw


def read_boundary(folder: Path) -> Boundary | None:
    """Return where a folder's working log begins; None: at its beginning.

    Raises: LogCorrupt.
    """
    path = folder / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        checked = msgspec.json.decode(data, type=_Checked)
        body = bytes(checked.boundary)
        if _check(body) != checked.check:
            raise LogCorrupt.at(path, None, None, "its check does not fit its content")
        return msgspec.json.decode(body, type=Boundary)
    except UNREADABLE as error:
        raise LogCorrupt.at(path, None, None, f"it can't be read ({error})") from error


def write_boundary(folder: Path, boundary: Boundary, files: Files) -> None:
    """Write down where the working log begins: whole, or not at all."""
    body = msgspec.json.encode(boundary)
    data = msgspec.json.encode(_Checked(_check(body), msgspec.Raw(body)))
    files.put(folder / FILE, data)


def _check(body: bytes) -> str:
    return blake2b(body, digest_size=16).hexdigest()


class Archive:
    """Segments of one host at an address.

    Args:
        folder: the host's; without an address the archive is in it.
        address: as fsspec takes it, e.g. `s3://bucket/audit`; each host has a folder of its own there.
        host: the host's id.

    Raises: ConfigInvalid, for an address that can't be used.
    """

    def __init__(self, folder: Path, address: str = "", host: str = "") -> None:
        self.address = address
        self._place = Place(
            str(folder / FOLDER) if not address else f"{address.rstrip('/')}/{host}" if host else address
        )

    def put(self, name: str, data: bytes) -> None:
        """Keep a file: durable, and read back before this returns.

        Raises: LogFailed; what is there then may be half of it, and the next `put` writes it whole.
        """
        try:
            self._place.write(name, data)
            if self._place.read(name) != data:
                raise OSError("what was read back is not what was written")
        except Exception as error:  # each file system has errors of its own
            raise LogFailed(
                f"Can't archive {name} at {self._place.address} ({type(error).__name__}: {error}). It stays in the"
                " working log. Mend that; it is tried again."
            ) from error

    def get(self, name: str) -> bytes:
        """Return a file.

        Raises: LogFailed.
        """
        try:
            return self._place.read(name)
        except FileNotFoundError as error:
            raise LogFailed(
                f"{name} is missing from the archive {self._place.address}. Bring it back from a copy, or mend the way"
                " there."
            ) from error
        except Exception as error:  # each file system has errors of its own
            raise LogFailed(
                f"Can't read {name} from the archive {self._place.address} ({type(error).__name__}: {error})."
                " Mend that."
            ) from error

    def drop(self, name: str) -> None:
        """Remove a file, if it is there.

        Raises: LogFailed.
        """
        try:
            self._place.remove(name)
        except Exception as error:  # each file system has errors of its own
            raise LogFailed(
                f"Can't drop {name} from the archive {self._place.address} ({type(error).__name__}: {error})."
                " Mend that."
            ) from error


def fetch(archive: Archive, segments: Sequence[Archived], folder: Path) -> tuple[list[Path], list[str]]:
    """Copy archived segments into a folder, those that are not there yet; return all, and what is wrong with others."""
    found: list[Path] = []
    wrong: list[str] = []
    for segment in segments:
        file = folder / NAME.format(segment.number)
        try:
            # What is archived does not change, and whoever follows logs asks several times a second.
            if not file.exists():
                file.write_bytes(archive.get(file.name))
            found.append(file)
        except LogFailed as error:
            wrong.append(str(error))
    return found, wrong
