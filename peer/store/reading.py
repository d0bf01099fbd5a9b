"""The logs in a host's folder as whoever audits reads them: nothing is changed, and the host may be running."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from peer.damage import Damage, Finding
from peer.errors import ConfigInvalid, LogCorrupt, LogFailed
from peer.keys import host_id_of
from peer.keys import verify as is_signed
from peer.store.archive import FILE as BOUNDARY
from peer.store.archive import FOLDER, Archive, Boundary, fetch, read_boundary
from peer.store.bodies import signed_bytes
from peer.store.codec import Cipher, Codec
from peer.store.findings import Report
from peer.store.folder import REMEDY, Folder, Loader
from peer.store.heads import LOG as HEADS
from peer.store.heads import decode_head
from peer.store.importing import read_sqlite
from peer.store.outside.keyring import FILE as KEYRING
from peer.store.outside.keyring import KEY_FILE, cipher_of
from peer.store.records import Records
from peer.store.segment import NAME, decode_header, read_file, segment_files
from peer.store.stored import Stored
from protocol.checkpoints.witness import Head
from protocol.errors import WireInvalid
from protocol.ids import AgentId

__all__ = ["Finding", "Logs", "Report", "Stored", "open_logs", "verify", "verify_logs"]

TRIES = 3
"""How often a log is read that does not seem whole: its host may be moving segments at that moment."""


See = Callable[[AgentId, bytes], None]
"""Is shown a record of a log."""


class Logs(Protocol):
    """The logs of one host, the archive included."""

    folder: Path

    def refresh(self) -> None:
        """Take in what the host has written meanwhile."""
        ...

    def agents(self) -> list[AgentId]:
        """Return the names of the logs, in order."""
        ...

    def length(self, agent: AgentId) -> int:
        """Return how many records a log has, from the first on."""
        ...

    def read(self, agent: AgentId, first: int = 1) -> Iterator[Stored]:
        """Yield a log's records from number `first` on, each checked against its hash.

        Raises: LogCorrupt, naming the file, the record and the remedy; ConfigInvalid, without the key of an encrypted
            log.
        """
        ...

    def first(self, agent: AgentId) -> int:
        """Return the first record of a log that is kept: those before it were dropped from the archive."""
        ...

    def after(self, agent: AgentId, number: int) -> int | None:
        """Return the record from which a log can be read again behind one that can't; None: there is none."""
        ...

    def nameless(self) -> list[Damage]:
        """Return what may be missing of logs that nobody can name any more."""
        ...


def open_logs(folder: Path, cipher: Cipher | None = None) -> Logs:
    """Open the logs in a host's folder for reading.

    Args:
        folder: the host's.
        cipher: of an encrypted log; without one, its key is in the file that EBBTIDE_KEY_FILE names.

    Raises: ConfigInvalid, if there are none, or another release wrote them; LogFailed, if they can't be read.
    """
    if (folder / "log").is_dir():
        if cipher is None and (folder / KEYRING).exists():
            cipher = cipher_of(folder, os.environ.get(KEY_FILE, ""))
        return _SegmentLogs(folder, cipher)
    if (folder / "log.db").exists():
        return _SqliteLogs(folder)
    raise ConfigInvalid(f"{folder} holds no log. Nothing was read. Name a host's folder, as in run/host-1.")


def verify(folder: Path, cipher: Cipher | None = None) -> Report:
    """Check every record of a folder's logs, the archive's too: that none was altered, dropped or reordered.

    Raises: as `open_logs`.
    """
    return verify_logs(open_logs(folder, cipher))


def verify_logs(logs: Logs, see: See | None = None) -> Report:
    """Check every record of logs that are open.

    Args:
        logs: of one host, which may be running.
        see: called with each record, and the name of its log; some may come twice.

    Raises: LogFailed; ConfigInvalid, without the key of an encrypted log.
    """
    report: Report | None = None
    for _ in range(TRIES):
        state = _state_of(logs)
        # A host that moves segments to its archive meanwhile does not make them damaged.
        with suppress(FileNotFoundError):
            report = _verified(logs, see)
        logs.refresh()
        if report is not None and (not report.findings or state == _state_of(logs)):
            return report
    if report is None:
        raise LogFailed(
            f"{logs.folder} changes faster than it can be read. Nothing was changed. Try again when its host is"
            " compacting less, or look whether somebody removes files there."
        )
    return report


def _state_of(logs: Logs) -> object:
    return logs.state if isinstance(logs, _SegmentLogs) else None


def _verified(logs: Logs, see: See | None) -> Report:
    findings: list[Finding] = []
    records = signed = 0
    if isinstance(logs, _SegmentLogs):
        findings += [*logs.found.findings, *logs.found.appended]
        wrong, signed = _check_signatures(logs)
        findings += wrong
    for agent in logs.agents():
        number = 0
        try:
            for stored in logs.read(agent):
                number = stored.number
                records += 1
                if see is not None:
                    see(agent, stored.body)
        except (LogCorrupt, ValueError) as error:
            if not any(finding.agent == agent for finding in findings):
                findings.append(Finding(logs.folder, agent, number + 1, str(error), ""))
    found = logs.found if isinstance(logs, _SegmentLogs) else None
    torn, host = (0, "") if found is None else (found.torn, found.host.hex() if any(found.host) else "")
    return Report(len(logs.agents()), records, min(signed, records), tuple(findings), torn, host)


def check_heads(logs: Sequence[Logs]) -> list[Finding]:
    """Compare what hosts have kept of each other's heads with the logs themselves (CP-12).

    Returns: where a log does not hold what its host had signed and told others: it was rewritten, or set back.
    """
    whole = [each for each in logs if isinstance(each, _SegmentLogs)]
    by_host = {each.found.host.hex(): each for each in whole if each.found.host}
    findings: list[Finding] = []
    for witness in whole:
        for head in _heads_in(witness):
            own = by_host.get(head.host)
            digest = None if own is None else own.found.digests.get(head.sequence)
            is_dropped = own is not None and head.sequence < min(own.found.digests, default=0)
            if own is None or is_dropped or digest == head.digest:
                continue
            state = "another one stands there" if digest is not None else "it is not there"
            what = (
                f"host {witness.found.host.hex()} was told of batch {head.sequence}, signed by this log's host,"
                f" and {state}: the log was rewritten or set back"
            )
            findings.append(Finding(own.folder / "log", None, None, what, "Ask whoever keeps this host's folder."))
    return findings


def _heads_in(witness: Logs) -> Iterator[Head]:
    """Yield what a host has kept of others' heads, as far as it can be read: what can't is named by `verify_logs`."""
    number: int | None = 1 if HEADS in witness.agents() else None
    while number is not None:
        try:
            for stored in witness.read(HEADS, number):
                number = stored.number + 1
                with suppress(WireInvalid):
                    yield decode_head(stored.body)
            return
        except LogCorrupt:
            number = witness.after(HEADS, number)


class _SegmentLogs:
    """Segments: first those in the archive, then those of the working log."""

    def __init__(self, folder: Path, cipher: Cipher | None) -> None:
        self.folder = folder
        self._codec = Codec(cipher)
        self.state: list[tuple[str, int]] | None = None
        """The files when they were last looked at, with their sizes, and when the archive had changed."""
        self._records: Records | None = None
        self._dropped: dict[AgentId, int] = {}
        """By log, the last record that may have been dropped from the archive."""
        self._copies: TemporaryDirectory[str] | None = None
        """Of segments that are archived elsewhere, as long as somebody looks at them."""
        self.refresh()

    def refresh(self) -> None:
        log = self.folder / "log"
        state = [(file.name, file.stat().st_size) for file in segment_files(log)]
        with suppress(FileNotFoundError):
            # What is dropped from the archive changes nothing else here.
            state.append((BOUNDARY, (log / BOUNDARY).stat().st_mtime_ns))
        if state == self.state:
            return
        self.state = state
        try:
            boundary: Boundary | None = read_boundary(log)
            wrong: list[Finding] = []
        except LogCorrupt as error:
            boundary, wrong = None, [Finding(log, None, None, str(error), "")]
        archived: list[Path] = []
        if boundary is not None:
            archived, missing = self._fetched(boundary)
            wrong += [Finding(log, None, None, text, "") for text in missing]
        end = 0 if boundary is None else boundary.end.segment
        files = [*archived, *(file for file in segment_files(log) if int(file.stem) > end)]
        begin = None if boundary is None else boundary.begin
        self._dropped = {} if begin is None else {agent: number for agent, (number, _) in begin.tails.items()}
        loader = Loader(self._codec, begin=begin)
        try:
            self.found: Folder = loader.load(files)
        except OSError as error:
            raise LogFailed(f"Can't read {log}: {error}. Nothing was changed. Mend that and try again.") from error
        self.found.findings[:0] = wrong
        if not files:
            self.found.findings.append(Finding(log, None, None, "there is no segment in it", REMEDY))
        if self._records is not None:
            self._records.close()
        self._records = Records(self.found.index, {int(file.stem): file for file in files}, self._codec)

    def _fetched(self, boundary: Boundary) -> tuple[list[Path], list[str]]:
        """Return the archived segments as files, and what is wrong with those that can't be had."""
        if not boundary.address:
            names = [self.folder / FOLDER / NAME.format(segment.number) for segment in boundary.segments]
            missing = [f"{file} is missing from the archive" for file in names if not file.exists()]
            return [file for file in names if file.exists()], missing
        if self._copies is None:
            self._copies = TemporaryDirectory(prefix="ebbtide-archive-")
        header = next((decode_header(read_file(file)) for file in segment_files(self.folder / "log")), None)
        archive = Archive(self.folder, boundary.address, "" if header is None else header.host.hex())
        return fetch(archive, boundary.segments, Path(self._copies.name))

    def agents(self) -> list[AgentId]:
        return self.found.index.agents()

    def length(self, agent: AgentId) -> int:
        return self.found.index.tail(agent)[0]

    def first(self, agent: AgentId) -> int:
        return self.found.index.first(agent)

    def after(self, agent: AgentId, number: int) -> int | None:
        frames = self.found.index.frames(agent, number + 1)
        return next((begin for begin, _, _ in frames if begin > number), None)

    def nameless(self) -> list[Damage]:
        return self.found.index.nameless()

    def read(self, agent: AgentId, first: int = 1) -> Iterator[Stored]:
        assert self._records is not None
        for begin, end in self._stretches(agent, max(first, self.found.index.first(agent))):
            for stored in self._records.read(agent, begin):
                yield stored
                if stored.number == end:
                    break

    def _stretches(self, agent: AgentId, first: int) -> list[tuple[int, int | None]]:
        """Return first and last record of each stretch without gaps; None: to the end of the log.

        Records that were written again stay when the archive drops those that came after them; no agent needs either.
        """
        index, dropped = self.found.index, self._dropped.get(agent, 0)
        found: list[tuple[int, int | None]] = []
        number = first - 1
        for begin, end, _ in index.frames(agent, first):
            is_known = any(each.first < begin and (each.end or begin) > number for each in index.damages(agent))
            if number + 1 < begin <= dropped + 1 and not is_known:
                if number >= first:
                    found.append((first, number))
                first = begin
            number = max(number, end)
        return [*found, (first, None)]


def _check_signatures(logs: _SegmentLogs) -> tuple[list[Finding], int]:
    """Return what is wrong with the signatures, and how many records are signed."""
    found, findings, signed = logs.found, list[Finding](), 0
    for each in found.signatures:
        signature = each.signature
        if not signature.key:
            continue
        data = signed_bytes(found.host, each.sequence, each.digest, signature)
        who = host_id_of(signature.key)
        if who != found.host.hex():
            what = f"the signature on batch {each.sequence} is of host {who}, not of {found.host.hex()}"
        elif not is_signed(signature.key, signature.signature, data):
            what = f"the signature on batch {each.sequence} does not fit what stands before it"
        else:
            signed = max(signed, each.records)
            continue
        findings.append(Finding(logs.folder / "log", None, None, what, REMEDY))
    return findings, signed


class _SqliteLogs:
    """The one file of an older release, as long as no host of this one has taken it over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._reader = sqlite3.connect(f"file:{folder / 'log.db'}?mode=ro", uri=True)

    def refresh(self) -> None:
        """SQLite sees what is new by itself."""

    def agents(self) -> list[AgentId]:
        return [name for (name,) in self._select("SELECT DISTINCT agent FROM records ORDER BY agent")]

    def length(self, agent: AgentId) -> int:
        return self._select("SELECT count(*) FROM records WHERE agent = ?", agent)[0][0]

    def first(self, agent: AgentId) -> int:
        return 1

    def after(self, agent: AgentId, number: int) -> int | None:
        """What follows a record that is not as written can't be checked: each is checked against the one before."""
        return None

    def nameless(self) -> list[Damage]:
        return []

    def read(self, agent: AgentId, first: int = 1) -> Iterator[Stored]:
        yield from read_sqlite(self.folder / "log.db", self._reader, agent, first)

    def _select(self, query: str, *values: str) -> list[tuple]:
        try:
            return self._reader.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise LogCorrupt.at(self.folder / "log.db", None, None, f"SQLite can't read it ({error})") from error
