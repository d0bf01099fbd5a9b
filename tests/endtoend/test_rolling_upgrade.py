"""Hosts of the last release and of this one in one cluster, over real sockets, replaced one by one while agents work.

The last release is a wheel in tests/data/last_release; its hosts borrow this environment's libraries and nothing else.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import msgspec
import pytest

from peer import AgentSpec, Cluster, LogCorrupt
from peer.backends.roll import Roll
from peer.cluster.attached import Attached
from peer.doctor.hosts import check_wire, seen_of
from protocol.ids import StepId
from protocol.since import OLDEST, VERSION
from protocol.wire import Frame, Piece, encode_frame
from tests import last_release
from tests.endtoend.upgrade.station import RING, Station

HERE = Path(__file__).parent / "upgrade"
EBBTIDE = Path(sys.executable).with_name("ebbtide")
HOSTS = {"host-1": "a", "host-2": "b", "host-3": "c"}
"""Who lives where."""


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the last release is."""
    return last_release.unpacked(tmp_path_factory.mktemp("last-release"))


class Yard:
    """A cluster's folder, and its hosts, each a process of one release or the other."""

    def __init__(self, folder: Path, old: Path, successor_s: float) -> None:
        self.folder = folder / "run"
        self.books = folder / "books"
        self.books.touch()
        self.speaks: dict[str, int] = {}
        self._said = folder / "said"
        self._old = old
        self._successor_s = successor_s
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self.folder.mkdir()
        Roll(self.folder).seated([AgentSpec(agent, Station) for agent in HOSTS.values()], 1, [])

    async def start(self, name: str, *, is_old: bool = False, newer: str = "") -> None:
        """Start a host, and wait until it is up.

        Args:
            name: which one.
            is_old: of the last release.
            newer: a kind of record that this release writes as if it had come with it.
        """
        path = os.pathsep.join(map(str, (self._old if is_old else last_release.ROOT, HERE)))
        env = {**os.environ, "PYTHONPATH": path, "BOOKS": str(self.books), "SUCCESSOR_S": str(self._successor_s)}
        env["NEWER"] = newer
        with self._said.open("ab") as said:
            process = self._processes[name] = await asyncio.create_subprocess_exec(
                sys.executable, HERE / "one_host.py", self.folder, name, HOSTS[name],
                stdout=subprocess.PIPE, stderr=said, env=env,
            )  # fmt: skip
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        assert line, self.said()
        self.speaks[name] = int(line)
        assert self.speaks[name] == (OLDEST if is_old else VERSION)

    async def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End a host."""
        process = self._processes.pop(name)
        process.send_signal(how)
        await process.wait()

    async def end_all(self) -> None:
        """End all that are up."""
        for name in list(self._processes):
            await self.end(name)

    def said(self) -> str:
        """Return what hosts have written to stderr."""
        return self._said.read_text()

    def paid(self) -> dict[int, int]:
        """Return, of each parcel, how often it is paid for."""
        found: Counter[int] = Counter()
        for line in self.books.read_text().splitlines():
            found[int(line[1:])] += 1 if line[0] == "+" else -1
        return {parcel: balance for parcel, balance in found.items() if balance}


@asynccontextmanager
async def yard_of(folder: Path, old: Path, *, is_old: bool = True, successor_s: float = 60.0) -> AsyncIterator[Yard]:
    """Have three hosts up, of one release; what the logs hold is whole in the end."""
    yard = Yard(folder, old, successor_s)
    try:
        for name in HOSTS:
            await yard.start(name, is_old=is_old)
        yield yard
    finally:
        await yard.end_all()
    verify = [EBBTIDE, "log", "verify", yard.folder]
    done = await asyncio.to_thread(subprocess.run, verify, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in yard.said(), yard.said()


class Work:
    """Parcels that are handed in, and what has to have come of them."""

    def __init__(self, cluster: Attached, yard: Yard) -> None:
        self._cluster = cluster
        self._yard = yard
        self._numbers = count(1)
        self._kept: list[int] = []
        self._ends = False
        self._task: asyncio.Task[None] | None = None

    async def hand_in(self, agent: str) -> StepId:
        """Hand in one parcel that is to stay; return its first step, once it is paid for at the end of its way."""
        parcel, step = await self._handed_in(agent)
        self._kept.append(parcel)
        return step

    async def _handed_in(self, agent: str) -> tuple[int, StepId]:
        parcel = next(self._numbers)
        receipt = await self._cluster.submit(agent, 10 * parcel, key=f"parcel {parcel}")
        (step,) = await receipt.done()
        assert step is not None
        async with asyncio.timeout(60):
            while self._yard.paid().get(parcel) != 1:
                await asyncio.sleep(0.02)
            # It is paid for in the last step, which has to end, too, before it can be undone.
            last = RING[RING[agent]]
            while f"parcel {parcel}" not in await self._cluster.state(last):
                await asyncio.sleep(0.02)
        return parcel, step

    async def take_back(self, agent: str) -> None:
        """Hand in one parcel, and roll it back at all three stations."""
        _, step = await self._handed_in(agent)
        outcome = await self._cluster.rollback(str(step), inputs="discard")
        assert outcome.committed
        assert sorted(each.agent for each in outcome.undone) == sorted(RING)

    async def forget(self, agent: str, epoch: int) -> None:
        """Hand in one parcel, and go back to a checkpoint of before."""
        await self._handed_in(agent)
        assert (await self._cluster.restore(epoch)).epoch == epoch

    def go_on(self) -> None:
        """Hand in one parcel after the other from now on, at each station in turn."""

        async def work() -> None:
            while not self._ends:
                for agent in RING:
                    await self.hand_in(agent)

        self._task = asyncio.create_task(work())

    async def judge(self) -> None:
        """Look whether each parcel was counted and paid for once by everybody, and what was undone by nobody."""
        self._ends = True
        if self._task is not None:
            await self._task
        await self._cluster.quiet()
        counted = {f"parcel {parcel}": 1 for parcel in self._kept}
        assert len(counted) >= len(RING)
        for agent in RING:
            assert await self._cluster.state(agent) == counted, agent
        assert self._yard.paid() == dict.fromkeys(self._kept, 1)


async def judge_versions(cluster: Attached, yard: Yard) -> None:
    """Look whether the doctor names the hosts that are to be replaced still, and whether this peer knows as much."""
    (finding,) = check_wire(await seen_of(cluster), cluster.host.notices)
    older = [name for name, speaks in yard.speaks.items() if speaks == OLDEST]
    assert finding.verdict == ("warn" if older else "ok")
    assert ("the upgrade is not finished" in finding.text) == bool(older)
    assert not older or f"wire version is {OLDEST} at {', '.join(older)}, and {VERSION} elsewhere" in finding.text
    hosts = [fact.host for fact in cluster.host.known_hosts()]
    assert sorted(map(cluster.host.speaks, hosts)) == sorted(yard.speaks.values())


async def test_hosts_are_replaced_one_by_one_while_agents_work_and_nothing_is_lost_or_doubled(
    tmp_path: Path, old: Path
) -> None:
    async with yard_of(tmp_path, old) as yard, Cluster.attach(yard.folder) as cluster:
        work = Work(cluster, yard)
        await work.take_back("a")
        epochs = [await cluster.checkpoint()]
        work.go_on()
        for name, how in zip(HOSTS, (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM), strict=True):
            await yard.end(name, how)
            await yard.start(name)
            for agent in RING:
                await work.take_back(agent)
            epochs.append(await cluster.checkpoint())
            await judge_versions(cluster, yard)
        assert epochs == sorted(set(epochs))
        await work.judge()


async def test_a_host_goes_back_to_the_last_release_as_long_as_its_log_holds_nothing_newer(
    tmp_path: Path, old: Path
) -> None:
    async with yard_of(tmp_path, old) as yard, Cluster.attach(yard.folder) as cluster:
        work = Work(cluster, yard)
        work.go_on()
        for is_old in (False, True):
            await yard.end("host-2", signal.SIGKILL)
            await yard.start("host-2", is_old=is_old)
            await work.take_back("b")
            await cluster.checkpoint()
        await work.judge()


async def test_a_host_that_goes_back_with_a_newer_log_starts_no_agent_from_it_and_damages_nothing(
    tmp_path: Path, old: Path
) -> None:
    async with yard_of(tmp_path, old) as yard, Cluster.attach(yard.folder) as cluster:
        work = Work(cluster, yard)
        await yard.end("host-2")
        await yard.start("host-2", newer="StepRecord")
        for agent in RING:
            await work.take_back(agent)
            await work.hand_in(agent)
        await yard.end("host-2")
        await yard.start("host-2", is_old=True)
        with pytest.raises(LogCorrupt, match=f"log version {VERSION:02x}; this \\w+ reads .*{OLDEST:02x}"):
            await cluster.state("b")
        await yard.end("host-2")
        await yard.start("host-2", newer="StepRecord")
        await work.take_back("b")
        await work.judge()


async def test_a_cluster_of_both_releases_goes_back_to_a_checkpoint(tmp_path: Path, old: Path) -> None:
    async with yard_of(tmp_path, old) as yard, Cluster.attach(yard.folder) as cluster:
        await yard.end("host-3")
        await yard.start("host-3")
        work = Work(cluster, yard)
        for agent in RING:
            await work.hand_in(agent)
        await cluster.quiet()
        epoch = await cluster.checkpoint()
        asked = await asyncio.to_thread(of_the_last_release, old, ATTACHES, str(yard.folder).encode())
        assert asked == [f"{epoch} 3 3 3"]
        await work.forget("a", epoch)
        await work.take_back("c")
        await work.judge()


@pytest.mark.parametrize("is_old", [False, True], ids=["of-this-release", "of-the-last-release"])
async def test_a_host_that_is_dead_for_good_is_succeeded_by_one_of_the_other_release(
    tmp_path: Path, old: Path, is_old: bool
) -> None:
    async with (
        yard_of(tmp_path, old, is_old=not is_old, successor_s=1.0) as yard,
        Cluster.attach(yard.folder) as cluster,
    ):
        await yard.end("host-2")
        await yard.start("host-2", is_old=is_old)
        work = Work(cluster, yard)
        # A host counts towards a succession by the views of the last two checkpoints, and may join after the first.
        while len((await cluster.epochs()).view) < len(HOSTS):
            await cluster.checkpoint()
        await cluster.checkpoint()
        await work.take_back("b")
        for agent in RING:
            await work.hand_in(agent)
        dead = cluster.host.homes["b"]
        await yard.end("host-2", signal.SIGKILL)
        async with asyncio.timeout(60):
            while cluster.host.homes["b"] == dead:
                await asyncio.sleep(0.05)
        for agent in RING:
            await work.take_back(agent)
        await work.judge()


ATTACHES = """
import asyncio
from ebbtide import Cluster

async def look():
    async with Cluster.attach(bytes.fromhex(input()).decode()) as cluster:
        await cluster.quiet()
        states = [len(await cluster.state(agent)) for agent in ("a", "b", "c")]
        print((await cluster.epochs()).committed, *states)

asyncio.run(look())
"""
"""A program of the last release that asks hosts of both."""


def of_the_last_release(old: Path, program: str, *lines: bytes) -> list[str]:
    """Run a program on the last release, with these lines, in hex, as its input; return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], input="\n".join(line.hex() for line in lines), text=True,
        env={**os.environ, "PYTHONPATH": str(old)}, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_the_last_release_passes_over_what_a_frame_says_of_its_sender_and_refuses_a_newer_one(old: Path) -> None:
    program = """
import sys
from protocol.errors import WireInvalid
from protocol.wire import VERSION, decode_frame
for line in sys.stdin:
    try:
        frame = decode_frame(bytes.fromhex(line))
    except WireInvalid as error:
        print(error)
    else:
        print(VERSION, frame.epoch, len(frame.piece.data), hasattr(frame, "speaks"))
"""
    frame = Frame(epoch=7, piece=Piece(1, 0, 1, b"data"), speaks=VERSION)
    read, refused = of_the_last_release(old, program, encode_frame(frame, OLDEST), encode_frame(frame, VERSION))
    assert read == f"{OLDEST} 7 4 False"
    assert refused.startswith("wire version ")


def test_the_last_release_refuses_a_record_that_is_newer_than_it(old: Path) -> None:
    program = """
import sys
from protocol.errors import WireInvalid
from protocol.wire import decode_record
for line in sys.stdin:
    try:
        decode_record(bytes.fromhex(line))
    except WireInvalid as error:
        print(error)
"""
    (refused,) = of_the_last_release(old, program, bytes((VERSION,)) + msgspec.msgpack.encode({"type": "NewRecord"}))
    assert refused.startswith(f"log version {VERSION:02x}; this ")


def test_the_wheel_of_the_last_release_is_small_and_is_one_release_behind() -> None:
    assert last_release.wheel().stat().st_size <= last_release.BYTES_MAX
    assert OLDEST == VERSION - 1
