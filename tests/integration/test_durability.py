"""Damaged and lost logs of hosts that have backups: mended, succeeded, or refused by name; nothing is lost silently."""

import asyncio
import errno
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from peer import AgentSpec, errors
from peer.host.checkpoints import LOG
from peer.host.host import Host
from peer.keys import HostKeys
from peer.store import writing
from peer.store.reading import verify
from peer.store.segments import SegmentStore
from peer.store.writing import Run, Writer
from protocol.records import CutRecord
from protocol.step import StepRecord
from protocol.wire import decode_record
from tests.counting import NAMES, Counter, filled, host_of, places, restarted, started, sums, told
from tests.damage import damage_record, file_of, lose_end


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.replication.inquiry.WAIT_S", 1.5)
    monkeypatch.setattr("peer.replication.inquiry.AGAIN_S", 0.05)


@pytest.mark.parametrize("which", ["middle", "anchor", "tail"])
@pytest.mark.parametrize("size", [16 << 20, 4000])
async def test_a_damaged_record_is_mended_from_the_backups_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str, size: int
) -> None:
    monkeypatch.setattr(writing, "SEGMENT_BYTES", size)
    async with started(tmp_path, checkpoints_kept=1) as cluster:
        await filled(cluster)
        before = await sums(cluster)

        def damage(folder: Path) -> None:
            store = _opened(folder)
            anchor, tail = store.begin_of("b1"), store.length("b1")
            store.close()
            assert anchor > 1
            damage_record(folder, "b1", {"middle": anchor + 1, "anchor": anchor, "tail": tail}[which])

        host = await restarted(cluster, "b1", damage)
        assert {"log-damaged", "log-mended"} <= told(host)
        assert await sums(cluster) == before
        assert (await cluster.status("b1")).undone == 0
        for name in NAMES:
            await cluster.submit(name, 1000)
        await cluster.quiet(pause_s=0.01)
        assert await sums(cluster) == {name: value + 1000 for name, value in before.items()}
        await cluster.checkpoint()
        # What was mended is whole: another life needs nobody.
        host = await restarted(cluster, "b1", lambda _: None)
        assert host.residents.broken == {}
        assert (await sums(cluster))["b1"] == before["b1"] + 1000


def _opened(folder: Path) -> SegmentStore:
    loop = asyncio.new_event_loop()
    loop.close()
    return SegmentStore(folder, loop, keys=HostKeys.load(folder / "host.key"))


async def test_a_log_of_which_nothing_can_be_read_is_taken_from_a_copy_that_begins_at_an_anchor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 4000)
    async with started(tmp_path, checkpoints_kept=1) as cluster:
        await filled(cluster, 4)
        before = await sums(cluster)
        host = host_of(cluster, "b1")
        await _whole(host)

        def damage(folder: Path) -> None:
            store = _opened(folder)
            numbers = range(store.begin_of("b1"), store.length("b1") + 1)
            store.close()
            for file, begin, length in [file_of(folder, "b1", number) for number in numbers]:
                data = bytearray(file.read_bytes())
                data[begin + length // 2] ^= 0x10
                file.write_bytes(data)

        host = await restarted(cluster, "b1", damage)
        assert "log-mended" in told(host)
        assert await sums(cluster) == before
        assert (await cluster.status("b1")).undone == 0


async def test_what_an_agent_does_not_need_any_more_does_not_keep_it_from_coming_back(tmp_path: Path) -> None:
    async with started(tmp_path, durability="local", checkpoints_kept=1) as cluster:
        await filled(cluster)
        before = await sums(cluster)
        host = await restarted(cluster, "b1", lambda folder: damage_record(folder, "b1", 3))
        assert host.residents.broken == {}
        assert "log-damaged" in told(host)
        assert await sums(cluster) == before


async def test_a_backups_damaged_copies_are_sent_again_and_serve(tmp_path: Path) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)
        before = await sums(cluster)
        owned = "b1"
        backup = next(
            spec.name for place in places(cluster) for spec in place.specs
            if any(name.startswith("copy:") and name.endswith("/b1") for name in place.host.store.agents())
        )  # fmt: skip
        copies = [
            name for name in host_of(cluster, backup).store.agents() if name.endswith("/b1") and name[:5] == "copy:"
        ]
        await _whole(host_of(cluster, owned))
        # The last: a copy may begin with a base.
        last = host_of(cluster, backup).store.length(copies[0])
        await restarted(cluster, backup, lambda folder: damage_record(folder, copies[0], last))
        await cluster.checkpoint()
        host = await restarted(cluster, owned, lambda folder: damage_record(folder, owned, last))
        assert host.residents.broken == {}
        assert await sums(cluster) == before


async def test_a_disk_that_fails_while_a_log_is_mended_ends_the_start_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)
        before, host = await sums(cluster), host_of(cluster, "b1")
        await _whole(host)
        number = host.store.length("b1")

        commit = Writer.commit

        def fails(self: Writer, runs: list[Run]) -> None:
            if self._folder.parent.name == "host-2":
                raise OSError(errno.EIO, "the disk has failed")
            commit(self, runs)

        def damage(folder: Path) -> None:
            damage_record(folder, "b1", number)
            # Opening writes nothing of records; mending does.
            monkeypatch.setattr(Writer, "commit", fails)

        with pytest.raises(errors.LogFailed, match="the disk has failed"):
            async with asyncio.timeout(30):
                await restarted(cluster, "b1", damage)
        monkeypatch.setattr(Writer, "commit", commit)
        host = await restarted(cluster, "b1", lambda _: None)
        assert host.residents.broken == {}
        assert await sums(cluster) == before


async def test_what_a_host_says_last_in_its_own_log_comes_to_its_backups_though_nothing_waits_for_it(
    tmp_path: Path,
) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)
        host = host_of(cluster, "b1")
        length = host.store.length(LOG)
        await cluster.checkpoint()
        await _whole(host)
        assert host.store.length(LOG) > length


async def _whole(host: Host) -> None:
    """Wait until a host's backups have all that it has written."""
    copies = host.checkpoints.copies
    for _ in range(200):
        logs = {name: host.store.length(name) for name in copies._logs}
        if all(
            backup.has.get(name, 0) == length for backup in copies._backups.values() for name, length in logs.items()
        ):
            return
        await asyncio.sleep(0.02)
    raise AssertionError([(backup.has, logs) for backup in copies._backups.values()])


async def test_an_end_that_was_lost_is_lost_in_the_next_life_too_if_this_one_ends_before_its_agent_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)
        before = await sums(cluster)
        with monkeypatch.context() as patched:
            patched.setattr("peer.host.host.bring_up", lambda host, spec: host.crash())
            await restarted(cluster, "b1", lambda folder: _lose_the_last_word(folder, "b1"))
        host = await restarted(cluster, "b1", lambda _: None)
        assert "loss" in told(host)
        assert host.drivers["b1"].machine.core.incarnation == 2
        assert await sums(cluster) == before


async def test_a_host_that_has_forgotten_its_own_words_is_refused_in_each_life(tmp_path: Path) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)
        with pytest.raises(errors.LogCorrupt, match="its end is lost"):
            await restarted(cluster, "b1", lambda folder: _lose_the_last_word(folder, LOG))
        for _ in range(2):
            with pytest.raises(errors.LogCorrupt, match="did not start"):
                await restarted(cluster, "b1", lambda _: None)


def _lose_the_last_word(folder: Path, log: str) -> None:
    """Let a log end with a record that no backup has, and damage that one."""

    async def say() -> int:
        store = SegmentStore(folder, asyncio.get_running_loop(), keys=HostKeys.load(folder / "host.key"))
        last = list(store.read(log))[-1]
        await _done(lambda done: store.append(log, [last], done))
        store.close()
        return store.length(log)

    damage_record(folder, log, asyncio.run(say()))


async def test_an_older_state_of_a_folder_is_found_out_and_nothing_is_said_from_it(tmp_path: Path) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)

        def back(folder: Path) -> None:
            asyncio.run(lose_end(folder, "b1", 3))

        host = await restarted(cluster, "b1", back)
        for _ in range(100):
            if not host._open:
                break
            await asyncio.sleep(0.05)
        assert not host._open


async def test_a_clock_that_was_set_back_between_two_lives_takes_no_time_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day_ns = 86_400 * 10**9
    now_ns = time.time_ns
    async with started(tmp_path) as cluster:
        await filled(cluster)
        before = await sums(cluster)
        epoch = (await cluster.epochs()).committed
        monkeypatch.setattr("peer.system.time.time_ns", lambda: now_ns() - 30 * day_ns)
        host = await restarted(cluster, "b1", lambda _: None)
        for name in NAMES:
            await cluster.submit(name, 1000)
        await cluster.quiet(pause_s=0.01)
        assert await cluster.checkpoint() == epoch + 1
        assert await cluster.checkpoint() == epoch + 2
        assert await sums(cluster) == {name: value + 1000 for name, value in before.items()}
        records = [decode_record(data) for data in host.store.read("b1", 1)]
        times = [record.time_us for record in records if isinstance(record, StepRecord | CutRecord)]
        assert times == sorted(set(times))
        assert len(times) > 30
        # It is known as itself, and not taken for a host of long ago.
        assert all(host.host_id in place.host.neighbours.machine.living() for place in places(cluster))
    found = verify(tmp_path / "host-2")
    assert found.findings == ()
    assert found.signed == found.records
    # The whole cluster comes back with clocks that are still wrong.
    async with started(tmp_path) as cluster:
        await cluster.spawn_all([AgentSpec(name, Counter) for name in NAMES])
        for name in NAMES:
            await cluster.submit(name, 1)
        await cluster.quiet(pause_s=0.01)
        assert await cluster.checkpoint() > epoch
        assert await sums(cluster) == {name: value + 1001 for name, value in before.items()}


async def test_a_backup_of_long_ago_gets_what_was_put_away_since_from_the_anchor_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 4000)
    async with started(tmp_path, checkpoints_kept=1) as cluster:
        await filled(cluster)
        host = host_of(cluster, "b1")
        backup = next(
            place.host for place in places(cluster) if place.host.host_id in host.checkpoints.copies.backups()
        )
        copy = f"copy:{host.host_id}/b1"
        anchor = host.store.reads_from("b1")[0]
        assert anchor > 10
        # An old state of the copy (what it follows is in the archive), and an owner that knows nothing of it any more.
        await _done(lambda done: backup.store.begin_at(copy, 9, b"8" * 16, (), done))
        backup.checkpoints.copies.kept._kept[copy] = backup.checkpoints.copies.kept._durable[copy] = 8
        host.checkpoints.copies._chosen_by = (-2, 0)
        host.checkpoints.copies._backups.clear()
        host.checkpoints.copies._logs["b1"].tail.clear()
        await asyncio.to_thread(_forget, host, "b1", anchor)
        for name in NAMES:
            await cluster.submit(name, 1000)
        await cluster.checkpoint()
        await cluster.quiet(pause_s=0.01)
        first, sealed = backup.store.length(copy) - 2, list(backup.store.read(copy))[-3:]
        opener = host.checkpoints._replication.opener
        assert opener.open(host.host_id, "b1", first, sealed) == list(host.store.read("b1"))[-3:]
        assert backup.store.reads_from(copy)[0] >= anchor


def _forget(host: Host, agent: str, anchor: int) -> None:
    """As compacting does, once what stands before the anchor is in segments of their own."""
    log = host.store._index._logs[agent]  # type: ignore[attr-defined]
    keep = [at for at, first in enumerate(log.firsts) if first >= anchor]
    for column in (log.firsts, log.ends, log.places):
        column[:] = type(column)("Q", [column[at] for at in keep])
    log.dropped = True


async def _done(write: Callable[[Callable[[], None]], None]) -> None:
    event = asyncio.Event()
    write(event.set)
    await event.wait()
