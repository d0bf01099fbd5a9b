"""Kills hosts at every write of a recovery, and has them come back: `python -m tests.relapses FOLDER [NAME [STEP]]`.

A cluster of hosts in this process comes back from kept folders; something befalls one host (`SCENARIOS`), and one host,
that one or another, ends at its n-th change of a file as a killed process does: before it or in its middle. It is
started again. Then everything acknowledged has happened, each input and each effect once; or, where a log was lost
with what nobody else had, that was told, and nothing that hung on it is left anywhere.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from peer import errors
from peer.host.checkpoints import LOG
from peer.keys import HostKeys
from peer.store.files import Files
from peer.store.segments import SegmentStore
from protocol.checkpoints.succession import backups_of
from tests.damage import damage_record, file_of
from tests.trial import BOOKS, PATIENCE_S, Mortal, Trial

Hurt = Callable[[Trial], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """What befalls a cluster, and who is killed meanwhile."""

    hurt: Hurt
    """Does it, up to and with the arming."""
    hosts: int = 3
    may_lose: bool = False
    may_refuse: bool = False
    """It may be that nobody can tell what the host had said last: then it does not start."""
    is_fit: Callable[[Trial], bool] = lambda _: True
    options: tuple[tuple[str, Any], ...] = ()


async def base(folder: Path, scenario: Scenario) -> Trial:
    """Make the folders that each trial begins with."""
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        trial = Trial(folder, scenario.hosts, **dict(scenario.options))
        BOOKS[str(folder)] = Counter()
        await trial.begin()
        is_fit = scenario.is_fit(trial)
        if is_fit:
            await trial.fill()
        await trial.end()
        if is_fit:
            return trial


async def attempt(made: Trial, scenario: Scenario, folder: Path, kill: int) -> bool:
    """Have it befall a copy of the folders, with a kill at a change of a file; return whether there was one."""
    shutil.rmtree(folder, ignore_errors=True)
    await asyncio.to_thread(shutil.copytree, made.folder, folder)
    trial = Trial(folder, scenario.hosts, **dict(scenario.options))
    trial.given, trial.number, trial.kill = {name: list(each) for name, each in made.given.items()}, made.number, kill
    BOOKS[str(folder)] = Counter(BOOKS[str(made.folder)])
    await trial.begin()
    try:
        await trial.submit(2)
        await trial.cluster.quiet(pause_s=0.01)
        await scenario.hurt(trial)
        if scenario.may_refuse and trial.refused:
            await trial.judge_refused()
        else:
            await trial.judge(scenario.may_lose)
            assert not trial.refused, trial.refused
        trial.passed = True
        return trial.was_killed
    finally:
        await trial.end()
        for place in trial.places:
            Mortal.doomed.pop(place.folder / "log", None)
        if trial.passed:
            shutil.rmtree(folder, ignore_errors=True)


# -- what befalls ------------------------------------------------------------------------------------------------------


def restarts(damage: Callable[[Path], None], victim: str = "") -> Hurt:
    """Have the host of b1 start again with a damaged log; it is killed, or a backup of it."""

    async def hurt(trial: Trial) -> None:
        place = trial.place_of("b1")
        other = place
        if victim == "backup":
            ids = place.host.checkpoints.copies.backups()
            other = next(each for each in trial.places if each.host.host_id == ids[0])
        await trial.stop(place)
        await asyncio.to_thread(damage, place.folder)
        Mortal.arm(other.folder, trial.kill)
        if other is not place:
            trial.keep_up(other)
        ready = trial.keep_up(place, is_up=False)
        await asyncio.wait_for(ready.wait(), PATIENCE_S)

    return hurt


def opened(folder: Path, work: Callable[[SegmentStore], Any]) -> Any:
    """Open a log, do something with it, and close it."""
    loop = asyncio.new_event_loop()
    store = SegmentStore(folder, loop, keys=HostKeys.load(folder / "host.key"), files=Files())
    try:
        return work(store)
    finally:
        store.close()
        loop.close()


def at(which: str, agent: str = "b1") -> Callable[[Path], None]:
    """Damage one record of a log."""

    def damage(folder: Path) -> None:
        begin, end = opened(folder, lambda store: (store.begin_of(agent), store.length(agent)))
        numbers = {"anchor": [begin], "middle": [begin + 1], "tail": [end], "all": range(begin, end + 1)}[which]
        for file, first, length in {file_of(folder, agent, number) for number in numbers}:
            data = bytearray(file.read_bytes())
            data[first + length // 2] ^= 0x10
            file.write_bytes(data)

    return damage


def copies(folder: Path) -> None:
    """Damage every copy that is kept here, what is known of them, and the shares that open others."""
    for name in opened(folder, lambda store: store.agents()):
        if name.startswith(("copy:", "spec:", "share:")):
            at("tail", name)(folder)


def no_end(folder: Path, agent: str = "b1") -> None:
    """Let a log end with records that no backup has, and damage those."""

    def say(store: SegmentStore) -> int:
        last = list(store.read(agent))[-1]
        store.append(agent, [last], lambda: None)
        return store.length(agent) + 1

    damage_record(folder, agent, opened(folder, say))


def files_of(folder: Path) -> list[Path]:
    """Return the segments of a log."""
    return sorted((folder / "log").glob("*.seg"))


def cut_off(folder: Path) -> None:
    """Cut off the second half of a segment."""
    file = max(files_of(folder), key=lambda each: each.stat().st_size)
    os.truncate(file, 512 + (file.stat().st_size - 512) // 2)


def missing(folder: Path) -> None:
    """Remove a segment from the middle."""
    files = files_of(folder)
    files[len(files) // 2].unlink()


def dies(victim: str, *, for_good: bool = False) -> Hurt:
    """Have a host die with its disk; its successor is killed, or another one: for good, or it comes back."""

    async def hurt(trial: Trial) -> None:
        place, successor, other = bereaved(trial, for_good)
        other = successor if victim == "successor" else other
        await trial.stop(place)
        await asyncio.to_thread(shutil.rmtree, place.folder)
        Mortal.arm(other.folder, trial.kill)
        if for_good:
            trial.lose(other)
        else:
            trial.keep_up(other)
        trial.gone.append(place.host.host_id)

    return hurt


def bereaved(trial: Trial, for_good: bool) -> tuple[Any, Any, Any]:
    """Return a host, its successor to be, and that one's: if need be one that has copies of the first, too."""
    by_id = {place.host.host_id: place for place in trial.places}
    for place in trial.places:
        backups = place.host.checkpoints.machine.succession.backups(place.host.host_id)
        left = [host for host in by_id if host != place.host.host_id]
        last = backups_of(backups[0], left, 1)[0]
        if last in backups or not for_good:
            return place, by_id[backups[0]], by_id[last]
    raise LookupError


def has_line(trial: Trial) -> bool:
    """Tell whether there is a host whose successor's successor has copies of it."""
    try:
        return bool(bereaved(trial, True))
    except LookupError:
        return False


LOCAL = (("durability", "local"), ("replicas", 1))
SCENARIOS = {
    **{f"mend {which}": Scenario(restarts(at(which))) for which in ("anchor", "middle", "tail", "all")},
    "mend own": Scenario(restarts(at("tail", LOG))),
    "mend copies": Scenario(restarts(copies)),
    "mend cut off": Scenario(restarts(cut_off), may_refuse=True),
    "mend missing": Scenario(restarts(missing), may_refuse=True),
    "mend all, backup": Scenario(restarts(at("all"), "backup")),
    "mend missing, backup": Scenario(restarts(missing, "backup"), may_refuse=True),
    "lost end": Scenario(restarts(no_end)),
    "lost end, backup": Scenario(restarts(no_end, "backup")),
    "nothing": Scenario(restarts(lambda _: None)),
    "successor": Scenario(dies("successor")),
    "successor's backup": Scenario(dies("backup")),
    "two, successor": Scenario(
        dies("successor", for_good=True), 5, is_fit=has_line, options=(("durability", "replicated(2)"),)
    ),
    "two, backup": Scenario(
        dies("backup", for_good=True), 5, is_fit=has_line, options=(("durability", "replicated(2)"),)
    ),
    "local successor": Scenario(dies("successor"), may_lose=True, options=LOCAL),
    "local lost end": Scenario(restarts(no_end), may_lose=True, options=LOCAL),
    "local lost end, backup": Scenario(restarts(no_end, "backup"), may_lose=True, options=LOCAL),
}


@contextlib.contextmanager
def mortal() -> Iterator[None]:
    """Have hosts end by `Mortal`, and wait for nobody for long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("peer.store.segments.Files", Mortal)
        patch.setattr("peer.replication.inquiry.WAIT_S", 1.5)
        patch.setattr("peer.replication.inquiry.AGAIN_S", 0.05)
        patch.setattr("peer.host.coming.CATCH_UP_S", 1.0)
        patch.setattr("peer.store.writing.SEGMENT_BYTES", 4000)
        patch.setattr("peer.host.journal.CONDENSE_COMMITS", 3)
        yield


async def sweep(folder: Path, name: str, step: int, together: int = 4) -> tuple[int, list[str]]:
    """Kill at every `step`-th change of a scenario; return how many kills there were, and what was wrong."""
    scenario = SCENARIOS[name]
    made = await base(folder / "base", scenario)
    wrong: list[str] = []
    kills, is_over = iter(range(1, 10_000, step)), False
    count = 0

    async def work() -> None:
        nonlocal count, is_over
        while not is_over:
            kill = next(kills)
            try:
                is_over |= not await attempt(made, scenario, folder / f"{kill}", kill)
            except (AssertionError, TimeoutError, errors.EbbtideError) as error:
                wrong.append(f"{name}, {'half of ' if Mortal.half else ''}{kill}: {error!r}"[:3000])
            count += 1

    await asyncio.gather(*(work() for _ in range(together)))
    return count, wrong


def main(folder: Path, name: str = "", step: int = 1) -> None:
    """Sweep all scenarios whose names begin so."""
    logging.disable(logging.CRITICAL)
    with mortal():
        for each in [each for each in SCENARIOS if each.startswith(name)]:
            for Mortal.half in (False, True):
                count, wrong = asyncio.run(sweep(folder, each, step))
                print(f"{each}{' (halves)' if Mortal.half else ''}: {count} kills", *wrong, sep="\n    ", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3], *map(int, sys.argv[3:]))
