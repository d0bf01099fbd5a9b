"""Opens a host's folder: who the host is, and its logs."""

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from peer.errors import ConfigInvalid, LogFailed
from peer.keys import HostKeys
from peer.store.archive import FOLDER
from peer.store.files import Files
from peer.store.importing import FILE
from peer.store.lock import lock
from peer.store.outside.keyring import cipher_of
from peer.store.segment import HEADER_BYTES, segment_files
from peer.store.segments import SegmentStore
from peer.store.storage import Storage

KEY = "host.key"
BEGUN = "begun-"
"""Begins the name of a file beside a host's folder: the host has been up, so it is lost if its folder is gone.

It holds the host's id, so that folders that were exchanged are told; from before that was written it is empty.
"""


class Opened(NamedTuple):
    """A host's folder in use."""

    keys: HostKeys
    store: SegmentStore
    is_lost: bool
    """There was a log here once, and it is gone: whoever lived here can't go on from it."""


def open_folder(
    folder: Path, loop: AbstractEventLoop, *, is_first: bool = True,
    on_failure: Callable[[LogFailed], None] | None = None, on_stall: Callable[[str], None] | None = None,
    storage: Storage | None = None, node: str = "",
) -> Opened:  # fmt: skip
    """Open a host's folder, or make it.

    A log that is gone is never taken for one that is still empty: then the host comes up as another one, whose agents
    have to come from its backups. Its key goes with the log, since it has said things that nobody here remembers.

    Args:
        folder: the host's.
        loop: the host's event loop.
        is_first: the host has not lived before, as far as whoever starts it knows. What stands beside the folder tells
            so too, from before the host says anything.
        on_failure: see `SegmentStore`.
        on_stall: see `SegmentStore`.
        storage: where its archive is, and what encrypts its log.
        node: what stands for the machine that it runs on, for a host that is new.

    Raises: as `SegmentStore`; ConfigInvalid too, for a log without its host's key, or an encrypted one without a key.
    """
    key = folder / KEY
    folder.mkdir(parents=True, exist_ok=True)
    held = lock(folder)
    try:
        return _opened(folder, key, loop, is_first, held, on_failure, on_stall, storage or Storage(), node)
    except BaseException:
        os.close(held)
        raise


def _opened(
    folder: Path, key: Path, loop: AbstractEventLoop, is_first: bool, held: int,
    on_failure: Callable[[LogFailed], None] | None, on_stall: Callable[[str], None] | None, storage: Storage,
    node: str,
) -> Opened:  # fmt: skip
    segments = segment_files(folder / "log") if (folder / "log").is_dir() else []
    has_log = bool(segments) or (folder / FILE).exists()
    if not key.exists() and all(file.stat().st_size <= HEADER_BYTES for file in segments):
        # The key is written last: a first start that was interrupted begins anew.
        for file in segments:
            file.unlink()
        has_log = (folder / FILE).exists()
    if has_log and not key.exists():
        raise ConfigInvalid(
            f"{folder} has a log, and {KEY}, the key of its host, is missing. Nothing was changed."
            " Restore the key from a backup, or start the host with an empty folder: its backups speak for what was"
            " there."
        )
    # An old key that was put away, and no new one: a start from a lost log was interrupted.
    was_lost = any(folder.glob(f"{KEY}.lost-*"))
    begun = folder.with_name(BEGUN + folder.name)
    is_lost = not has_log and (key.exists() or was_lost or begun.exists() or not is_first)
    if is_lost:
        _put_away(folder)
    keys = HostKeys.load(key) if has_log else HostKeys.generate(node)
    store = SegmentStore(
        folder, loop, on_failure, keys=keys, on_stall=on_stall, cipher=cipher_of(folder, storage.key_file), held=held,
        archive=storage.archive, kept=storage.kept,
    )  # fmt: skip
    if is_lost:
        # Before the key: a start that is interrupted in between is one from a lost log again.
        Files().put(begun, keys.host_id.encode())
    if not has_log:
        keys.save(key)
    if not begun.exists() or not begun.stat().st_size:
        Files().put(begun, keys.host_id.encode())
    return Opened(keys, store, is_lost)


def _put_away(folder: Path) -> None:
    """Give what is left of a lost log other names, so that the next one neither goes on from it nor replaces it."""
    age = 1
    while any((folder / f"{name}.lost-{age}").exists() for name in (KEY, "log", FOLDER)):
        age += 1
    # The key last: as long as it has its name, an interrupted start does this again.
    for name in ("log", FOLDER, KEY):
        if (folder / name).exists():
            (folder / name).replace(folder / f"{name}.lost-{age}")
