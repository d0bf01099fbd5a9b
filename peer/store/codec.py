"""How the bodies of frames are stored: compressed where that helps, and encrypted where a host wants it."""

import threading
from importlib.resources import files
from typing import Protocol

import zstandard

from peer.store.frame import CIPHER, ZSTD

LEVEL = 3
SMALLEST = 64
"""Shorter bodies are left as they are."""

# What records have in common; a file and not made by code, since what it has compressed must stay readable for good.
_DICTIONARY = zstandard.ZstdCompressionDict((files("peer.store") / "dictionary-1.zdict").read_bytes())
_DICTIONARY.precompute_compress(level=LEVEL)


class Cipher(Protocol):
    """Encrypts and authenticates."""

    def encrypt(self, data: bytes) -> bytes:
        """Return the data encrypted, with what it takes to decrypt it but the key."""
        ...

    def decrypt(self, data: bytes) -> bytes:
        """Return the data.

        Raises: ValueError, if it is not what `encrypt` made; ConfigInvalid, if its key is not here.
        """
        ...


class _Machines(threading.local):
    """Each thread has its own: these objects are not for two at once."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL, dict_data=_DICTIONARY, write_checksum=False)
        self.decompressor = zstandard.ZstdDecompressor(dict_data=_DICTIONARY)


_machines = _Machines()


class Codec:
    """Packs bodies, and unpacks them."""

    def __init__(self, cipher: Cipher | None = None) -> None:
        self._cipher = cipher

    def pack(self, body: bytes) -> tuple[int, bytes]:
        """Return flags, and the body as it is stored."""
        flags = 0
        if len(body) >= SMALLEST:
            small = _machines.compressor.compress(body)
            if len(small) < len(body):
                flags, body = ZSTD, small
        if self._cipher is not None:
            flags, body = flags | CIPHER, self._cipher.encrypt(body)
        return flags, body

    def unpack(self, flags: int, stored: bytes, plain: int) -> bytes:
        """Return the body.

        Raises: ValueError, if it is not what `pack` made; ConfigInvalid, if it is encrypted and its key is not here.
        """
        if flags & CIPHER:
            if self._cipher is None:
                raise NoKey
            stored = self._cipher.decrypt(stored)
        if flags & ZSTD:
            try:
                # Damaged bytes may say any size, and so much memory is asked for before anything is read.
                said = zstandard.frame_content_size(stored)
                if said not in (-1, plain):
                    raise ValueError(f"it says that it has {said} bytes of {plain}")
                stored = _machines.decompressor.decompress(stored, max_output_size=plain)
            except zstandard.ZstdError as error:
                raise ValueError(f"it does not decompress ({error})") from error
        if len(stored) != plain:
            raise ValueError(f"it has {len(stored)} bytes of {plain}")
        return stored


class NoKey(Exception):
    """The body is encrypted, and the log was opened without a key."""
