"""The trash of `peer.adapters.files`: for each call a folder, which holds what it took away and how far it came.

Each change of a file is one rename, between its place and the trash. So what lies in the trash tells, after any crash,
whether the change was made.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from peer.errors import ConfigInvalid

PLAN, OLD, NEW, TAKEN, DONE, UNDOING, UNDONE = "plan", "old", "new", "taken", "done", "undoing", "undone"


class Slip:
    """What the trash holds of one call, for whoever has its lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def at(self, name: str) -> Path:
        """Return the path of something in it."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Tell whether it holds something."""
        return os.path.lexists(self.folder / name)

    def mark(self, name: str) -> None:
        """Note that something was done; durable when this returns. Raises: OSError."""
        write_synced(self.folder / name, b"")
        sync_folder(self.folder)

    def plan(self) -> dict[str, Any] | None:
        """Return what was to be done, or None."""
        try:
            return json.loads(self.at(PLAN).read_bytes())
        except FileNotFoundError:
            return None

    def write_plan(self, plan: dict[str, Any]) -> None:
        """Write down what is to be done; durable when this returns. Raises: OSError."""
        draft = self.at(f"{PLAN}.draft")
        write_synced(draft, json.dumps(plan).encode())
        draft.replace(self.at(PLAN))
        sync_folder(self.folder)

    def clear(self, *names: str) -> None:
        """Remove what an earlier try has left; durable when this returns. Raises: OSError."""
        for name in names:
            path = self.at(name)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        sync_folder(self.folder)


class Trash:
    """The trash of a folder, on the same file system, since nothing can be renamed from one to another.

    Args:
        folder: where; it is made when it is first needed.
        root: the folder whose files it takes.

    Raises: ConfigInvalid, if both are on different file systems; OSError.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_dev != root.stat().st_dev:
            raise ConfigInvalid(
                f"trash {folder} is on another file system than {root}: nothing can be moved between them at once."
                " Nothing was changed. Name a trash folder beside it."
            )
        self._folder = folder

    @contextmanager
    def slip(self, key: str) -> Iterator[Slip]:
        """Have what belongs to a call, alone in all processes. Raises: OSError."""
        folder = self._folder / sha256(key.encode()).hexdigest()[:40]
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(self._folder)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield Slip(folder)
        finally:
            os.close(handle)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file, whose content is durable when this returns; its name is not yet. Raises: OSError."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises: OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move(source: Path, target: Path) -> None:
    """Rename something; durable when this returns. Raises: OSError."""
    source.rename(target)
    sync_folder(target.parent)
    sync_folder(source.parent)


def digest_of(path: Path) -> str:
    """Return what tells a file's content from any other. Raises: OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return file_digest(file, "sha256").hexdigest()


def keep(path: Path, kept: Path) -> None:
    """Keep a file's content in the trash, without taking it from its place. Raises: OSError."""
    try:
        os.link(path, kept)
    except OSError:
        # The file system has no second names.
        shutil.copy2(path, kept)
    with kept.open("rb") as file:
        os.fsync(file.fileno())
    sync_folder(kept.parent)


def stamp_of(path: Path) -> list[int]:
    """Return what tells a file or a folder from one that has come in its place; of a file, a changed one too."""
    found = path.lstat()
    return [found.st_ino] if path.is_dir() else [found.st_ino, found.st_size, found.st_mtime_ns]
