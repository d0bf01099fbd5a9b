"""What is missing in one life of a host is missing in the next, whatever was written, or put away, meanwhile."""

import asyncio
import random
import shutil

import pytest

from peer.keys import HostKeys
from peer.store import writing
from peer.store.files import Files
from peer.store.segment import segment_files
from peer.store.segments import SegmentStore
from tests.damage import damage_record

KEYS = HostKeys.from_seed(b"a host with several lives")
AGENTS = ("a", "b", "copy:0011/c")


class Unsynced(Files):
    def sync(self, handle):
        pass

    def sync_folder(self, folder):
        pass


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 5_000)


def opened(folder):
    return SegmentStore(folder, asyncio.get_running_loop(), keys=KEYS, files=Unsynced())


async def put(store, agent, *records, anchor=False):
    done = asyncio.Event()
    store.append(agent, records, done.set, anchor=anchor)
    await asyncio.wait_for(done.wait(), 20)


async def compacted(store):
    outcome = asyncio.get_running_loop().create_future()
    store._on_failure = outcome.set_result
    store.compact(1.0, outcome.set_result)
    return await asyncio.wait_for(outcome, 20)


async def written(folder):
    """Write logs: some with anchors, one that ends early."""
    rng, store = random.Random(1), opened(folder)
    await put(store, "early", b"all that it ever says")
    for number in range(30):
        for agent in AGENTS:
            await put(store, agent, rng.randbytes(300), anchor=agent == "a" and number == 12)
        if number == 20:
            await put(store, "late", rng.randbytes(300))
    # Whatever stands in the last segment, everybody has something there.
    for agent in AGENTS:
        await put(store, agent, b"the last word")
    store.close()
    return [*AGENTS, "early", "late"]


def hurt(folder, rng):
    """Damage, remove or exchange segments."""
    files = segment_files(folder / "log")
    file, other = rng.choice(files), rng.choice(files)
    how = rng.choice(("gone", "bit", "bits", "cut", "exchanged"))
    data = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
    elif how == "cut":
        file.write_bytes(data[: rng.randrange(len(data))])
    elif how == "exchanged":
        file.write_bytes(other.read_bytes())
    else:
        for _ in range(1 if how == "bit" else 40):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(data)
    return f"{file.name} {how}"


def missed(store, agents):
    return {agent: [(each.first, each.end) for each in store.needed(agent)] for agent in agents}


async def test_what_is_missing_in_one_life_is_missing_in_the_next(tmp_path):
    names = await written(tmp_path / "whole")
    for seed in range(150):
        rng, folder = random.Random(seed), tmp_path / "hurt"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", folder)
        what = f"seed {seed}: {hurt(folder, rng)}"
        store = opened(folder)
        before = missed(store, names)
        # Whoever is whole goes on, and segments end.
        for agent in [*(name for name in names if not store.damages(name)), "new"]:
            await put(store, agent, *(rng.randbytes(3000) for _ in range(4)))
        if seed % 2:
            await compacted(store)
            await put(store, "new", b"goes on")
        store.close()
        for _ in range(2):
            store = opened(folder)
            assert missed(store, names) == before, what
            store.close()


async def test_that_the_last_segment_is_gone_is_not_forgotten_when_the_next_one_begins(tmp_path):
    await written(tmp_path)
    segment_files(tmp_path / "log")[-1].unlink()
    for _ in range(3):
        store = opened(tmp_path)
        assert [each.end for each in store.needed("b")] == [None]
        assert any("missing" in finding.what for finding in store.findings)
        store.close()


async def test_a_signature_that_was_made_in_doubt_clears_nobody(tmp_path):
    await written(tmp_path)
    files = segment_files(tmp_path / "log")
    files[-2].unlink()
    store = opened(tmp_path)
    doubted = [agent for agent in [*AGENTS, "early"] if store.damages(agent)]
    assert "early" in doubted
    for seed in range(3):
        await put(store, "new", random.Random(seed).randbytes(9_000))
    assert len(segment_files(tmp_path / "log")) >= len(files) + 1
    store.close()
    store = opened(tmp_path)
    assert [agent for agent in [*AGENTS, "early"] if store.damages(agent)] == doubted
    store.close()


async def test_a_segment_that_is_gone_does_not_stop_the_host_when_it_compacts(tmp_path):
    await written(tmp_path)
    segment_files(tmp_path / "log")[1].unlink()
    store = opened(tmp_path)
    for agent in AGENTS:
        store.begin_at(agent, 40, bytes(16), [b"mended"], lambda: None, anchor=True)
    outcome = await compacted(store)
    assert outcome.archived_segments <= 1
    await put(store, "a", b"goes on")
    store.close()


async def test_another_segment_in_the_place_of_one_is_not_put_away_for_that_one(tmp_path):
    await written(tmp_path)
    files = segment_files(tmp_path / "log")
    files[0].write_bytes(files[3].read_bytes())
    for _ in range(3):
        store = opened(tmp_path)
        assert store.needed("early")
        for agent in AGENTS:
            store.begin_at(agent, 40, bytes(16), [b"mended"], lambda: None, anchor=True)
        await compacted(store)
        assert segment_files(tmp_path / "log")[0] == files[0]
        store.close()


async def test_damaged_batches_that_stand_side_by_side_cast_no_doubt_on_other_logs(tmp_path):
    store = opened(tmp_path)
    await put(store, "other", b"whole")
    for number in range(4):
        await put(store, "a", b"%d" % number)
    store.close()
    for number in (2, 3, 4):
        damage_record(tmp_path, "a", number)
    store = opened(tmp_path)
    assert store.damages("other") == []
    assert [(damage.first, damage.end) for damage in store.damages("a")] == [(2, 2), (3, 3), (4, 4)]
    assert [finding.number for finding in store.findings] == [2, 3, 4]
    store.close()
