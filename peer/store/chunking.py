"""Large records as trees of pieces, each stored once: a small change of a large value stores a small piece.

Where a piece ends follows from its content, so an insertion moves no later border. The pieces' hashes are grouped the
same way, level by level, so the list of pieces of a large record is not stored anew either.

Source: Xia et al. 2016 (FastCDC); Muthitacharoen, Chen, Mazieres 2001 (LBFS).
"""

import struct
from collections.abc import Callable, Iterator
from hashlib import blake2b

from fastcdc import fastcdc

HASH_BYTES = 16
CHUNKED_FROM = 4096
"""Shorter records are stored whole: a tree would cost more than it saves."""
_LEAF = (256, 1024, 8192)
"""Least, usual and most bytes of a piece."""
_FAN_MASK = 0x0F
_FAN_MAX = 64
_ROOT_MAX = 16
"""Hashes in a recipe; more become a level of the tree."""
_RECIPE = struct.Struct("<BI")

Put = Callable[[bytes, bytes], None]
"""Keeps a piece under its hash, if it is not there yet."""
Get = Callable[[bytes], bytes]


def piece_hash(piece: bytes) -> bytes:
    """Return the name of a piece: 16 bytes."""
    return blake2b(piece, digest_size=HASH_BYTES, person=b"ebbtide-piece").digest()


def split(record: bytes, put: Put) -> bytes:
    """Hand over a record's pieces, and return the recipe that makes it of them."""
    least, usual, most = _LEAF
    ends = [(chunk.offset, chunk.offset + chunk.length) for chunk in fastcdc(record, least, usual, most)]
    hashes = [_kept(record[begin:end], put) for begin, end in ends]
    levels = 0
    while len(hashes) > _ROOT_MAX:
        hashes = [_kept(b"".join(group), put) for group in _groups(hashes)]
        levels += 1
    return _RECIPE.pack(levels, len(record)) + b"".join(hashes)


def join(recipe: bytes, get: Get) -> bytes:
    """Return the record.

    Raises: ValueError, if the recipe is none; whatever `get` raises for a piece that is not there.
    """
    levels, length = _RECIPE.unpack_from(recipe)
    hashes = _hashes(recipe[_RECIPE.size :])
    for _ in range(levels):
        hashes = [name for group in hashes for name in _hashes(get(group))]
    record = b"".join(map(get, hashes))
    if len(record) != length:
        raise ValueError(f"its pieces make {len(record)} bytes of {length}")
    return record


def pieces_of(recipe: bytes, get: Get) -> Iterator[bytes]:
    """Yield the hash of every piece that a recipe needs, those of its tree included."""
    levels, _ = _RECIPE.unpack_from(recipe)
    hashes = _hashes(recipe[_RECIPE.size :])
    for level in range(levels + 1):
        yield from hashes
        if level < levels:
            hashes = [name for group in hashes for name in _hashes(get(group))]


def _kept(piece: bytes, put: Put) -> bytes:
    name = piece_hash(piece)
    put(name, piece)
    return name


def _groups(hashes: list[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    for name in hashes:
        group.append(name)
        if not name[0] & _FAN_MASK or len(group) == _FAN_MAX:
            yield group
            group = []
    if group:
        yield group


def _hashes(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
