"""Files at an fsspec address, written so that they are whole and durable, or not there at all.

Addresses of this machine (`file://`, or a plain path) are written with fsync and without fsspec; what other file
systems have acknowledged is taken for durable.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec

from peer.errors import ConfigInvalid


class Place:
    """A folder, wherever it is."""

    def __init__(self, address: str) -> None:
        """Open a place; nothing is made or asked for yet.

        Raises: ConfigInvalid, for an address whose file system is not known or not installed.
        """
        self.address = address
        try:
            files, root = fsspec.core.url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise ConfigInvalid(
                f"{address!r} can't be used to keep things at: {error}. Nothing was started."
            ) from error
        self._files: Any = files
        self._root = str(root).rstrip("/")
        self._is_local = "file" in (files.protocol if isinstance(files.protocol, tuple) else (files.protocol,))

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
        if self._is_local:
            self._write_here(name, data, replaces=True)
        else:
            self._files.pipe_file(f"{self._root}/{name}", data)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that nobody has written yet; False if somebody has, who may be at it at the same time."""
        if self._is_local:
            return self._write_here(name, data, replaces=False)
        try:
            self._files.pipe_file(f"{self._root}/{name}", data, mode="create")
        except FileExistsError:
            return False
        return True

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        path = f"{self._root}/{name}"
        if self._is_local:
            Path(path).unlink(missing_ok=True)
            _sync_folder(Path(path).parent)
        else:
            with suppress(FileNotFoundError):
                self._files.rm_file(path)

    def settle(self, name: str) -> None:
        """Make sure that a file which is there stays there."""
        if self._is_local:
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
