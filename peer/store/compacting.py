"""Moves what no agent needs any more out of the working log, and drops of the archive what need not be kept.

Only what stands before the anchors of all logs goes: so whatever can still be undone stays (CP-6). The few records of
an old segment that somebody still needs, an idle agent's, are written again at the end.
"""

import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from peer.store.archive import Archive, Archived, Boundary, Edge, fetch, write_boundary
from peer.store.bodies import decode_signature
from peer.store.codec import Codec, NoKey
from peer.store.files import Files
from peer.store.folder import Loader
from peer.store.frame import ANCHOR, CUT, FILL, LOST, SIGNATURE
from peer.store.index import Index
from peer.store.records import Records
from peer.store.segment import NAME, decode_header, read_file, scan
from peer.store.writing import Run, Writer
from protocol.ids import AgentId

SHARE = 0.25
"""Segments are moved if no more than this part of them is still needed: what is written again follows what is freed."""
RUN_BYTES = 1 << 20


class ArchiveTerm(NamedTuple):
    """How long the archive keeps segments; 0: for good."""

    seconds: int = 0
    bytes: int = 0


class Compacted(NamedTuple):
    """What compacting has done."""

    before_bytes: int
    """Of the working log."""
    after_bytes: int
    archived_segments: int
    dropped_segments: int


class Compactor:
    """The compacting of one folder, on the thread that writes it."""

    def __init__(
        self, folder: Path, index: Index, records: Records, writer: Writer, codec: Codec, files: Files,
        archive: Archive, boundary: Boundary | None, kept: ArchiveTerm,
    ) -> None:  # fmt: skip
        self._folder = folder
        self._index = index
        self._records = records
        self._writer = writer
        self._codec = codec
        self._files = files
        self._archive = archive
        self._boundary = boundary
        self._kept = kept

    def work(self, share: float = SHARE) -> Compacted:
        """Archive what can be, and drop what need not be kept.

        Raises: LogFailed, if the archive can't be reached; OSError.
        """
        before = self._size()
        edges = self._movable(share)
        if edges:
            self._copy_forward(edges[-1].segment)
            self._move(edges)
        dropped = self._drop()
        return Compacted(before, self._size(), len(edges), dropped)

    def _size(self) -> int:
        return sum(file.stat().st_size for file in self._folder.glob("[0-9]*.seg"))

    # -- what can go -----------------------------------------------------------------------------------------------

    def _movable(self, share: float) -> list[Edge]:
        """Return the ends of the oldest segments, as many as hold little that is needed."""
        first = 1 if self._boundary is None else self._boundary.end.segment + 1
        if first >= self._writer.number:
            return []
        needed, pays = self._needed_bytes(), list[bool]()
        size = kept = 0
        for number in range(first, self._writer.number):
            file = self._folder / NAME.format(number)
            # One that is gone may have held what nobody knows of: it stays missed, and what follows it here.
            if not file.exists():
                break
            size, kept = size + file.stat().st_size, kept + needed.get(number, 0)
            # Of all up to here: one that an idle agent's large state fills does not keep those behind it for good.
            pays.append(share >= 1 or kept <= share * size)
        edges: list[Edge] = []
        while True in pays[len(edges) :]:
            file = self._folder / NAME.format(first + len(edges))
            edge = self._end(first + len(edges), file) or self._end_of_damaged(first + len(edges), edges)
            if edge is None:
                break
            edges.append(edge)
        while edges and not pays[len(edges) - 1]:
            edges.pop()
        return edges

    def _needed_bytes(self) -> dict[int, int]:
        """Return, by segment, how much of it is still needed."""
        found: dict[int, int] = defaultdict(int)
        for agent in self._index.agents():
            for _, _, place in self._index.frames(agent, self._index.anchor(agent)):
                found[place.segment] += self._records.size_at(place)
        for name in self._pieces():
            place = self._index.chunks.get(name)
            if place is not None:
                found[place.segment] += len(self._records.piece(name))
        return found

    def _pieces(self) -> dict[bytes, None]:
        """Return the pieces of large records that are still needed."""
        pieces: dict[bytes, None] = {}
        if self._index.chunks:
            for agent in self._index.agents():
                pieces.update(dict.fromkeys(self._records.needed(agent, self._index.anchor(agent))))
        return pieces

    def _end(self, number: int, file: Path) -> Edge | None:
        """Return where a segment ends; None if it is not whole, or another stands in its place."""
        data = read_file(file)
        found = scan(file, data)
        is_own = found.header is not None and found.header.number == number
        if found.wrong or not is_own or not found.batches or any(batch.what for batch in found.batches):
            return None
        last = found.batches[-1]
        for at, frame in last.frames:
            if frame.kind == SIGNATURE and last.head is not None:
                begin = at + frame.head_bytes
                try:
                    body = self._codec.unpack(frame.flags, data[begin : begin + frame.stored], frame.plain)
                    signature = decode_signature(body)
                except (ValueError, NoKey):
                    return None
                if signature.ends:
                    return Edge(number, last.head.sequence, last.head.digest, signature.tails)
        return None

    def _end_of_damaged(self, number: int, before: list[Edge]) -> Edge | None:
        """Return where a segment ends that is not whole, by what follows it; None: it stays, and all after it.

        Only once all that was damaged has been mended: what is missing must not be forgotten.
        """
        following = self._folder / NAME.format(number + 1)
        header = decode_header(read_file(following)) if following.exists() else None
        if header is None or self._index.is_damaged():
            return None
        last = before[-1] if before else None if self._boundary is None else self._boundary.end
        tails = {} if last is None else dict(last.tails)
        for agent, end in self._index.ends_at(number).items():
            if end > tails.get(agent, (0, b""))[0]:
                tails[agent] = (end, self._records.hash_of(agent, end))
        return Edge(number, header.sequence - 1, header.prev, tails)

    # -- moving ----------------------------------------------------------------------------------------------------

    def _copy_forward(self, last: int) -> None:
        """Write again what is needed of segments up to `last`."""
        pieces = self._pieces()
        self._writer.leave(last)
        self._writer.carry({name: self._records.piece(name) for name in pieces if self._is_old(name, last)})
        runs: list[Run] = []
        size = 0
        for agent in self._index.agents():
            anchor = self._index.anchor(agent)
            for begin, end, place in self._index.frames(agent, anchor):
                if place.segment > last:
                    continue
                run = self._run(agent, begin, end, ANCHOR if begin == anchor else 0)
                runs.append(run)
                size += sum(map(len, run.records))
                if size > RUN_BYTES:
                    self._writer.commit(runs)
                    runs, size = [], 0
        # That an end was lost, and its agent has not begun anew yet, is told where it ends.
        tails = ((agent, *self._index.tail(agent)) for agent in self._index.agents() if self._index.is_lost(agent))
        runs += [Run(agent, [], CUT | LOST, number + 1, last) for agent, number, last in tails]
        if runs:
            self._writer.commit(runs)

    def _is_old(self, name: bytes, last: int) -> bool:
        place = self._index.chunks.get(name)
        return place is not None and place.segment <= last

    def _run(self, agent: AgentId, begin: int, end: int, flags: int) -> Run:
        records: list[bytes] = []
        for stored in self._records.read(agent, begin):
            if stored.number > end:
                break
            records.append(stored.body)
        return Run(agent, records, FILL | flags, begin, self._records.prev_of(agent, begin))

    def _move(self, edges: list[Edge]) -> None:
        known = self._boundary
        archived = list(() if known is None else known.segments)
        for edge in edges:
            file = self._folder / NAME.format(edge.segment)
            self._archive.put(file.name, read_file(file))
            archived.append(Archived(edge.segment, file.stat().st_size, int(time.time())))
        begin = None if known is None else known.begin
        boundary = Boundary(edges[-1], tuple(archived), begin, self._archive.address)
        # From here on the working log begins later; what a crash leaves of the old files is removed on opening.
        write_boundary(self._folder, boundary, self._files)
        self._boundary = boundary
        self._index.drop(edges[-1].segment)
        for edge in edges:
            self._records.forget(edge.segment)
            self._files.remove(self._folder / NAME.format(edge.segment))
        self._files.sync_folder(self._folder)

    # -- dropping --------------------------------------------------------------------------------------------------

    def _drop(self) -> int:
        """Drop the oldest archived segments that need not be kept."""
        known = self._boundary
        if known is None or not any(self._kept):
            return 0
        total, now_s, count = sum(segment.size for segment in known.segments), time.time(), 0
        for segment in known.segments:
            too_old = self._kept.seconds and segment.at_s < now_s - self._kept.seconds
            too_many = self._kept.bytes and total > self._kept.bytes
            if not too_old and not too_many:
                break
            total -= segment.size
            count += 1
        if not count:
            return 0
        last = known.segments[count - 1]
        edge = self._edge_of(last)
        if edge is None:
            return 0
        self._save_pieces(known, edge)
        boundary = Boundary(known.end, known.segments[count:], edge, known.address)
        write_boundary(self._folder, boundary, self._files)
        self._boundary = boundary
        for segment in known.segments[:count]:
            self._archive.drop(NAME.format(segment.number))
        return count

    def _save_pieces(self, known: Boundary, edge: Edge) -> None:
        """Write again the pieces of large records that the rest of the archive needs of what is to be dropped."""
        with TemporaryDirectory(prefix="ebbtide-archive-") as copies:
            files, _ = fetch(self._archive, known.segments, Path(copies))
            index = Loader(self._codec, begin=known.begin).load(files).index
            records = Records(index, {int(file.stem): file for file in files}, self._codec)
            old = {name for name, place in index.chunks.items() if place.segment <= edge.segment}
            needed: dict[bytes, bytes] = {}
            for agent in index.agents() if old else ():
                first = max(edge.tails.get(agent, (0, b""))[0] + 1, index.first(agent))
                for name in records.needed(agent, first):
                    if name in old and name not in self._index.chunks:
                        needed[name] = records.piece(name)
            records.close()
        self._writer.carry(needed)

    def _edge_of(self, segment: Archived) -> Edge | None:
        draft = self._folder / "edge.new"
        draft.write_bytes(self._archive.get(NAME.format(segment.number)))
        try:
            return self._end(segment.number, draft)
        finally:
            draft.unlink()
