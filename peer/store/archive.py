"""Where the working log begins: what is before it is the archive's, for audits only."""

import os
from hashlib import blake2b
from pathlib import Path

import msgspec

from peer.errors import LogCorrupt
from peer.store.files import Files
from protocol.ids import AgentId

FILE = "archived.json"


class Boundary(msgspec.Struct, frozen=True):
    """The end of the archive."""

    segment: int
    """The last archived one."""
    sequence: int
    digest: bytes
    """Of its last batch."""
    tails: dict[AgentId, tuple[int, bytes]]
    """How far each log had come by then."""
    address: str = ""
    """Where the archive is; empty: in the folder beside the log."""
    dropped: int = 0
    """Segments up to this one are gone, by the retention that the host was given."""


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
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LogCorrupt.at(path, None, None, f"it can't be read ({error})") from error


def archived_files(folder: Path, boundary: Boundary | None) -> tuple[list[Path], Boundary | None]:
    """Return a folder's archived segments, and what stands before the first of them, if any was dropped."""
    if boundary is None:
        return [], None
    return [], boundary


def write_boundary(folder: Path, boundary: Boundary, files: Files) -> None:
    """Write down where the working log begins: whole, or not at all."""
    body = msgspec.json.encode(boundary)
    data = msgspec.json.encode(_Checked(_check(body), msgspec.Raw(body)))
    draft = folder / f"{FILE}.new"
    draft.unlink(missing_ok=True)
    handle = files.create(draft)
    try:
        files.write(handle, data, 0)
        files.sync(handle)
    finally:
        os.close(handle)
    files.replace(draft, folder / FILE)
    files.sync_folder(folder)


def _check(body: bytes) -> str:
    return blake2b(body, digest_size=16).hexdigest()
