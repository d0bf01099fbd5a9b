"""What a host keeps outside its logs: bulky values, and the keys of secrets and of personal data."""

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from peer.errors import ConfigInvalid
from peer.ports import Blobs, KeyVault
from peer.store.outside.blobs import FsspecBlobs
from peer.store.outside.vault import FsspecVault


@dataclass(frozen=True)
class Places:
    """Addresses, as fsspec takes them; they cross process borders where what is kept there does not."""

    blobs: str
    vault: str

    @classmethod
    def beside(cls, folder: Path, blobs: str | Path | None, vault: str | Path | None) -> "Places":
        """Return the addresses that were given; for others, folders beside the logs."""
        return cls(_absolute(blobs or folder / "blobs"), _absolute(vault or folder / "vault"))

    def check_shared(self) -> None:
        """Check that processes of their own can share what is kept there.

        Raises: ConfigInvalid, for an address in memory.
        """
        for name, address in (("blobs", self.blobs), ("vault", self.vault)):
            if address.startswith("memory:"):
                raise ConfigInvalid(
                    f"{name}={address!r}: each host is a process here, whose memory no other sees and a restart loses."
                    " Nothing was started. Use a folder, or the address of an object store."
                )


def _absolute(address: str | Path) -> str:
    # Other processes have other working folders.
    return str(address) if "://" in str(address) else str(Path(address).resolve())


@dataclass(frozen=True)
class Keeping:
    """Where one host keeps what is not in its logs: shared by all hosts of a cluster."""

    blobs: Blobs
    vault: KeyVault

    @classmethod
    def at(cls, places: Places) -> "Keeping":
        """Open what is at these addresses.

        Raises: ConfigInvalid, naming an address that can't be used.
        """
        return cls(FsspecBlobs(places.blobs), FsspecVault(places.vault))

    @classmethod
    def in_memory(cls, secret: bytes) -> "Keeping":
        """Return what lasts as long as the process, shared by all hosts of a secret; its keys follow from it."""
        place = f"memory://ebbtide/{blake2b(secret, digest_size=8, person=b'place').hexdigest()}"

        def fresh(name: str) -> bytes:
            return blake2b(name.encode(), key=secret, digest_size=32).digest()

        return cls(FsspecBlobs(f"{place}/blobs"), FsspecVault(f"{place}/vault", fresh))
