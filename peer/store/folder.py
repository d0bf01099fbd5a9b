"""What a folder's segments hold, taken together: the index of all records, and everything that is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from peer.chain import FIRST_HASH, chain
from peer.damage import Finding
from peer.errors import ConfigInvalid
from peer.store.archive import Edge
from peer.store.bodies import Signature, decode_pieces, decode_records, decode_signature
from peer.store.codec import Codec, NoKey
from peer.store.frame import CHUNKS, RECORDS, SIGNATURE, Frame
from peer.store.index import Index, Place
from peer.store.segment import FORMAT, Batch, Header, Scan, format_of, marks_in, read_file, scan

REMEDY = (
    "Keep a copy of the file. A host with replicas mends its log from them when it starts; else restore the"
    " file from a backup."
)


@dataclass
class Signed:
    """A signature as it stands in a log."""

    signature: Signature
    sequence: int
    digest: bytes
    records: int
    """How many records stand before it in what was read."""


@dataclass
class Folder:
    """The segments of one host."""

    host: bytes = b""
    index: Index = field(default_factory=Index)
    findings: list[Finding] = field(default_factory=list)
    sequence: int = 0
    digest: bytes = FIRST_HASH
    """Of the last batch."""
    last: Scan | None = None
    """The last segment."""
    number: int = 0
    """Its number; without one that of the last in the archive."""
    signatures: list[Signed] = field(default_factory=list)
    records: int = 0
    torn: int = 0
    """Bytes of a last write that a crash has cut short."""
    appended: list[Finding] = field(default_factory=list)
    """What stands behind a segment's end and is left of no write: it hurts no record, and a host cuts it off."""
    digests: dict[int, bytes] = field(default_factory=dict)
    """By sequence, the digest of each batch."""
    locked: bool = False
    """Bodies are encrypted, and no key was given."""


class Loader:
    """Reads segments one after the other."""

    def __init__(self, codec: Codec, host: bytes = b"", begin: Edge | None = None) -> None:
        self._codec = codec
        self.folder = Folder(host)
        self._number = 0
        self._ended = False
        """The segment before says that another follows."""
        if begin is not None:
            self._number = self.folder.number = begin.segment
            self.folder.sequence, self.folder.digest = begin.sequence, begin.digest
            for agent, (number, last) in begin.tails.items():
                self.folder.index.begin(agent, number, last)

    def load(self, files: Sequence[Path]) -> Folder:
        """Read segments, in order.

        Raises: ConfigInvalid, if another release wrote them; OSError.
        """
        for file in files:
            self._segment(file, read_file(file))
        if self._ended:
            self._find(files[-1], f"segment {self._number + 1}, which follows it, is missing")
            self.folder.index.suspect(files[-1], "the segment that follows it is missing")
            # Nothing is written in its place, nor over the mark that tells of it: the next life is to miss it, too.
            self.folder.last, self.folder.number = None, self._number + 1
        self.folder.index.settle()
        return self.folder

    def _find(self, file: Path, what: str, agent: str | None = None, number: int | None = None) -> None:
        self.folder.findings.append(Finding(file, agent, number, what, REMEDY))

    def _segment(self, file: Path, data: bytes) -> None:
        folder = self.folder
        newer = format_of(data)
        if newer not in (None, FORMAT):
            raise ConfigInvalid(
                f"{file} has format {newer}; this release reads {FORMAT}. Nothing was changed."
                " Use the release that wrote it."
            )
        found = scan(file, data)
        number = int(file.stem)
        if self._is_foreign(file, found.header, number):
            return
        if found.header is not None:
            if not folder.host:
                folder.host = found.header.host
            self._continues(file, found.header, number)
        elif number != self._number + 1:
            self._find(file, f"segments {self._number + 1} to {number - 1} are missing")
            folder.index.suspect(file, "a segment before it is missing")
        for wrong in found.wrong:
            self._find(file, wrong)
        if found.header is None and not found.batches:
            folder.index.suspect(file, "the file is not as it was written")
        self._number, self._ended = number, False
        for batch in found.batches:
            self._batch(file, number, data, batch)
        if found.wrong and found.closed:
            folder.index.suspect(file, "the file's end is missing")
        self._ended = self._is_followed(found, data)
        if found.torn and (found.appended or self._ended):
            what = f"{found.torn} bytes were appended behind its last batch: no write of its host has left them"
            remedy = (
                f"Every record is there. Cut the file to {found.end} bytes, and find out who writes to this folder."
            )
            folder.appended.append(Finding(file, None, None, what, remedy))
        else:
            folder.torn += found.torn
        folder.last, folder.number = found, number

    def _is_foreign(self, file: Path, header: Header | None, number: int) -> bool:
        """A file that was put there: of another host, or another place."""
        folder = self.folder
        if header is None:
            return False
        if folder.host and header.host != folder.host:
            self._find(file, f"it belongs to host {header.host.hex()}, not to {folder.host.hex()}")
        elif header.number != number:
            self._find(file, f"it is segment {header.number}, not {number}")
        else:
            return False
        folder.index.suspect(file, "another file stands in this segment's place")
        self._number, self._ended = number, False
        folder.last, folder.number = Scan(file, header, closed=True), number
        folder.sequence, folder.digest = 0, b""
        return True

    def _continues(self, file: Path, header: Header, number: int) -> None:
        folder = self.folder
        if (header.number, header.sequence, header.prev) == (self._number + 1, folder.sequence + 1, folder.digest):
            return
        if header.number != self._number + 1:
            missing = f"{self._number + 1}" if number == self._number + 2 else f"{self._number + 1} to {number - 1}"
            self._find(file, f"segment {missing}, before it, is missing")
            folder.index.suspect(file, "a segment before it is missing")
        elif folder.last is None or not (folder.last.closed or folder.last.wrong):
            self._find(file, "it does not follow the segment before it")
            folder.index.suspect(file, "it does not follow the segment before it")
        folder.sequence, folder.digest = header.sequence - 1, header.prev

    @staticmethod
    def _is_followed(found: Scan, data: bytes) -> bool:
        """Whether the next segment was there: then this one's last mark covers the batch that ends it."""
        if found.header is None or not found.batches or (last := found.batches[-1].head) is None:
            return False
        return any(mark.sequence > last.sequence for mark in marks_in(data))

    # -- batches ---------------------------------------------------------------------------------------------------

    def _batch(self, file: Path, number: int, data: bytes, batch: Batch) -> None:
        folder = self.folder
        if not batch.what:
            for at, frame in batch.frames:
                self._frame(file, Place(number, at), data, frame, batch)
            if batch.head is not None:
                folder.sequence, folder.digest = batch.head.sequence, batch.head.digest
                folder.digests[folder.sequence] = folder.digest
            return
        before = {damage for agent in folder.index.agents() for damage in folder.index.damages(agent)}
        for at, frame in batch.frames:
            self._frame(file, Place(number, at), data, frame, None)
        if batch.roster is None:
            folder.index.suspect(file, f"the batch at byte {batch.at} is not as it was written")
            unknown: list[bytes] = []
        else:
            unknown = folder.index.reached(batch.roster, file, "it is not as it was written")
        hurt = next(
            ((agent, damage.first) for agent in folder.index.agents() for damage in folder.index.damages(agent)
             if damage.file == file and damage not in before), (None, None))  # fmt: skip
        if batch.frames and hurt == (None, None):
            hurt = (batch.frames[0][1].agent or None, batch.frames[0][1].first or None)
        what = f"the batch at byte {batch.at} ({batch.length} bytes): {batch.what}"
        if unknown:
            what += f"; {len(unknown)} logs had all of their records there"
        self._find(file, what, *hurt)
        if batch.head is not None:
            folder.sequence, folder.digest = batch.head.sequence, batch.head.digest

    def _frame(self, file: Path, place: Place, data: bytes, frame: Frame, batch: Batch | None) -> None:
        folder = self.folder
        begin = place.at + frame.head_bytes
        stored = data[begin : begin + frame.stored]
        if frame.kind == RECORDS:
            if batch is None and not self._is_sound(frame, stored):
                folder.index.lost(frame, file, "it is not as it was written")
                return
            folder.records += frame.records
            if wrong := folder.index.add(frame, place, file):
                self._find(file, wrong, frame.agent, frame.first)
            return
        try:
            body = self._codec.unpack(frame.flags, stored, frame.plain)
            if frame.kind == CHUNKS:
                for name in decode_pieces(body):
                    folder.index.chunks[name] = place
            elif frame.kind == SIGNATURE and batch is not None and batch.head is not None:
                signature = decode_signature(body)
                folder.signatures.append(Signed(signature, batch.head.sequence - 1, batch.head.prev, folder.records))
                for agent, (number, last) in signature.tails.items():
                    folder.index.proven(agent, number, last, file, agent not in signature.doubted)
        except NoKey:
            folder.locked = True
        except ValueError as error:
            if batch is not None:
                self._find(file, f"the frame at byte {place.at}: {error}")

    def _is_sound(self, frame: Frame, stored: bytes) -> bool:
        """Whether a frame of a damaged batch is as it was written; of large records their recipes are."""
        try:
            last, number = frame.prev, frame.first
            for record, is_recipe in decode_records(self._codec.unpack(frame.flags, stored, frame.plain)):
                if is_recipe:
                    return False
                last, number = chain(last, frame.agent, number, record), number + 1
        except (ValueError, NoKey):
            return False
        return last == frame.last and number == frame.end + 1
