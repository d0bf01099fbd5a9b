"""What a store does to files, by few names: so that a test can stop the process before, in and after each of them."""

import os
from pathlib import Path


class Files:
    """The operating system's files."""

    def create(self, path: Path) -> int:
        """Make an empty file that is not there yet, for reading and writing; return its handle."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    def open(self, path: Path) -> int:
        """Open a file for reading and writing; return its handle."""
        return os.open(path, os.O_RDWR)

    def write(self, handle: int, data: bytes, at: int) -> None:
        """Write all of `data` at an offset."""
        view = memoryview(data)
        while view:
            count = os.pwrite(handle, view, at)
            view, at = view[count:], at + count

    def read(self, handle: int, count: int, at: int) -> bytes:
        """Return so many bytes from an offset on, or as many as there are."""
        return os.pread(handle, count, at)

    def sync(self, handle: int) -> None:
        """Return once everything written to the file is on the disk."""
        os.fdatasync(handle)

    def truncate(self, handle: int, length: int) -> None:
        """Cut a file off."""
        os.ftruncate(handle, length)

    def put(self, path: Path, data: bytes) -> None:
        """Write a file whole, or not at all; durable when this returns."""
        draft = path.with_name(f"{path.name}.new")
        draft.unlink(missing_ok=True)
        handle = self.create(draft)
        try:
            self.write(handle, data, 0)
            self.sync(handle)
        finally:
            os.close(handle)
        self.replace(draft, path)
        self.sync_folder(path.parent)

    def replace(self, source: Path, target: Path) -> None:
        """Give a file another's name, at once."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable: a synced file without a name is lost."""
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
