"""How hosts keep their logs: what users set, checked."""

from dataclasses import dataclass
from pathlib import Path

from peer import errors
from peer.store.archive import Archive
from peer.store.compacting import ArchiveTerm
from peer.store.outside.keyring import read_secret


@dataclass(frozen=True)
class Storage:
    """How every host of a cluster keeps its log."""

    checkpoints_kept_s: int = 0
    """Checkpoints younger than this can be gone back to, however many there are; 0: by `checkpoints_kept` alone."""
    checkpoints_kept_bytes: int = 0
    """And no more than those in which a host's agents have written so many bytes; 0: no such bound."""
    archive: str = ""
    """Where segments go that no agent needs any more, as fsspec takes it (`s3://bucket/audit`); empty: the folder."""
    archive_kept_s: int = 0
    """How long they are kept there; 0: for good."""
    archive_kept_bytes: int = 0
    """How much is kept there of each host; 0: all."""
    key_file: str = ""
    """A file with the key that encrypts logs at rest; empty: they are not encrypted. Every host reads it by itself."""

    def check(self) -> None:
        """Check what can be checked before any host is started.

        Raises: CallerError, ConfigInvalid, naming the value.
        """
        for name in ("checkpoints_kept_s", "checkpoints_kept_bytes", "archive_kept_s", "archive_kept_bytes"):
            if getattr(self, name) < 0:
                raise errors.CallerError(f"{name}={getattr(self, name)}: at least 0. Nothing was started.")
        if self.archive:
            Archive(Path(), self.archive)
        if self.key_file:
            read_secret(Path(self.key_file))

    @property
    def kept(self) -> ArchiveTerm:
        """How long the archive keeps segments."""
        return ArchiveTerm(self.archive_kept_s, self.archive_kept_bytes)
