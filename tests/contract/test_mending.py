"""What every log store promises in which damage is found and mended: the durable one, and the simulator's."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from peer.chain import FIRST_HASH, chained
from peer.errors import LogCorrupt
from peer.keys import HostKeys
from peer.ports import Mendable
from peer.store.memory import MemoryStore
from peer.store.segments import SegmentStore
from sims.virtual.disk import Disk, VirtualStore
from tests.damage import damage_record

RECORDS = [b"record %d" % number for number in range(1, 7)]


class Place:
    """A log with six records, of which some can be damaged between two lives."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.disk = Disk()
        self.keys = HostKeys.generate()

    def opened(self) -> Mendable:
        loop = asyncio.get_running_loop()
        store = (
            SegmentStore(self.folder, loop, keys=self.keys)
            if self.kind == "segments"
            else VirtualStore(loop, self.disk)
        )
        found = store.mendable()
        assert found is not None
        return found

    def damage(self, number: int) -> None:
        if self.kind == "segments":
            damage_record(self.folder, "a", number)
        else:
            self.disk.rot("a", number, number)


@pytest.fixture(params=["segments", "virtual"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    place = Place(request.param, tmp_path)
    store = place.opened()
    for record in RECORDS:
        await written(lambda done, record=record: store.append("a", (record,), done))
    store.close()
    await asyncio.sleep(0)
    return place


async def written(write: Callable[[Callable[[], None]], None]) -> None:
    durable = asyncio.Event()
    write(durable.set)
    await asyncio.wait_for(durable.wait(), 20)


async def test_a_whole_log_has_no_damage(place: Place) -> None:
    store = place.opened()
    assert list(store.findings) == []
    assert store.torn == 0
    assert (store.damages("a"), store.needed("a"), store.failure()) == ([], [], None)
    assert store.begin_of("a") == 1
    assert store.tail("a") == (6, chained(FIRST_HASH, "a", 1, RECORDS))
    store.close()


async def test_a_damaged_record_in_the_middle_is_named_and_nothing_that_hangs_on_it_is_read(place: Place) -> None:
    place.damage(3)
    store = place.opened()
    assert [(finding.agent, finding.number) for finding in store.findings] == [("a", 3)]
    assert [(damage.first, damage.end) for damage in store.damages("a")] == [(3, 3)]
    assert store.needed("a") == store.damages("a")
    assert store.length("a") == 6
    with pytest.raises(LogCorrupt, match="record 3"):
        list(store.read("a", 1))
    with pytest.raises(LogCorrupt):
        store.hash_of("a", 3)
    assert store.prev_of("a", 4) == chained(FIRST_HASH, "a", 1, RECORDS[:3])
    store.close()


async def test_a_record_in_the_middle_is_mended_and_the_next_life_needs_nobody(place: Place) -> None:
    place.damage(3)
    store = place.opened()
    await written(lambda done: store.mend("a", 3, store.hash_of("a", 2), RECORDS[2:3], done))
    assert store.damages("a") == []
    assert list(store.read("a", 1)) == RECORDS
    store.close()
    again = place.opened()
    assert (again.damages("a"), list(again.read("a", 1))) == ([], RECORDS)
    again.close()


async def test_an_end_that_is_damaged_is_mended_too(place: Place) -> None:
    place.damage(6)
    store = place.opened()
    (damage,) = store.damages("a")
    assert damage.first == 6
    assert store.tail("a")[0] == 5
    await written(lambda done: store.mend("a", 6, store.tail("a")[1], RECORDS[5:], done))
    assert (store.damages("a"), list(store.read("a", 1))) == ([], RECORDS)
    store.close()


async def test_an_end_that_nobody_has_is_given_up_and_that_is_as_durable_as_the_rest(place: Place) -> None:
    place.damage(6)
    store = place.opened()
    tail = store.tail("a")
    await written(lambda done: store.begin_at("a", tail[0] + 1, tail[1], (), done, lost=True))
    assert (store.damages("a"), store.is_lost("a")) == ([], True)
    store.close()
    again = place.opened()
    assert (again.damages("a"), again.is_lost("a"), list(again.read("a", 1))) == ([], True, RECORDS[:5])
    again.close()


async def test_a_store_that_keeps_nothing_has_nothing_to_mend() -> None:
    assert MemoryStore(asyncio.get_running_loop()).mendable() is None
