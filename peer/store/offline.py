"""Compacts the log in a host's folder while no host runs there."""

import asyncio
from pathlib import Path

from peer.errors import ConfigInvalid, LogFailed
from peer.keys import HostKeys
from peer.store.codec import Cipher
from peer.store.compacting import ArchiveTerm, Compacted
from peer.store.segments import SegmentStore


def compact(
    folder: Path, cipher: Cipher | None = None, address: str = "", kept: ArchiveTerm | None = None
) -> Compacted:
    """Compact the log in a host's folder, as far as it goes; the host must not be running.

    Args:
        folder: the host's.
        cipher: of an encrypted log.
        address: of the archive; empty: in the folder.
        kept: how long the archive keeps segments; None: for good.

    Raises: ConfigInvalid, if there is no log; LogBusy, while the host runs; LogFailed.
    """
    if not (folder / "log").is_dir():
        raise ConfigInvalid(f"{folder} holds no log. Nothing was changed. Name a host's folder, as in run/host-1.")
    keys = HostKeys.load(folder / "host.key") if (folder / "host.key").exists() else None

    async def work() -> Compacted:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Compacted | LogFailed] = loop.create_future()

        def failed(error: LogFailed) -> None:
            if not done.done():
                done.set_result(error)

        store = SegmentStore(folder, loop, failed, keys=keys, cipher=cipher, archive=address, kept=kept)
        try:
            store.compact(1.0, done.set_result)
            outcome = await done
        finally:
            store.close()
        if isinstance(outcome, LogFailed):
            raise outcome
        return outcome

    return asyncio.run(work())
