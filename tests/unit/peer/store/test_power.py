"""Power is cut at every write of a recorded workload: what is found is a prefix, never less than was acknowledged.

What a disk keeps of what was not synced yet is anything: nothing, all of it, or some of the writes, cut short or not.
"""

import asyncio
import random
import shutil

import pytest

from peer.keys import HostKeys
from peer.store import writing
from peer.store.codec import Codec
from peer.store.files import Files
from peer.store.folder import Loader
from peer.store.segment import HEADER_BYTES, segment_files
from peer.store.segments import SegmentStore

KEYS = HostKeys.from_seed(b"a host without power")


class Recording(Files):
    """Notes what is done to files, by handles, and by names."""

    def __init__(self):
        self.steps = []
        self.files = {}
        self.acknowledged = []

    def note(self, *step):
        self.steps.append(step)

    def create(self, path):
        handle = super().create(path)
        self.files[handle] = len(self.steps)
        self.note("create", self.files[handle], path.name)
        return handle

    def write(self, handle, data, at):
        super().write(handle, data, at)
        self.note("write", self.files[handle], bytes(data), at)

    def sync(self, handle):
        super().sync(handle)
        self.note("sync", self.files[handle])

    def truncate(self, handle, length):
        super().truncate(handle, length)
        self.note("truncate", self.files[handle], length)

    def replace(self, source, target):
        super().replace(source, target)
        self.note("replace", source.name, target.name)

    def remove(self, path):
        super().remove(path)
        self.note("remove", path.name)

    def sync_folder(self, folder):
        super().sync_folder(folder)
        if folder.name == "log":
            self.note("sync folder")


class Disk:
    """What is on a disk after some of the steps, when the power is cut."""

    def __init__(self, steps, rng, mode):
        self.names, self.kept_names = {}, {}
        self.contents, self.pending = {}, {}
        for step in steps:
            self.apply(*step)
        self.rng, self.mode = rng, mode

    def apply(self, verb, *what):
        if verb == "create":
            self.names[what[1]] = what[0]
            self.contents[what[0]], self.pending[what[0]] = b"", []
        elif verb == "write":
            self.pending[what[0]].append(what[1:])
        elif verb == "truncate":
            self.pending[what[0]].append((None, what[1]))
        elif verb == "sync":
            self.contents[what[0]] = patched(self.contents[what[0]], self.pending[what[0]])
            self.pending[what[0]] = []
        elif verb == "replace":
            self.names[what[1]] = self.names.pop(what[0])
        elif verb == "remove":
            del self.names[what[0]]
        elif verb == "sync folder":
            self.kept_names = dict(self.names)

    def write_to(self, folder):
        names = self.names if self.mode != "none" and self.rng.random() < 0.7 else self.kept_names
        for name, file in names.items():
            pending = self.pending[file]
            if self.mode == "none":
                pending = []
            elif self.mode == "some":
                pending = [torn(write, self.rng) for write in pending if self.rng.random() < 0.6]
            (folder / name).write_bytes(patched(self.contents[file], pending))


def torn(write, rng):
    data, at = write
    if at < HEADER_BYTES:
        return write  # marks are within one sector, which a disk writes whole or not at all
    return (data[: rng.randint(1, len(data))], at) if data is not None and rng.random() < 0.5 else write


def patched(content, writes):
    data = bytearray(content)
    for written, at in writes:
        if written is None:
            del data[at:]
        else:
            data += bytes(max(0, at - len(data)))
            data[at : at + len(written)] = written
    return bytes(data)


async def workload(folder):
    """Return the logs, and the recorder with how much of each was acknowledged after so many steps."""
    rng, files = random.Random(3), Recording()
    store = SegmentStore(folder, asyncio.get_running_loop(), keys=KEYS, files=files)
    logs, done = {}, asyncio.Event()
    for number in range(40):
        for agent in ("a", "b", "c")[: 1 + number % 3]:
            record = rng.randbytes(5_000) if number % 11 == 3 else b"%s %d" % (agent.encode(), number)
            logs.setdefault(agent, []).append(record)
            store.append(agent, [record], done.set, anchor=number % 13 == 12)
        await done.wait()
        done.clear()
        files.acknowledged.append((len(files.steps), {agent: len(log) for agent, log in logs.items()}))
    store.close()
    return logs, files


@pytest.mark.parametrize("mode", ["none", "all", "some"])
async def test_power_cut_at_every_write_leaves_a_prefix_and_all_that_was_acknowledged(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 6_000)
    logs, recorded = await workload(tmp_path / "recorded")
    assert sum(step[0] == "replace" for step in recorded.steps) >= 3
    for cut in range(len(recorded.steps) + 1):
        folder = tmp_path / "cut"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "log").mkdir(parents=True)
        rng = random.Random(cut)
        Disk(recorded.steps[:cut], rng, mode).write_to(folder / "log")
        kept = max((count for count in recorded.acknowledged if count[0] <= cut), default=(0, {}), key=lambda c: c[0])[
            1
        ]
        await check(folder, logs, kept, f"{mode}, cut after {cut} steps: {recorded.steps[cut - 1][0]}")


async def check(folder, logs, kept, what):
    left = Loader(Codec(None)).load(segment_files(folder / "log"))
    assert left.appended == [], what
    store = SegmentStore(folder, asyncio.get_running_loop(), keys=KEYS, files=Unsynced())
    assert store.findings == [], what
    for agent, log in logs.items():
        count = store.length(agent)
        assert kept.get(agent, 0) <= count <= len(log), what
        assert list(store.read(agent, 1)) == log[:count], what
        done = asyncio.Event()
        store.append(agent, [b"goes on"], done.set)
        await done.wait()
        assert list(store.read(agent, 1)) == [*log[:count], b"goes on"], what
    store.close()


class Unsynced(Files):
    def sync(self, handle):
        pass

    def sync_folder(self, folder):
        pass
