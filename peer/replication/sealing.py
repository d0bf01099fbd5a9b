"""How the records of one host's copies are sealed, so that nobody reads them who only keeps them (TR-11).

A record is compressed, encrypted and authenticated with the name of its log and its number: it can't be altered, nor
stand in another's place. A large one is sealed piece by piece, each piece to the same bytes wherever it comes again:
so whoever keeps the copy still stores what has not changed once, and learns no more than that.

Source: Rogaway and Shrimpton 2006 (AES-SIV, RFC 5297): to encrypt the same twice tells only that it is the same.
"""

import struct
from hashlib import blake2b
from itertools import pairwise

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fastcdc import fastcdc

from peer.store.chunking import CHUNKED_FROM
from peer.store.codec import Codec

SECRET_BYTES = 32
SEALED = 0x80
"""The first byte of a sealed record is this and its level; that of a plain one is a version, and lower."""
_PIECE = (256, 1024, 8192)
"""Least, usual and most bytes of a piece, as in logs."""
_HEAD = struct.Struct("<BI")
_LENGTH = struct.Struct("<I")
_WHOLE, _PIECES = b"\x00", b"\x01"
_TAG_BYTES = 16
_DIGEST_BYTES = 32

_codec = Codec()


def level_of(record: bytes) -> int:
    """Return the level that a record is sealed at; 0 for one that is not."""
    return record[0] - SEALED if record and record[0] > SEALED else 0


def derived(secret: bytes, purpose: str, length: int = SECRET_BYTES) -> bytes:
    """Return what only who knows a secret can make of it (HKDF, RFC 5869)."""
    return HKDF(SHA512(), length, None, b"ebbtide copies " + purpose.encode()).derive(secret)


class Seal:
    """Seals and opens what one secret is for.

    Args:
        secret: 32 bytes.
        level: of how many others' shares it can be made again.
    """

    def __init__(self, secret: bytes, level: int) -> None:
        self._cipher = AESSIV(derived(secret, "records", 64))
        self._mark = bytes((SEALED + level,))

    def close(self, log: str, number: int, record: bytes) -> bytes:
        """Return a record sealed.

        Args:
            log: whose.
            number: its place there.
            record: its bytes.
        """
        place = [b"record", log.encode(), str(number).encode()]
        if len(record) < CHUNKED_FROM:
            return self._mark + _WHOLE + self._cipher.encrypt(_packed(record), place)
        ends = [0, *(chunk.offset + chunk.length for chunk in fastcdc(record, *_PIECE))]
        pieces = [self._cipher.encrypt(_packed(record[begin:end]), [b"piece"]) for begin, end in pairwise(ends)]
        body = b"".join(_LENGTH.pack(len(piece)) + piece for piece in pieces)
        return b"".join((self._mark, _PIECES, self._cipher.encrypt(_digest(body), [b"pieces", *place]), body))

    def open(self, log: str, number: int, sealed: bytes) -> bytes:
        """Return the record. Raises: ValueError, if it is not what `close` made of one of that place."""
        place = [b"record", log.encode(), str(number).encode()]
        form, body = sealed[1:2], sealed[2:]
        if form == _WHOLE:
            return self._unpacked(body, place)
        head = _TAG_BYTES + _DIGEST_BYTES
        if form != _PIECES or self._decrypted(body[:head], [b"pieces", *place]) != _digest(body[head:]):
            raise ValueError("it is not as it was sealed")
        record: list[bytes] = []
        at = head
        while at < len(body):
            begin = at + _LENGTH.size
            at = begin + _LENGTH.unpack(body[at:begin])[0]
            record.append(self._unpacked(body[begin:at], [b"piece"]))
        return b"".join(record)

    def _unpacked(self, sealed: bytes, place: list[bytes]) -> bytes:
        packed = self._decrypted(sealed, place)
        flags, length = _HEAD.unpack_from(packed)
        return _codec.unpack(flags, packed[_HEAD.size :], length)

    def _decrypted(self, sealed: bytes, place: list[bytes]) -> bytes:
        try:
            return self._cipher.decrypt(sealed, place)
        except InvalidTag as error:
            raise ValueError("it is not as it was sealed") from error


def _packed(body: bytes) -> bytes:
    flags, stored = _codec.pack(body)
    return _HEAD.pack(flags, len(body)) + stored


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST_BYTES).digest()
