"""Files at an fsspec address, written so that they are whole and durable, or not there at all.

Addresses of this machine (`file://`, or a plain path) are written with fsync and without fsspec; what other file
systems have acknowledged is taken for durable. Nothing is remembered: what somebody else wrote or removed a moment ago
is seen.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import fsspec

from peer.errors import ConfigInvalid

_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified")
"""What file systems call the time of the last write, where a listing tells it."""


class File(NamedTuple):
    """A file, as a listing tells of it."""

    name: str
    """Below the place, with `/` between folders."""
    size: int
    """Bytes."""
    modified_s: float
    """When it was last written, by the file system's clock, in seconds since the Unix epoch."""


class Place:
    """A folder, wherever it is."""

    def __init__(self, address: str) -> None:
        """Open a place; nothing is made or asked for yet.

        Raises: ConfigInvalid, for an address whose file system is not known or not installed.
        """
        self.address = address
        try:
            files, root = _opened(address)
        except ImportError as error:
            raise ConfigInvalid(
                f"{address!r} can't be used to keep things at: {str(error).rstrip('.')}. Nothing was started or"
                " changed. Install the Python package that fsspec needs for it: s3fs for s3://, gcsfs for gs://,"
                " adlfs for az://."
            ) from error
        except ValueError as error:
            raise ConfigInvalid(
                f"{address!r} can't be used to keep things at: {str(error).rstrip('.')}. Nothing was started or"
                " changed. Give an address that fsspec knows, such as file:///backup, s3://bucket/folder or memory://audit."
            ) from error
        self._files: Any = files
        self._root = str(root).rstrip("/")
        self._refuses = False
        """It is known to refuse a second file of the same name."""
        self.is_local = "file" in (files.protocol if isinstance(files.protocol, tuple) else (files.protocol,))
        """It is a folder of this machine."""

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises: FileNotFoundError; whatever else the file system raises.
        """
        return self._files.cat_file(f"{self._root}/{name}")

    def holds(self, name: str) -> bool:
        """Tell whether there is a file of that name, now: listings that a file system remembers may be old."""
        try:
            self.read(name)
        except FileNotFoundError:
            return False
        return True

    def write(self, name: str, data: bytes) -> None:
        """Write a file, in place of another if there is one."""
        if self.is_local:
            self._write_here(name, data, replaces=True)
        else:
            self._files.pipe_file(f"{self._root}/{name}", data)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that nobody has written yet; False if somebody has, who may be at it at the same time."""
        if self.is_local:
            return self._write_here(name, data, replaces=False)
        if not self._refuses:
            self._check_refuses()
        return self._create(name, data)

    def _create(self, name: str, data: bytes) -> bool:
        try:
            self._files.pipe_file(f"{self._root}/{name}", data, mode="create")
        except FileExistsError:
            return False
        return True

    def _check_refuses(self) -> None:
        # Some stores take a write that is to make a new file for one that may replace an old one, and say nothing.
        probe = f".probe-{secrets.token_hex(8)}"
        try:
            self._refuses = self._create(probe, b"1") and not self._create(probe, b"2")
        finally:
            self.remove(probe)
        if not self._refuses:
            raise OSError("a file that is there is replaced by one that must be new (S3: If-None-Match is ignored)")

    def files(self) -> list[File]:
        """Return all files, in all folders below.

        Raises: FileNotFoundError, if there is nothing; NotImplementedError, if the file system can't list files or
            does not tell when they were written; whatever else it raises.
        """
        if self.is_local:
            return list(self._files_here())
        self._files.invalidate_cache()
        found = self._files.find(self._root, detail=True)
        self._files.invalidate_cache()
        if not found:
            raise FileNotFoundError(self.address)
        begin = f"{self._root}/"
        return [
            File(path[len(begin) :], int(info["size"]), self._time_of(path, info))
            for path, info in found.items() if path.startswith(begin) and info["type"] == "file"
        ]  # fmt: skip

    def _files_here(self) -> Iterator[File]:
        root = Path(self._root)
        if not root.is_dir():
            raise FileNotFoundError(self._root)
        for folder, _, names in os.walk(root):
            for name in names:
                path = Path(folder, name)
                # Drafts come and go meanwhile.
                with suppress(FileNotFoundError):
                    found = path.stat()
                    yield File(path.relative_to(root).as_posix(), found.st_size, found.st_mtime)

    def _time_of(self, path: str, info: dict[str, Any]) -> float:
        told = next((info[name] for name in _TIMES if info.get(name) is not None), None)
        if told is None:
            told = self._files.modified(path)
        if isinstance(told, str):
            told = datetime.fromisoformat(told)
        if isinstance(told, datetime):
            return (told if told.tzinfo is not None else told.replace(tzinfo=UTC)).timestamp()
        return float(told)

    def modified_s(self, name: str) -> float:
        """Return when a file was last written, by the file system's clock, in seconds since the Unix epoch.

        Raises: FileNotFoundError; NotImplementedError, if the file system does not tell; whatever else it raises.
        """
        path = f"{self._root}/{name}"
        if self.is_local:
            return Path(path).stat().st_mtime
        self._files.invalidate_cache(path)
        return self._time_of(path, self._files.info(path))

    def now_s(self) -> float:
        """Return the time by the file system's clock, which writes and removes a small file.

        Raises: as `modified_s`.
        """
        probe = f".probe-{secrets.token_hex(8)}"
        self.write(probe, b"")
        try:
            return self.modified_s(probe)
        finally:
            self.remove(probe)

    def renew(self, name: str) -> bool:
        """Let a file count as written now; False if that takes writing it again, or it is not there."""
        if not self.is_local:
            return False
        try:
            os.utime(f"{self._root}/{name}")
        except FileNotFoundError:
            return False
        self.settle(name)
        return True

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        path = f"{self._root}/{name}"
        if self.is_local:
            # What is not there stays away: there is nothing to make durable.
            with suppress(FileNotFoundError):
                Path(path).unlink()
                _sync_folder(Path(path).parent)
        else:
            with suppress(FileNotFoundError):
                self._files.rm_file(path)

    def settle(self, name: str) -> None:
        """Make sure that a file which is there stays there."""
        if self.is_local:
            _sync_folder(Path(f"{self._root}/{name}").parent)

    def _write_here(self, name: str, data: bytes, replaces: bool) -> bool:
        path = Path(f"{self._root}/{name}")
        _make_folder(path.parent)
        temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}"
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            if replaces:
                temporary.replace(path)
            else:
                # A link fails where there is a file; a rename would replace it.
                os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
        return True


def _opened(address: str) -> tuple[Any, str]:
    try:
        # An instance of its own, which remembers no listing: others write and remove files at the same time.
        return fsspec.core.url_to_fs(address, skip_instance_cache=True, use_listings_cache=False)
    except TypeError:  # a file system that takes no such option has no listings to remember
        return fsspec.core.url_to_fs(address)


def _make_folder(folder: Path) -> None:
    """Make a folder that lasts, and those above it; nobody else may look into it."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
