"""The port `Shelves`: what is put on a shelf comes back, on disk and in memory; and what a disk does that fails."""

import errno
import os
from pathlib import Path
from random import Random

import pytest

from peer.ports import Shelves
from peer.store import shelf as on_disk
from peer.store.files import Files
from peer.store.memory import MemoryShelves
from peer.store.shelf import DiskShelves
from protocol.action import Tell


class Moody(Files):
    """A disk that fails when it is told to."""

    def __init__(self) -> None:
        self.writes = self.reads = True
        self.flips = False

    def write(self, handle: int, data: bytes, at: int) -> None:
        if not self.writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(handle, data, at)

    def read(self, handle: int, count: int, at: int) -> bytes:
        if not self.reads:
            raise OSError(errno.EIO, "Input/output error")
        data = super().read(handle, count, at)
        return data[:-1] + bytes([data[-1] ^ 1]) if self.flips else data


class Disk:
    """Shelves on a moody disk, and what people are told of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files, self.told = folder, Moody(), list[Tell]()
        self.shelves = DiskShelves(folder, self.told.append, self.files)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture(params=["disk", "memory"])
def shelves(request: pytest.FixtureRequest, disk: Disk) -> Shelves:
    return disk.shelves if request.param == "disk" else MemoryShelves()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_is_put_comes_back_as_often_as_it_is_asked_for(shelves: Shelves) -> None:
    shelf, rng = shelves.of("a"), Random(1)
    data = [rng.randbytes(size) for size in (0, 1, 1000, 1003, 1004, 1005, 5000, 300_000)]
    places = [shelf.put(each) for each in data]
    assert len(set(places)) == len(data)
    assert min(places) >= 0
    for _ in range(2):
        assert [shelf.get(place) for place in reversed(places)] == data[::-1]


def test_what_is_dropped_makes_no_difference_to_the_rest(shelves: Shelves) -> None:
    shelf, rng, there = shelves.of("a"), Random(2), dict[int, bytes]()
    for number in range(2000):
        if there and rng.random() < 0.5:
            place = rng.choice(list(there))
            assert shelf.get(place) == there.pop(place)
            shelf.drop(place)
        else:
            data = b"%d" % number
            there[shelf.put(data)] = data
    assert {place: shelf.get(place) for place in there} == there


def test_each_agent_has_a_shelf_of_its_own_which_begins_anew_with_its_life(shelves: Shelves) -> None:
    mine, other = shelves.of("a"), shelves.of("b")
    places = mine.put(b"mine"), other.put(b"other")
    again = shelves.of("a")
    place = again.put(b"again")
    shelves.end("a")
    assert other.get(places[1]) == b"other"
    again = shelves.of("a")
    place = again.put(b"anew")
    assert again.get(place) == b"anew"


def test_nothing_stands_in_the_folder_and_files_go_with_what_is_in_them(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_disk, "PART_BYTES", 10_000)
    before, shelf, other = open_files(), disk.shelves.of("a"), disk.shelves.of("b")
    places = [shelf.put(b"x" * 1000) for _ in range(100)]
    kept = other.put(b"kept")
    assert list(disk.folder.iterdir()) == []
    assert before + 5 < open_files() <= before + 25, "larger files follow, so there are few"
    for place in places[:50]:
        shelf.drop(place)
    assert [shelf.get(place) for place in places[50:]] == [b"x" * 1000] * 50
    disk.shelves.end("a")
    assert open_files() == before + 1
    assert other.get(kept) == b"kept"
    other.drop(kept)
    assert open_files() == before


def test_what_is_on_the_disk_is_readable_to_nobody_else(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(disk.files, "write", lambda handle, data, at: written.append(data))
    disk.shelves.of("a").put(b"secret" * 100)
    assert written
    assert b"secret" not in written[0]


def test_what_a_full_disk_does_not_take_stays_in_memory_and_people_are_told_once(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_disk, "AGAIN", 3)
    shelf, before = disk.shelves.of("a"), open_files()
    disk.files.writes = False
    places = [shelf.put(b"%d" % number) for number in range(10)]
    assert [tell.notice for tell in disk.told] == ["shelf-failed"]
    assert "No space left" in disk.told[0].detail
    assert open_files() == before
    disk.files.writes = True
    places += [shelf.put(b"%d" % number) for number in range(10, 20)]
    assert [tell.notice for tell in disk.told] == ["shelf-failed", "shelf-works"]
    assert [shelf.get(place) for place in places] == [b"%d" % number for number in range(20)]
    for place in places:
        shelf.drop(place)
    assert open_files() == before


def test_without_a_file_everything_stays_in_memory(tmp_path: Path) -> None:
    told: list[Tell] = []
    shelf = DiskShelves(tmp_path / "gone", told.append).of("a")
    assert shelf.get(shelf.put(b"x")) == b"x"
    assert [tell.notice for tell in told] == ["shelf-failed"]


@pytest.mark.parametrize("trouble", ["reads", "flips"])
def test_what_the_disk_does_not_give_back_as_it_was_is_asked_for_again(disk: Disk, trouble: str) -> None:
    shelf = disk.shelves.of("a")
    place = shelf.put(b"x" * 2000)
    setattr(disk.files, trouble, trouble == "flips")
    assert [shelf.get(place), shelf.get(place)] == [None, None]
    assert [tell.notice for tell in disk.told] == ["shelf-failed"]
    setattr(disk.files, trouble, trouble != "flips")
    assert shelf.get(place) == b"x" * 2000
