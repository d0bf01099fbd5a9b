"""Blobs at an fsspec address: one file each, named by its hash, written before anything refers to it.

What no record refers to any more can be swept away while hosts write. Whoever puts a blob makes it new, then looks
whether a sweep has put up a mark that it is about to remove it; a sweep puts up that mark, then looks whether the blob
is new. So one of the two sees the other, and nothing goes that somebody is about to refer to.
"""

import re
import time
from contextlib import suppress
from typing import NamedTuple

from peer.errors import BlobLost
from peer.ports import blob_digest
from peer.store.outside.places import Place

MARK = ".going"
"""What the name of a sweep's mark ends with."""
MARK_S = 3600
"""A mark older than this was left behind by a sweep that was killed: removing a blob takes far less."""
WAIT_S = 60.0
"""How long a host waits for a sweep to be done with a blob."""
LOOK_S = 0.05

_BLOB = re.compile(r"([0-9a-f]{2})/([0-9a-f]{62})")
_MARK = re.compile(r"[0-9a-f]{2}/[0-9a-f]{62}\.going")
_DRAFT = re.compile(r"[0-9a-f]{2}/\.[0-9a-f]{62}(\.going)?\.[0-9a-f]{16}|\.probe-[0-9a-f]{16}")


class Held(NamedTuple):
    """A file of a blob store."""

    name: str
    digest: bytes | None
    """None: a draft that was never finished, which nothing refers to."""
    size: int
    """Bytes."""
    modified_s: float
    """When it was last put, by the file system's clock, in seconds since the Unix epoch."""


class Contents(NamedTuple):
    """What is at a blob store's address."""

    held: list[Held]
    marks: list[Held]
    """Of sweeps that are under way, or were killed."""
    others: int
    """Files that no blob store has written."""


class FsspecBlobs:
    """Implements `Blobs`."""

    def __init__(self, address: str) -> None:
        """Open a blob store.

        Raises: ConfigInvalid, for an address that can't be used.
        """
        self.address = address
        self._place = Place(address)

    def put(self, data: bytes) -> bytes:
        """Keep bytes durably, and return their hash; from now on they count as new, even if they were there."""
        digest = blob_digest(data)
        name = _name(digest)
        try:
            self._renew(name, digest, data)
            if self._outlasted(name):
                self._renew(name, digest, data)
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

    def _renew(self, name: str, digest: bytes, data: bytes) -> None:
        if self._place.is_local and self._has(name, digest) and self._place.renew(name):
            return
        # Object stores have no other way to make a file new, and writing it costs no more than looking at it.
        self._place.write(name, data)

    def _outlasted(self, name: str) -> bool:
        """Tell whether a sweep was about to remove a blob; it has done so, or let it be, when this returns."""
        mark, was_there = f"{name}{MARK}", False
        until = time.monotonic() + WAIT_S
        while self._place.holds(mark):
            was_there = True
            if time.monotonic() > until:
                raise TimeoutError(f"a sweep has been removing it for long; if none runs any more, remove {mark}")
            time.sleep(LOOK_S)
        return was_there

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

    # -- sweeping --------------------------------------------------------------------------------------------------

    def contents(self) -> Contents:
        """Return all that is there. Raises: as `Place.files`."""
        found = Contents([], [], 0)
        for file in self._place.files():
            if blob := _BLOB.fullmatch(file.name):
                found.held.append(Held(file.name, bytes.fromhex(blob[1] + blob[2]), file.size, file.modified_s))
            elif _DRAFT.fullmatch(file.name):
                found.held.append(Held(file.name, None, file.size, file.modified_s))
            elif _MARK.fullmatch(file.name):
                found.marks.append(Held(file.name, None, file.size, file.modified_s))
            else:
                found = found._replace(others=found.others + 1)
        return found

    def holds(self, digest: bytes) -> bool:
        """Tell whether there is a blob of a hash, whole or not. Raises: as `Place.modified_s`."""
        with suppress(FileNotFoundError):
            self._place.modified_s(_name(digest))
            return True
        return False

    def now_s(self) -> float:
        """Return the time by the file system's clock, in seconds since the Unix epoch. Raises: as `Place.now_s`."""
        return self._place.now_s()

    def sweep(self, held: Held, before_s: float) -> bool:
        """Remove a file that nothing refers to, unless it was put again since `before_s`; tell whether it is gone.

        Args:
            held: as `contents` told of it.
            before_s: by the file system's clock, in seconds since the Unix epoch.

        Raises: whatever the file system raises; the file is there then, or gone, and nothing else is changed.
        """
        mark = f"{held.name}{MARK}"
        if held.digest is not None and not self._place.create(mark, b""):
            return False  # another sweep is at it
        try:
            with suppress(FileNotFoundError):
                if self._place.modified_s(held.name) < before_s:
                    self._place.remove(held.name)
                    return True
            return False
        finally:
            if held.digest is not None:
                self._place.remove(mark)

    def drop_marks(self, marks: list[Held], now_s: float) -> None:
        """Remove marks that were left behind by sweeps that were killed. Raises: whatever the file system raises."""
        for mark in marks:
            if mark.modified_s < now_s - MARK_S:
                self._place.remove(mark.name)


def _name(digest: bytes) -> str:
    text = digest.hex()
    return f"{text[:2]}/{text[2:]}"
