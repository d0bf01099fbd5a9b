"""Whatever is done to a store, in whatever order, with crashes in between: it is what lists in a dict would be."""

import asyncio
import shutil
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peer.chain import FIRST_HASH
from peer.errors import LogFailed
from peer.keys import HostKeys
from peer.store import writing
from peer.store.files import Files
from peer.store.segments import SegmentStore

KEYS = HostKeys.from_seed(b"a host and its model")
AGENTS = ("a", "b", "copy:1/c")


class Dying(Files):
    """Does nothing more after so many changes, as a killed process does; a write may be cut short."""

    def __init__(self, left=1 << 60):
        self.left = left

    def _step(self):
        self.left -= 1
        if self.left < 0:
            raise OSError("killed")

    def create(self, path):
        self._step()
        return super().create(path)

    def write(self, handle, data, at):
        if self.left == 0 and at >= 256:
            super().write(handle, data[: len(data) // 2], at)
        self._step()
        super().write(handle, data, at)

    def sync(self, handle):
        self._step()

    def truncate(self, handle, length):
        self._step()
        super().truncate(handle, length)

    def replace(self, source, target):
        self._step()
        super().replace(source, target)

    def remove(self, path):
        self._step()
        super().remove(path)

    def sync_folder(self, folder):
        self._step()


agents, sizes = st.sampled_from(AGENTS), st.sampled_from((0, 10, 300, 6_000))
steps = st.one_of(
    st.tuples(st.just("append"), agents, sizes, st.booleans()),
    st.tuples(st.just("append"), agents, sizes, st.booleans()),
    st.tuples(st.just("jump"), agents, st.integers(0, 5)),
    st.tuples(st.just("cut"), agents, st.integers(1, 3)),
    st.tuples(st.just("mend"), agents),
    st.tuples(st.just("compact"), st.sampled_from((0.25, 1.0))),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("die"), st.integers(0, 12)),
)


class Model:
    """By agent: the records by number, the anchor, and the hash before it."""

    def __init__(self):
        self.logs = {agent: {} for agent in AGENTS}
        self.anchors = dict.fromkeys(AGENTS, 1)
        self.count = 0

    def length(self, agent):
        return max(self.logs[agent], default=0)

    def wanted(self, agent):
        return [record for number, record in sorted(self.logs[agent].items()) if number >= self.anchors[agent]]

    def record(self, size):
        self.count += 1
        return (b"%d," % self.count * (size + 1))[: max(size, 8)] if size else b""


async def play(folder, script):
    model, loop = Model(), asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    files = Dying()
    store = SegmentStore(folder, loop, keys=KEYS, files=files)
    try:
        for step in script:
            files, store, model = await one(folder, files, store, model, step)
            look(store, model, step)
    finally:
        store.close()


async def one(folder, files, store, model, step):
    loop = asyncio.get_running_loop()
    match step:
        case ("append", agent, size, anchor):
            # One in the reach of the last anchor is never cut.
            record = model.record(size)
            await wait(store, lambda told: store.append(agent, [record], told, anchor))
            model.logs[agent][model.length(agent) + 1] = record
            if anchor:
                model.anchors[agent] = model.length(agent)
        case ("jump", agent, gap):
            record, first = model.record(10), model.length(agent) + 1 + gap
            prev = store.tail(agent)[1] if not gap else b"j" * 16
            await wait(store, lambda told: store.begin_at(agent, first, prev, [record], told))
            model.logs[agent][first] = record
            if gap:
                model.anchors[agent] = first
        case ("cut", agent, count):
            first = model.length(agent) - count + 1
            if first > model.anchors[agent]:
                prev = store.hash_of(agent, first - 1)
                await wait(store, lambda told: store.begin_at(agent, first, prev, (), told))
                model.logs[agent] = {number: each for number, each in model.logs[agent].items() if number < first}
        case ("mend", agent):
            first = model.anchors[agent]
            if model.logs[agent]:
                prev = store.reads_from(agent)[1] if first > 1 else FIRST_HASH
                records = model.wanted(agent)
                await wait(store, lambda told: store.mend(agent, first, prev, records, told, anchor=first > 1))
        case ("compact", share):
            outcome = loop.create_future()
            store.compact(share, outcome.set_result)
            # The loop reads while the writer's thread moves what it reads.
            while not outcome.done():
                look(store, model, step)
                await asyncio.sleep(0)
        case ("reopen",):
            store.close()
            files = Dying()
            store = SegmentStore(folder, loop, keys=KEYS, files=files)
            assert store.findings == []
        case ("die", left):
            files.left = left
            maybe = {agent: [model.record(10) for _ in range(3)] for agent in AGENTS}
            for at in range(3):
                for agent in AGENTS:
                    try:
                        store.append(agent, [maybe[agent][at]], lambda: None)
                    except LogFailed:
                        break
                store.compact(1.0)
                await asyncio.sleep(0.001)
            store.close()
            files = Dying()
            store = SegmentStore(folder, loop, keys=KEYS, files=files)
            assert store.findings == []
            for agent in AGENTS:
                more = store.length(agent) - model.length(agent)
                assert 0 <= more <= 3
                for record in maybe[agent][:more]:
                    model.logs[agent][model.length(agent) + 1] = record
    return files, store, model


async def wait(store, write):
    done = asyncio.Event()
    write(done.set)
    await asyncio.wait_for(done.wait(), 20)


def look(store, model, step):
    for agent in AGENTS:
        assert store.length(agent) == model.length(agent), step
        assert list(store.read(agent)) == model.wanted(agent), (step, agent)
        assert store.needed(agent) == [], step


@pytest.mark.filterwarnings("ignore")
@settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(st.lists(steps, max_size=25))
def test_a_store_is_lists_in_a_dict(script):
    before, writing.SEGMENT_BYTES = writing.SEGMENT_BYTES, 2_000
    folder = Path(mkdtemp(prefix="ebbtide-model-"))
    try:
        asyncio.run(play(folder, script))
    finally:
        writing.SEGMENT_BYTES = before
        shutil.rmtree(folder)
