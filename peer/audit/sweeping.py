"""Blobs that no record refers to any more: found by reading all logs, and removed.

A blob is written before the record that refers to it. So the store is listed first, all logs are read after that, and
only what was put long before the listing may go.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from peer.audit.logs import is_hosts, places_in
from peer.backends.roll import FILE as ROLL
from peer.backends.roll import seats_in
from peer.damage import Finding
from peer.errors import ConfigInvalid, EbbtideError, LogBusy, LogCorrupt
from peer.keys import HostKeys
from peer.store.heads import LOG as HEADS
from peer.store.heads import decode_head
from peer.store.lock import lock
from peer.store.opening import KEY
from peer.store.outside.blobs import Contents, FsspecBlobs, Held
from peer.store.reading import check_heads, open_logs, verify_logs
from peer.values.forms import blobs_in
from protocol.ids import AgentId, HostId

GRACE_S = 86_400.0
"""How long ago a blob must have been put, unless somebody says otherwise."""
RUNNING_GRACE_S = 3_600.0
"""The least of that while hosts run: a record may follow its blob only after a full disk has room again."""
AT_ONCE = 8
"""Blobs that are removed at the same time: object stores are far away."""

Progress = Callable[[int, int], None]
"""Told how many are done, of how many."""


class Count(NamedTuple):
    """Some blobs."""

    blobs: int
    bytes: int


@dataclass(frozen=True)
class Swept:
    """What a sweep has found, and done."""

    hosts: int
    """Whose logs were read."""
    records: int
    used: Count
    """Blobs that some record refers to."""
    fresh: Count
    """Those that none does, and that were put too short a time ago."""
    loose: Count
    """Those that none does; drafts that were never finished are among them."""
    removed: Count
    missing: int
    """How many a record refers to that are not there."""
    others: int
    """Files at the address that are no blobs."""


def sweep(
    folders: Sequence[Path], address: str, older_than_s: float = GRACE_S, *, removes: bool = False,
    gone: Sequence[str] = (), even_all: bool = False, progress: Progress | None = None,
) -> Swept:  # fmt: skip
    """Find the blobs that no record of any log refers to, and remove them if asked to.

    Args:
        folders: hosts' folders, or folders of hosts': together all that ever wrote to the store.
        address: of the blob store, as fsspec takes it.
        older_than_s: only what was put longer ago goes, by the file system's clock, in seconds.
        removes: remove them; else they are only counted.
        gone: names of folders, or ids, of hosts whose logs are gone for good, so that they can't be read.
        even_all: go on where no record refers to any blob that is there.
        progress: told of logs that were read.

    Raises: ConfigInvalid, if there is no log or no store, the store does not tell when blobs were written, or a host's
        log is missed; LogCorrupt, for a log that can't be read whole; LogBusy, if hosts run and `older_than_s` is too
        short for that; EbbtideError, if a blob can't be removed. Each names the place and the remedy, and but for the
        last nothing is removed.
    """
    places = _places(folders)
    blobs = FsspecBlobs(address)
    with _none_runs(places if removes and older_than_s < RUNNING_GRACE_S else (), older_than_s):
        contents, now_s = _listed(blobs, removes)
        logs = _Logs()
        for count, place in enumerate(places, 1):
            logs.read(place)
            if progress is not None:
                progress(count, len(places))
        logs.check_heads()
        _check_complete(folders, places, logs, gone)
        used = [held for held in contents.held if held.digest in logs.referred]
        unused = [held for held in contents.held if held.digest not in logs.referred]
        before_s = now_s - older_than_s
        loose = [held for held in unused if held.modified_s < before_s]
        if loose and not used and not even_all:
            raise ConfigInvalid(_none_used(address, len(loose), len(logs.referred)))
        removed = _removed(blobs, loose, before_s) if removes else []
        if removes:
            blobs.drop_marks(contents.marks, now_s)
    fresh = [held for held in unused if held.modified_s >= before_s]
    # Some were put after the listing.
    missing = sum(not blobs.holds(digest) for digest in logs.referred - {held.digest for held in used})
    counts = [_count(each) for each in (used, fresh, loose, removed)]
    return Swept(len(places), logs.records, *counts, missing=missing, others=contents.others)


def _count(held: Iterable[Held]) -> Count:
    sizes = [each.size for each in held]
    return Count(len(sizes), sum(sizes))


def _listed(blobs: FsspecBlobs, removes: bool) -> tuple[Contents, float]:
    try:
        contents = blobs.contents()
        # A look changes nothing, so it goes by this machine's clock.
        return contents, blobs.now_s() if removes else time.time()
    except FileNotFoundError as error:
        raise ConfigInvalid(
            f"There are no blobs at {blobs.address!r}. Nothing was removed. Name the address that the cluster has:"
            " --blobs."
        ) from error
    except NotImplementedError as error:
        raise ConfigInvalid(
            f"The file system of {blobs.address!r} can't list files, or does not tell when they were written, so nobody"
            " can tell which are new. Nothing was removed. Copy the store to one that does, a folder or s3:// for"
            " instance, and start the cluster with that."
        ) from error
    except Exception as error:  # each file system has errors of its own
        raise ConfigInvalid(
            f"The blobs at {blobs.address!r} can't be listed ({type(error).__name__}: {error}). Nothing was removed."
            " See to the address and the right to list, write and remove there."
        ) from error


def _none_used(address: str, there: int, referred: int) -> str:
    what = f"none of the {referred} that these logs refer to" if referred else "and these logs refer to none"
    return (
        f"At {address!r} are {there} blobs, {what}: it may be the store of others. Nothing was removed. Name the"
        " folders of all hosts that write there; if these are all, say so: --all."
    )


# -- logs ----------------------------------------------------------------------------------------------------------


def _places(folders: Sequence[Path]) -> list[Path]:
    """Return the folders of all hosts, each once."""
    found: dict[Path, None] = {}
    for folder in folders:
        found.update(dict.fromkeys(place.resolve() for place in places_in(folder)))
    for place in list(found):
        beside = sorted(path for path in place.parent.iterdir() if path.is_dir() and is_hosts(path))
        left_out = [path for path in beside if path.resolve() not in found]
        if left_out:
            raise ConfigInvalid(
                f"{left_out[0]} is a host's folder too, and its blobs are not told from those that nothing refers to"
                f" unless it is read. Nothing was removed. Name the folder of all hosts: {place.parent}."
            )
    return list(found)


class _Logs:
    """What the logs tell that were read."""

    def __init__(self) -> None:
        self.referred: set[bytes] = set()
        """Hashes of blobs."""
        self.hosts: set[HostId] = set()
        self.told: set[HostId] = set()
        """Hosts that others have heard of."""
        self.records = 0
        self._open = []

    def read(self, place: Path) -> None:
        logs = open_logs(place)
        report = verify_logs(logs, self._see)
        if report.findings:
            raise _unread(report.findings[0])
        self.hosts.add(report.host)
        # One that lost its log came up as another: its agents went to its backups.
        self.hosts.update(HostKeys.load(key).host_id for key in place.glob(f"{KEY}.lost-*"))
        self.records += report.records
        self._open.append(logs)

    def check_heads(self) -> None:
        for finding in check_heads(self._open):
            raise _unread(finding)

    def _see(self, log: AgentId, record: bytes) -> None:
        self.referred.update(blobs_in(record))
        if log == HEADS:
            self.told.add(decode_head(record).host)


def _unread(finding: Finding) -> LogCorrupt:
    return LogCorrupt(f"{str(finding).rstrip('. ')}. Nothing was removed: what is missing there may refer to blobs.")


def _check_complete(folders: Sequence[Path], places: Sequence[Path], logs: _Logs, gone: Sequence[str]) -> None:
    """Check that the log of every host that is known of was read, or is gone for good."""
    wanted = dict.fromkeys(sorted(logs.told - logs.hosts), "other hosts have heard of it")
    for folder in {*map(Path.resolve, folders), *(place.parent for place in places)}:
        read = {place.name for place in places if place.parent == folder}
        for name in seats_in(folder):
            if name not in read:
                wanted[name] = f"{folder / ROLL} names it"
    for name in gone:
        if name not in wanted:
            raise ConfigInvalid(
                f"--gone {name}: no host of that name or id is missed. Nothing was removed. Leave it out"
                + (f", or name {', '.join(wanted)}." if wanted else ".")
            )
    missed = next((name for name in wanted if name not in gone), None)
    if missed is not None:
        raise ConfigInvalid(
            f"The log of host {missed} was not read, and {wanted[missed]}: it may refer to blobs. Nothing was removed."
            f" Name its folder too; if its log is gone for good, say so: --gone {missed}."
        )


@contextmanager
def _none_runs(places: Sequence[Path], older_than_s: float) -> Iterator[None]:
    """Keep hosts from starting meanwhile, where what is new may go: nobody may be about to refer to it."""
    held: list[int] = []
    try:
        for place in places:
            held.append(lock(place))
        yield
    except LogBusy as error:
        raise LogBusy(
            f"Blobs that were put {older_than_s:g} seconds ago can only be removed while no host runs, and one does."
            f" {error} Or say --older-than 1h or more."
        ) from error
    finally:
        for handle in held:
            os.close(handle)


# -- removing ------------------------------------------------------------------------------------------------------


def _removed(blobs: FsspecBlobs, loose: Sequence[Held], before_s: float) -> list[Held]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        works = [pool.submit(blobs.sweep, held, before_s) for held in loose]
        wait(works, return_when=FIRST_EXCEPTION)
        pool.shutdown(cancel_futures=True)
    done = [(held, work) for held, work in zip(loose, works, strict=True) if not work.cancelled()]
    removed = [held for held, work in done if work.exception() is None and work.result()]
    failed = next((error for _, work in done if (error := work.exception()) is not None), None)
    if failed is not None:
        raise EbbtideError(
            f"A blob at {blobs.address} can't be removed ({type(failed).__name__}: {failed}). {len(removed)} were"
            " removed before, which nothing refers to; nothing else was changed. Mend that, and sweep again."
        ) from failed
    return removed
