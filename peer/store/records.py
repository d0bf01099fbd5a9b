"""Reads records out of segments, each checked against the one before it."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from peer.chain import FIRST_HASH, chain
from peer.errors import ConfigInvalid, LogCorrupt
from peer.store.bodies import decode_pieces, decode_records
from peer.store.chunking import join, pieces_of
from peer.store.codec import Codec, NoKey
from peer.store.frame import Frame
from peer.store.index import Index, Place
from peer.store.segment import NAME, frame_at, head_at
from peer.store.stored import Stored
from protocol.ids import AgentId

PIECES_BYTES_MAX = 16 << 20
"""Decoded frames of pieces kept at hand."""


class Paths(dict[int, Path]):
    """Where each segment is."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, number: int) -> Path:
        path = self[number] = self._folder / NAME.format(number)
        return path


class Records:
    """The records of a folder's segments.

    Args:
        index: where they are.
        paths: where each segment is, by number.
        codec: unpacks bodies.
    """

    def __init__(self, index: Index, paths: dict[int, Path], codec: Codec) -> None:
        self._handles: dict[int, int] = {}
        self._index = index
        self._paths = paths
        self._codec = codec
        self._pieces: OrderedDict[Place, dict[bytes, bytes]] = OrderedDict()
        self._pieces_bytes = 0

    def read(self, agent: AgentId, first: int) -> Iterator[Stored]:
        """Yield a log's records from number `first` on.

        Raises: LogCorrupt, naming the file, the record and the remedy; ConfigInvalid, without the key; OSError.
        """
        damages, tail = self._index.damages(agent), self._index.tail(agent)[0]
        number, last = first - 1, None
        for begin, end, place in self._index.frames(agent, first):
            if begin > number + 1 and number >= first - 1:
                self._missing(agent, number + 1, place)
            file = self._paths[place.segment]
            frame, body = self._frame(agent, place, number + 1)
            running = frame.prev
            if last is not None and frame.first == number + 1 and running != last:
                raise LogCorrupt.at(file, agent, number + 1, "it does not follow the record before it")
            for at, record in enumerate(self._decoded(agent, frame, body, place), frame.first):
                running = chain(running, agent, at, record)
                if at == number and last is not None and running != last:
                    raise LogCorrupt.at(file, agent, at, "it is not the record that was read before")
                if at > number and at <= end:
                    number, last = at, running
                    yield Stored(at, running, record)
        for damage in damages:
            if damage.first > tail and (damage.end is None or damage.end >= first):
                raise LogCorrupt.at(damage.file, agent, damage.first, damage.what)

    def unreadable(self, agent: AgentId, first: int) -> list[tuple[int, int, Path]]:
        """Return first and last record, and file, of each frame whose records are not there as they were written."""
        found: list[tuple[int, int, Path]] = []
        for begin, end, place in self._index.frames(agent, first):
            try:
                self._decoded(agent, *self._frame(agent, place, begin), place)
            except LogCorrupt:
                found.append((begin, end, self._paths[place.segment]))
        return found

    def hash_of(self, agent: AgentId, number: int) -> bytes:
        """Return the hash of a record; of number 0, what the first one follows.

        Raises: as `read`.
        """
        tail = self._index.tail(agent)
        if number == tail[0]:
            return tail[1]
        if number == 0:
            return FIRST_HASH
        for begin, end, place in self._index.frames(agent, number):
            frame = head_at(self._handle(place.segment), place.at)
            if begin <= number == end and frame is not None and frame.end == number:
                return frame.last
            break
        for stored in self.read(agent, number):
            return stored.hash
        file = self._paths[max(self._paths)] if self._paths else Path("log")
        raise LogCorrupt.at(file, agent, number, "it is missing")

    def prev_of(self, agent: AgentId, number: int) -> bytes:
        """Return the hash that a record says it follows, if its frame begins with it; else that of the one before.

        Raises: as `read`.
        """
        for begin, _, place in self._index.frames(agent, number):
            frame, _ = self._frame(agent, place, number)
            if begin == number == frame.first:
                return frame.prev
            break
        return self.hash_of(agent, number - 1)

    def _missing(self, agent: AgentId, number: int, place: Place) -> None:
        damage = next((each for each in self._index.damages(agent) if each.first == number), None)
        file = self._paths[place.segment] if damage is None else damage.file
        raise LogCorrupt.at(file, agent, number, "it is missing" if damage is None else damage.what)

    def _frame(self, agent: AgentId, place: Place, number: int) -> tuple[Frame, bytes]:
        file = self._paths[place.segment]
        found = frame_at(self._handle(place.segment), place.at)
        if found is None or found[0].agent != agent:
            raise LogCorrupt.at(file, agent, number, "the frame that held it is not as it was written")
        return found[0], self._unpacked(*found, file, agent, number)

    def _unpacked(self, frame: Frame, stored: bytes, file: Path, agent: AgentId, number: int) -> bytes:
        try:
            return self._codec.unpack(frame.flags, stored, frame.plain)
        except NoKey as error:
            raise ConfigInvalid(
                f"{file} is encrypted, and no key was given, or keyring.json is gone from its host's folder. Nothing"
                " was changed. Give the host's key (`--key-file`, or EBBTIDE_KEY_FILE), or restore that file."
            ) from error
        except ValueError as error:
            raise LogCorrupt.at(file, agent, number, str(error)) from error

    def _decoded(self, agent: AgentId, frame: Frame, body: bytes, place: Place) -> list[bytes]:
        """Return a frame's records: all of them as they were written, or none."""
        file, number, last = self._paths[place.segment], frame.first, frame.prev
        records: list[bytes] = []
        try:
            for record, is_recipe in decode_records(body):
                whole = join(record, self.piece) if is_recipe else record
                last = chain(last, agent, number, whole)
                records.append(whole)
                number += 1
        except ValueError as error:
            raise LogCorrupt.at(file, agent, number, str(error)) from error
        if last != frame.last or number != frame.end + 1:
            raise LogCorrupt.at(file, agent, frame.first, "its hash does not fit its body")
        return records

    # -- pieces ----------------------------------------------------------------------------------------------------

    def piece(self, name: bytes) -> bytes:
        """Return a piece of large records.

        Raises: ValueError, if it is not there as it was written.
        """
        place = self._index.chunks.get(name)
        if place is None:
            raise ValueError(f"its piece {name.hex()} is missing")
        pieces = self._pieces.get(place)
        if pieces is None:
            found = frame_at(self._handle(place.segment), place.at)
            if found is None:
                raise ValueError(f"the frame with its piece {name.hex()} is not as it was written")
            pieces = decode_pieces(self._codec.unpack(found[0].flags, found[1], found[0].plain))
            self._pieces[place] = pieces
            self._pieces_bytes += sum(map(len, pieces.values()))
            while self._pieces_bytes > PIECES_BYTES_MAX and len(self._pieces) > 1:
                _, old = self._pieces.popitem(last=False)
                self._pieces_bytes -= sum(map(len, old.values()))
        if name not in pieces:
            raise ValueError(f"its piece {name.hex()} is not as it was written")
        return pieces[name]

    def size_at(self, place: Place) -> int:
        """Return how many bytes the frame at a place takes; 0 if its head is not as it was written."""
        found = head_at(self._handle(place.segment), place.at)
        return 0 if found is None else found.head_bytes + found.stored

    def needed(self, agent: AgentId, first: int) -> Iterator[bytes]:
        """Yield the hashes of the pieces that a log's records from `first` on are made of."""
        for _, _, place in self._index.frames(agent, first):
            _, body = self._frame(agent, place, first)
            for record, is_recipe in decode_records(body):
                if is_recipe:
                    yield from pieces_of(record, self.piece)

    # -- files -----------------------------------------------------------------------------------------------------

    def _handle(self, segment: int) -> int:
        handle = self._handles.get(segment)
        if handle is None:
            handle = self._handles[segment] = os.open(self._paths[segment], os.O_RDONLY)
        return handle

    def forget(self, segment: int) -> None:
        """A segment is gone from its place."""
        handle = self._handles.pop(segment, None)
        if handle is not None:
            os.close(handle)

    def close(self) -> None:
        """Release the files."""
        for segment in list(self._handles):
            self.forget(segment)

    def __del__(self) -> None:
        # An audit that is over has no other end than that nobody looks at it any more.
        self.close()
