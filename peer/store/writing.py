"""Writes a folder's segments: what it is given at a time becomes one batch, durable when `commit` returns."""

import os
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from peer.chain import FIRST_HASH, chain
from peer.keys import HostKeys
from peer.store.bodies import (
    Signature,
    encode_pieces,
    encode_records,
    encode_signature,
    signed_bytes,
)
from peer.store.chunking import CHUNKED_FROM, split
from peer.store.codec import Codec
from peer.store.files import Files
from peer.store.folder import Folder
from peer.store.frame import CHUNKS, CUT, FILL, RECORDS, SIGNATURE, Frame, encode_batch
from peer.store.frame import encode_frame as frame_bytes
from peer.store.index import Place
from peer.store.segment import HEADER_BYTES, NAME, Header, Mark, encode_header, encode_mark, mark_place
from protocol.ids import AgentId

SEGMENT_BYTES = 16 << 20
"""A segment that is longer ends, and the next begins."""
SIGN_S = 1.0
"""How long a host that has nothing to write may leave its last batches unsigned."""


class Run(NamedTuple):
    """Records of one agent to be written."""

    agent: AgentId
    records: list[bytes]
    flags: int = 0
    """`ANCHOR`, `FILL`, `CUT`."""
    first: int = 0
    """For the latter two, the number of the first record; for `FILL` with the hash that it follows."""
    prev: bytes = FIRST_HASH


class Writer:
    """The end of a log. One thread at a time."""

    def __init__(
        self, folder: Path, found: Folder, codec: Codec, files: Files, keys: HostKeys | None, host: bytes
    ) -> None:
        self._folder = folder
        self._index = found.index
        self._codec = codec
        self._files = files
        self._keys = keys
        self._host = host
        self._sequence, self._digest = found.sequence, found.digest
        self._signed = found.sequence if not found.signatures else found.signatures[-1].sequence + 1
        self._marked = found.sequence
        self.signed_at = 0.0
        """When the last signature was written, by the monotonic clock."""
        self._turn = 0
        self._left = 0
        """Segments up to this one are about to go: no piece of theirs is relied on any more."""
        last = found.last
        self._number = found.number
        # What can't be read is never written to again: the next segment takes its place.
        if last is None or last.header is None or last.closed or last.wrong:
            self._handle, self._length = -1, HEADER_BYTES
            self._begin()
        else:
            self._handle, self._length = files.open(last.file), last.end
            if last.torn:
                files.truncate(self._handle, self._length)
            self._mark(sync=True)

    @property
    def number(self) -> int:
        """The segment that is written to."""
        return self._number

    @property
    def head(self) -> tuple[int, bytes]:
        """Sequence and digest of the last batch."""
        return self._sequence, self._digest

    def is_there(self) -> bool:
        """Tell whether the file still has a name: one that was deleted under us is lost with this process."""
        return os.fstat(self._handle).st_nlink > 0

    # -- batches ---------------------------------------------------------------------------------------------------

    def commit(self, runs: list[Run]) -> None:
        """Make records durable, all or none.

        Raises: OSError; then nothing was written, and the same may be tried again.
        """
        pieces: dict[bytes, bytes] = {}
        frames: list[tuple[Frame, bytes]] = []
        tails: dict[AgentId, tuple[int, bytes]] = {}
        for run in runs:
            frames.append(self._framed(run, tails, pieces))
        if pieces:
            frames.insert(0, self._of_pieces(pieces))
        reached = {frame.agent: frame.end for frame, _ in frames if frame.kind == RECORDS}
        places, path = self._batch(frames, reached), self._path()
        for (frame, _), at in zip(frames, places, strict=True):
            place = Place(self._number, at)
            if frame.kind == CHUNKS:
                self._index.chunks.update(dict.fromkeys(pieces, place))
            else:
                self._index.add(frame, place, path)

    def leave(self, segment: int) -> None:
        """Segments up to this one are about to go: what is written from now on needs nothing of them."""
        self._left = segment

    def carry(self, pieces: dict[bytes, bytes]) -> None:
        """Write pieces of large records again, whose segments are about to go.

        Raises: OSError, as `commit`.
        """
        if pieces:
            frame, stored = self._of_pieces(pieces)
            (at,) = self._batch([(frame, stored)], {})
            self._index.chunks.update(dict.fromkeys(pieces, Place(self._number, at)))

    def _of_pieces(self, pieces: dict[bytes, bytes]) -> tuple[Frame, bytes]:
        body = encode_pieces(pieces)
        flags, stored = self._codec.pack(body)
        return Frame(CHUNKS, flags, "", 0, len(pieces), len(stored), len(body), FIRST_HASH, FIRST_HASH), stored

    def _framed(
        self, run: Run, tails: dict[AgentId, tuple[int, bytes]], pieces: dict[bytes, bytes]
    ) -> tuple[Frame, bytes]:
        number, last = tails.get(run.agent) or self._index.tail(run.agent)
        if run.flags & (CUT | FILL):
            number, last = run.first - 1, run.prev
        first, prev = number + 1, last

        def put(name: bytes, piece: bytes) -> None:
            place = self._index.chunks.get(name)
            if place is None or place.segment <= self._left:
                pieces[name] = piece

        records: list[tuple[bytes, bool]] = []
        for record in run.records:
            number += 1
            last = chain(last, run.agent, number, record)
            is_large = len(record) >= CHUNKED_FROM
            records.append((split(record, put), True) if is_large else (record, False))
        if not run.flags & FILL:
            tails[run.agent] = number, last
        body = encode_records(records)
        flags, stored = self._codec.pack(body)
        frame = Frame(RECORDS, flags | run.flags, run.agent, first, len(records), len(stored), len(body), prev, last)
        return frame, stored

    def _batch(self, frames: list[tuple[Frame, bytes]], reached: dict[AgentId, int]) -> list[int]:
        """Write a batch, and return where its frames stand."""
        encoded = [frame_bytes(*frame) for frame in frames]
        data = encode_batch(self._sequence + 1, self._digest, encoded, reached)
        begin = self._length
        try:
            self._files.write(self._handle, data, begin)
            self._mark(sync=False)
            self._files.sync(self._handle)
        except OSError:
            self._files.truncate(self._handle, begin)
            raise
        self._length = begin + len(data)
        self._sequence, self._digest = self._sequence + 1, data[32:48]
        places: list[int] = []
        at = begin + 48
        for each in encoded:
            places.append(at)
            at += len(each)
        return places

    def _mark(self, sync: bool) -> None:
        """Note in the header how far the file is durable; behind it a crash may have torn something."""
        self._turn += 1
        mark = Mark(self._sequence, self._length, self._digest)
        self._files.write(self._handle, encode_mark(mark), mark_place(self._turn))
        self._marked = self._sequence
        if sync:
            self._files.sync(self._handle)

    def rest(self) -> None:
        """Nothing is to be written for now: neither the signature nor the mark need wait for the next batch.

        Raises: OSError, as `commit`.
        """
        # A disk that is full or broken is met again by the next batch, and told there.
        with suppress(OSError):
            if monotonic() - self.signed_at > SIGN_S:
                self.sign()
            if self._marked < self._sequence:
                self._mark(sync=False)

    @property
    def is_new(self) -> bool:
        """Whether nothing stands in this segment yet."""
        return self._length == HEADER_BYTES

    @property
    def is_full(self) -> bool:
        """Whether the next segment is to begin."""
        return self._length >= SEGMENT_BYTES

    # -- signatures and segments -----------------------------------------------------------------------------------

    def sign(self, ends: bool = False) -> None:
        """Put the host's signature on everything so far.

        Raises: OSError, as `commit`.
        """
        if not ends and (self._keys is None or self._signed == self._sequence):
            return
        tails, doubted = (self._index.tails(), self._index.doubted()) if ends else ({}, ())
        signature = Signature(b"" if self._keys is None else self._keys.public_key, b"", tails, ends, doubted)
        if self._keys is not None:
            signed = self._keys.sign(signed_bytes(self._host, self._sequence, self._digest, signature))
            signature = Signature(signature.key, signed, tails, ends, doubted)
        body = encode_signature(signature)
        flags, stored = self._codec.pack(body)
        frame = Frame(SIGNATURE, flags, "", 0, 0, len(stored), len(body), FIRST_HASH, FIRST_HASH)
        self._batch([(frame, stored)], {})
        self._signed, self.signed_at = self._sequence, monotonic()

    def roll(self) -> None:
        """End this segment, and begin the next."""
        self.sign(ends=True)
        self._begin()

    def _begin(self) -> None:
        """Begin the next segment: it has its name only once its header is durable."""
        old, old_length = self._handle, self._length
        number = self._number + 1
        draft = self._folder / "next.new"
        draft.unlink(missing_ok=True)
        handle = self._files.create(draft)
        try:
            header = Header(number, self._host, self._sequence + 1, self._digest)
            self._files.write(handle, encode_header(header), 0)
            self._files.sync(handle)
            self._files.replace(draft, self._folder / NAME.format(number))
            self._files.sync_folder(self._folder)
        except OSError:
            # Tried again when there is room, with the same number: a gap would count as a segment that is gone.
            os.close(handle)
            raise
        self._number = number
        if old >= 0:
            # From now on the old one says that another follows: if that is ever gone, it is missed.
            self._turn += 1
            mark = Mark(self._sequence + 1, old_length, self._digest)
            self._files.write(old, encode_mark(mark), mark_place(self._turn))
            self._files.sync(old)
            os.close(old)
        self._handle, self._length, self._turn = handle, HEADER_BYTES, 0

    def _path(self) -> Path:
        return self._folder / NAME.format(self._number)

    def close(self, sign: bool) -> None:
        """Release the file; with `sign`, it ends with a signature, and a mark of its whole length."""
        try:
            if sign:
                self.sign()
                self._mark(sync=True)
        finally:
            os.close(self._handle)
