"""The durable store where its process has no descriptor left."""

import asyncio
import errno
import os

from peer.store import segments, writing
from peer.store.files import Files
from peer.store.segments import SegmentStore


class Crowded(Files):
    """A process in which others have taken all descriptors."""

    is_crowded = False

    def create(self, path):
        if self.is_crowded:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().create(path)


async def test_a_process_without_descriptors_waits_as_for_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "ROOM_S", 0.02)
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 10_000)
    told, files, failures, acknowledged = [], Crowded(), [], []
    loop = asyncio.get_running_loop()
    store = SegmentStore(tmp_path, loop, on_stall=told.append, on_failure=failures.append, files=files)
    files.is_crowded = True
    store.append("a", [os.urandom(20_000)], lambda: None)  # the next segment is to begin now
    async with asyncio.timeout(20):
        while not told:
            await asyncio.sleep(0.01)
    assert "Too many open files" in told[0]
    store.append("a", [b"waits"], lambda: acknowledged.append("waits"))
    files.is_crowded = False
    async with asyncio.timeout(20):
        while not acknowledged:
            await asyncio.sleep(0.01)
    assert (acknowledged, told[-1], failures) == (["waits"], "", [])
    assert len(list(store.read("a"))) == 2
    store.close()
