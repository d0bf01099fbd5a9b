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
    levels, length = _read(recipe)
    hashes = _hashes(recipe[_RECIPE.size :])
    for _ in range(levels):
        hashes = _below(hashes, length, get)
    pieces: list[bytes] = []
    had = 0
    for name in hashes:
        pieces.append(get(name))
        had += len(pieces[-1])
        if had > length:
            break  # a recipe that is damaged is not to fill the memory first
    if had != length:
        raise ValueError(f"its pieces make {had} bytes of {length}")
    return b"".join(pieces)


def pieces_of(recipe: bytes, get: Get) -> Iterator[bytes]:
    """Yield the hash of every piece that a recipe needs, those of its tree included. Raises: as `join`."""
    levels, length = _read(recipe)
    hashes = _hashes(recipe[_RECIPE.size :])
    for level in range(levels + 1):
        yield from hashes
        if level < levels:
            hashes = _below(hashes, length, get)


def _read(recipe: bytes) -> tuple[int, int]:
    """Return how many levels a recipe's tree has, and the length of what it makes."""
    if len(recipe) < _RECIPE.size:
        raise ValueError(f"its recipe has {len(recipe)} bytes, and at least {_RECIPE.size}")
    return _RECIPE.unpack_from(recipe)


def _below(hashes: list[bytes], length: int, get: Get) -> list[bytes]:
    """Return the hashes of the next level of a tree."""
    found: list[bytes] = []
    for group in hashes:
        found += _hashes(get(group))
        if len(found) > length:
            # Each stands for a byte at least; pieces that name others again and again would fill the memory.
            raise ValueError(f"its recipe names more than {length} pieces for {length} bytes")
    return found


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
