"""A vault at an fsspec address: one file for each key, and one for each that was erased.

Keys are read anew each time, never kept in memory: what one process has erased, no other can use a moment later.
"""

import secrets
from collections.abc import Callable
from hashlib import blake2b

from peer.errors import VaultFailed
from peer.store.outside.places import Place

KEY_BYTES = 32


def _random_key(name: str) -> bytes:
    return secrets.token_bytes(KEY_BYTES)


class FsspecVault:
    """Implements `KeyVault`."""

    def __init__(self, address: str, fresh: Callable[[str], bytes] = _random_key) -> None:
        """Open a vault.

        Args:
            address: a folder, or any address that fsspec knows.
            fresh: makes the key of a name; a simulator's is the same each time.

        Raises: ConfigInvalid, for an address that can't be used.
        """
        self.address = address
        self._place = Place(address)
        self._fresh = fresh

    def key(self, name: str, make: bool = True) -> bytes | None:
        """Return a name's key, made when it is first asked for; None if it was erased."""
        file = _file_of(name)
        try:
            key = self._read(file)
            if key is None and make and not self._is_erased(file):
                self._place.create(file, self._fresh(name))
                key = self._read(file)
            if self._is_erased(file):
                # It may have been erased between the look and the making: then what was made goes, too.
                self._place.remove(file)
                return None
        except Exception as error:  # each file system has errors of its own
            raise self._failed(name, f"could not be read or made ({type(error).__name__}: {error})") from error
        if key is None:
            raise self._failed(name, "is not there, and was not erased: it may be in another vault")
        if len(key) != KEY_BYTES:
            raise self._failed(name, "is damaged")
        return key

    def erase(self, name: str) -> None:
        """Destroy a name's key for good."""
        file = _file_of(name)
        try:
            # First the word that it is gone: whoever comes between makes none.
            self._place.create(f"{file}.erased", b"")
            self._place.remove(file)
        except Exception as error:  # each file system has errors of its own
            raise self._failed(name, f"could not be erased ({type(error).__name__}: {error})") from error

    def _read(self, file: str) -> bytes | None:
        try:
            return self._place.read(file)
        except FileNotFoundError:
            return None

    def _is_erased(self, file: str) -> bool:
        return self._place.holds(f"{file}.erased")

    def _failed(self, name: str, what: str) -> VaultFailed:
        return VaultFailed(
            f"The key of {name!r} in the vault at {self.address} {what}. Nothing changed. See to the vault."
        )


def _file_of(name: str) -> str:
    # Names may be of people, and of any length: a folder's listing should not tell them.
    return blake2b(name.encode(), digest_size=16).hexdigest()
