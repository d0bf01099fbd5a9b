"""Blobs at an fsspec address: one file each, named by its hash, written before anything refers to it."""

from peer.errors import BlobLost
from peer.ports import blob_digest
from peer.store.places import Place


class FsspecBlobs:
    """Implements `Blobs`. Nothing is ever removed: logs that refer to a blob may be anywhere."""

    def __init__(self, address: str) -> None:
        """Open a blob store.

        Raises: ConfigInvalid, for an address that can't be used.
        """
        self.address = address
        self._place = Place(address)

    def put(self, data: bytes) -> bytes:
        """Keep bytes durably, and return their hash."""
        digest = blob_digest(data)
        name = _name(digest)
        try:
            if self._has(name, digest):
                # Another process may have written it a moment ago: durable is what this one sees to.
                self._place.settle(name)
            else:
                self._place.write(name, data)
        except Exception as error:  # each file system has errors of its own
            raise self._lost(digest, f"could not be written ({type(error).__name__}: {error})") from error
        return digest

    def get(self, digest: bytes) -> bytes:
        """Return the bytes of a hash, checked."""
        try:
            data = self._place.read(_name(digest))
        except FileNotFoundError as error:
            raise self._lost(digest, "is missing") from error
        except Exception as error:  # each file system has errors of its own
            raise self._lost(digest, f"could not be read ({type(error).__name__}: {error})") from error
        if blob_digest(data) != digest:
            raise self._lost(digest, "is not what was written: its hash does not fit")
        return data

    def _has(self, name: str, digest: bytes) -> bool:
        # Its content is looked at: one that was damaged is written again, whole.
        try:
            return blob_digest(self._place.read(name)) == digest
        except FileNotFoundError:
            return False

    def _lost(self, digest: bytes, what: str) -> BlobLost:
        return BlobLost(
            f"The blob {digest.hex()} at {self.address} {what}. Nothing changed; an input that needs it waits."
            " Bring it back from a copy, or start with the address where it is."
        )


def _name(digest: bytes) -> str:
    text = digest.hex()
    return f"{text[:2]}/{text[2:]}"
