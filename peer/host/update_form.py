"""What an update of a space is like that an honest member's document makes: nothing else comes to the library.

An update is a document's blocks by client, and what is deleted. Honest ones hold slots of one map, each set once to
bytes, or deleted. The library takes more than that, and for some of it never comes to an end (blocks of no length).

Source: the encoding of Yjs' updates, version 1 (yjs, `src/utils/encoding.js` and `src/structs/Item.js`).
"""

SLOTS = "slots"
"""The name of the map."""
NUMBER_BYTES_MAX = 10
_GC, _SKIP, _DELETED, _BINARY, _ANY = 0, 10, 1, 3, 8
_ORIGIN, _RIGHT_ORIGIN, _KEY, _CONTENT = 0x80, 0x40, 0x20, 0x1F
_BUFFER = 116


class _Reader:
    """Reads an update from the front. Every method raises ValueError where there is nothing of the kind."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def byte(self) -> int:
        if self.at >= len(self._data):
            raise ValueError("it ends too soon")
        self.at += 1
        return self._data[self.at - 1]

    def number(self, least: int = 0) -> int:
        value = 0
        for place in range(NUMBER_BYTES_MAX):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                if value < least:
                    raise ValueError(f"{value} stands where {least} is the least")
                return value
        raise ValueError("a number is too long")

    def piece(self) -> bytes:
        length = self.number()
        if length > len(self._data) - self.at:
            raise ValueError("it ends too soon")
        self.at += length
        return self._data[self.at - length : self.at]

    def ends(self) -> bool:
        return self.at == len(self._data)


def check_update(update: bytes) -> None:
    """Look whether a document of an honest member can have made this. Raises: ValueError."""
    reader = _Reader(update)
    for _ in range(reader.number()):
        blocks = reader.number()
        reader.number()  # the client
        reader.number()  # the clock of the first block
        for _ in range(blocks):
            _check_block(reader)
    for _ in range(reader.number()):
        reader.number()  # the client
        for _ in range(reader.number()):
            reader.number()  # the clock of the first that is deleted
            reader.number(1)
    if not reader.ends():
        raise ValueError("something stands behind its end")


def _check_block(reader: _Reader) -> None:
    info = reader.byte()
    if info in (_GC, _SKIP):
        reader.number(1)
        return
    for which in (_ORIGIN, _RIGHT_ORIGIN):
        if info & which:
            reader.number()
            reader.number()
    if not info & (_ORIGIN | _RIGHT_ORIGIN):
        if reader.number() != 1 or reader.piece() != SLOTS.encode():
            raise ValueError(f"it holds more than the map {SLOTS}")
        if not info & _KEY:
            raise ValueError("a slot has no name")
        reader.piece()
    content = info & _CONTENT
    if content == _DELETED:
        reader.number(1)
    elif content == _BINARY:
        reader.piece()
    elif content == _ANY:
        if reader.number() != 1 or reader.byte() != _BUFFER:
            raise ValueError("a slot holds no bytes")
        reader.piece()
    else:
        raise ValueError(f"a block is of kind {content}")
