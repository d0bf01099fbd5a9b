"""A cluster in this process whose hosts can be killed at a change of a file, and what has to be so afterwards."""

import asyncio
import contextlib
import errno
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from peer import Agent, AgentSpec, Call, Cluster, Context, Happened, NotHappened, errors, handles, tool
from peer.store.files import Files

NAMES = ("a1", "a2", "b1", "b2", "c1", "c2", "d1", "d2", "e1", "e2")
PATIENCE_S = 40.0
"""How long anything is waited for: far longer than it takes."""


class Mortal(Files):
    """Ends at a change of a file, as a killed process does: nothing of its host is written any more."""

    doomed: ClassVar[dict[Path, int]] = {}
    """By folder of logs, how many changes are left; those that are not there live on."""
    dead: ClassVar[set[Path]] = set()
    half: ClassVar[bool] = False

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.is_dead = False

    @classmethod
    def arm(cls, folder: Path, left: int) -> None:
        """Have the host with a folder end at its change of this number from now on."""
        cls.dead.discard(folder / "log")
        cls.doomed[folder / "log"] = left

    @classmethod
    def is_over(cls, folder: Path) -> bool:
        """Tell whether that has happened."""
        return folder / "log" in cls.dead

    def _step(self, *, may: bool = True) -> bool:
        """Count a change; return whether half of it is to happen yet."""
        if not self.is_dead and self.folder in self.doomed:
            self.doomed[self.folder] -= 1
            if self.doomed[self.folder] <= 0:
                del self.doomed[self.folder]
                self.dead.add(self.folder)
                self.is_dead = True
                if self.half and may:
                    return True
        if self.is_dead:
            self._end()
        return False

    def _end(self) -> None:
        raise OSError(errno.EIO, "the process has been killed")

    def create(self, path: Path) -> int:
        """Create, or not."""
        self.folder = self.folder or path.parent
        self._step(may=False)
        return super().create(path)

    def open(self, path: Path) -> int:
        """Open."""
        self.folder = self.folder or path.parent
        self._step(may=False)
        return super().open(path)

    def write(self, handle: int, data: bytes, at: int) -> None:
        """Write, or a part of it."""
        if self._step():
            super().write(handle, data[: len(data) // 2], at)
            self._end()
        super().write(handle, data, at)

    def sync(self, handle: int) -> None:
        """What is written stays, here: only the process ends."""
        self._step(may=False)

    def truncate(self, handle: int, length: int) -> None:
        """Cut off, or not."""
        self._step(may=False)
        super().truncate(handle, length)

    def replace(self, source: Path, target: Path) -> None:
        """Give a name, or not."""
        self._step(may=False)
        super().replace(source, target)

    def remove(self, path: Path) -> None:
        """Remove, or not."""
        self._step(may=False)
        super().remove(path)

    def sync_folder(self, folder: Path) -> None:
        """As `sync`."""
        self._step(may=False)


BOOKS: dict[str, Counter[tuple[int, str]]] = {}
"""By folder, what has been paid: amounts, each with its intents."""


def _book(call: Call) -> tuple[Counter[tuple[int, str]], tuple[int, str]]:
    amount, book = call.args
    return BOOKS[book], (amount, call.intent)


def unpay(call: Call) -> None:
    """Undo `pay`."""
    book, name = _book(call)
    book[name] -= 1


def paid(call: Call) -> object:
    """Look into the books."""
    book, name = _book(call)
    return Happened(None) if book[name] > 0 else NotHappened()


@tool(undo=unpay, check=paid)
def pay(amount: int, book: str, *, intent: str) -> None:
    """Pay."""
    BOOKS[book][amount, intent] += 1


class Worker(Agent):
    """Notes its inputs, and has its partner pay for each."""

    def __init__(self, book: str, partner: str) -> None:
        self.book, self.partner = book, partner

    @handles(int)
    async def take(self, number: int, ctx: Context) -> None:
        """Note, and pass on."""
        self.state["in"] = [*self.state.get("in", []), number]
        ctx.send(self.partner, f"{number}")

    @handles(str)
    async def settle(self, number: str, ctx: Context) -> None:
        """Pay."""
        await ctx.call(pay, int(number), self.book)
        self.state["paid"] = [*self.state.get("paid", []), int(number)]


class Trial:
    """One cluster that something befalls."""

    def __init__(self, folder: Path, hosts: int, **options: Any) -> None:
        self.folder, self.names, self.options = folder, NAMES[: 2 * hosts], options
        self.given: dict[str, list[int]] = {name: [] for name in self.names}
        """By agent, the inputs that were acknowledged."""
        self.number = 0
        self.keepers: list[asyncio.Task[None]] = []
        self.gone: list[str] = []
        """Hosts that are dead for good."""
        self.refused: list[str] = []
        self.kill = 0
        self.was_killed = self.passed = False

    @property
    def places(self) -> list[Any]:
        """The hosts and their folders."""
        return self.cluster._backend._places  # type: ignore[attr-defined]

    def place_of(self, agent: str) -> Any:
        """Return where an agent was launched."""
        return next(place for place in self.places if any(spec.name == agent for spec in place.specs))

    async def begin(self) -> Cluster:
        """Bring a cluster up."""
        options = {"durability": "replicated(1)", "successor_s": 0.2, "checkpoints_kept": 1, **self.options}
        self.cluster = Cluster("local", folder=self.folder, agents_per_actor=2, **options)
        await self.cluster.__aenter__()
        partners = {name: self.names[(at + 2) % len(self.names)] for at, name in enumerate(self.names)}
        self.partners = partners
        await self.cluster.spawn_all(
            [AgentSpec(name, Worker, {"book": str(self.folder), "partner": partners[name]}) for name in self.names]
        )
        return self.cluster

    async def end(self) -> None:
        """End it."""
        for task in self.keepers:
            task.cancel()
        await asyncio.gather(*self.keepers, return_exceptions=True)
        await self.cluster.__aexit__(None, None, None)

    async def submit(self, count: int = 1) -> None:
        """Hand each agent inputs."""

        async def hand(name: str, numbers: list[int]) -> None:
            await self.cluster.submit(name, *numbers)
            self.given[name].extend(numbers)

        given = [[self.number + at * count + each for each in range(count)] for at in range(len(self.names))]
        self.number += count * len(self.names)
        await asyncio.gather(*map(hand, self.names, given))

    async def fill(self) -> None:
        """Work for a while, checkpoints in between."""
        for _ in range(3):
            await self.submit(3)
            await self.cluster.quiet(pause_s=0.01)
            await self.cluster.checkpoint()
        await self.submit(2)
        await self.cluster.quiet(pause_s=0.01)

    async def stop(self, place: Any) -> None:
        """End a host as a killed process."""
        place.host.crash()
        await place.host.close()

    def keep_up(self, place: Any, is_up: bool = True) -> asyncio.Event:
        """Start a host whenever it has ended by `Mortal`; return what is set once it is up."""
        ready = asyncio.Event()
        self.keepers.append(asyncio.create_task(self._keep(place, is_up, ready)))
        return ready

    def lose(self, place: Any) -> None:
        """Let a host's disk go with it when it ends by `Mortal`."""
        self.keepers.append(asyncio.create_task(self._lose(place)))

    async def _lose(self, place: Any) -> None:
        while not Mortal.is_over(place.folder):
            await asyncio.sleep(0.005)
        self.was_killed = True
        await self.stop(place)
        await asyncio.to_thread(shutil.rmtree, place.folder)
        self.gone.append(place.host.host_id)

    async def _keep(self, place: Any, is_up: bool, ready: asyncio.Event) -> None:
        while True:
            if not is_up:
                Mortal.dead.discard(place.folder / "log")
                up = asyncio.create_task(self.cluster._backend._bring_up(place))  # type: ignore[attr-defined]
                while not up.done() and not Mortal.is_over(place.folder):
                    await asyncio.sleep(0.005)
                up.cancel()
                why = (await asyncio.gather(up, return_exceptions=True))[0]
                if why is not None and not Mortal.is_over(place.folder):
                    self.refused.append(str(why))
            ready.set()
            while not Mortal.is_over(place.folder):
                await asyncio.sleep(0.005)
            self.was_killed, is_up = True, False
            await self.stop(place)

    async def until(self, what: Callable[[], Any], why: Callable[[], Any]) -> None:
        """Wait for a condition."""
        for _ in range(int(PATIENCE_S / 0.02)):
            if what():
                return
            for place in self.places:
                for host in self.gone if place.host._open else ():
                    with contextlib.suppress(errors.LogFailed):
                        place.host.checkpoints.turned(host, "failed")
            await asyncio.sleep(0.02)
        raise AssertionError(f"in vain: {why()}")

    def homes(self) -> dict[str, list[str]]:
        """By agent, the hosts that it runs on."""
        return {
            name: [place.folder.name for place in self.places if place.host._open and name in place.host.drivers]
            for name in self.names
        }

    async def judge(self, may_lose: bool) -> None:
        """Compare with what was acknowledged, once everything goes on."""
        await self.until(lambda: all(len(at) == 1 for at in self.homes().values()), self.homes)
        await asyncio.wait_for(self.submit(), PATIENCE_S)
        try:
            await self.cluster.quiet(PATIENCE_S, pause_s=0.02)
            for _ in range(2):
                await self.checkpoint()
        except Exception as error:
            looks = await asyncio.gather(
                *(self.cluster.status(name, 5.0) for name in self.names), return_exceptions=True
            )
            raise AssertionError(f"{error}\n" + "\n".join(map(str, looks))) from error
        await self.until(lambda: all(len(at) == 1 for at in self.homes().values()), self.homes)
        states = {name: await self.cluster.state(name) for name in self.names}
        told = {notice.notice for place in self.places if place.host for notice in place.host.notices}
        lost: list[int] = []
        for name in self.names:
            found, settled = states[name].get("in", []), states[self.partners[name]].get("paid", [])
            missing = Counter(self.given[name]) - Counter(found)
            assert not Counter(found) - Counter(self.given[name]), (name, found, self.given[name])
            assert may_lose or not missing, (name, "lost", missing)
            assert sorted(found) == sorted(settled), (name, "orphans or undone", found, settled)
            lost.extend(missing)
        incarnations = [(await self.cluster.status(name)).incarnation for name in self.names]
        assert not lost or max(incarnations) > 1, (lost, told)
        wanted = Counter(number for state in states.values() for number in state.get("in", []))
        await self.until(
            lambda: self.effects() == wanted, lambda: ("effects", self.effects() - wanted, wanted - self.effects())
        )

    async def checkpoint(self) -> None:
        """Have a checkpoint made; what a dying host answers is no answer, as a killed one gives none."""
        while True:
            try:
                await self.cluster.checkpoint(PATIENCE_S)
                return
            except errors.LogFailed:
                await asyncio.sleep(0.05)

    async def judge_refused(self) -> None:
        """See that a host that was refused, by name, is refused in its next life, too."""
        place = next(place for place in self.places if not place.host.drivers)
        for task in self.keepers:
            task.cancel()
        Mortal.doomed.pop(place.folder / "log", None)
        for _ in range(2):
            await self.stop(place)
            with pytest.raises(errors.LogCorrupt, match="did not start"):
                await self.cluster._backend._bring_up(place)  # type: ignore[attr-defined]

    def effects(self) -> Counter[int]:
        """Return what stands in the books: amounts, and how often each was paid."""
        stand: Counter[int] = Counter()
        for (amount, _), count in BOOKS[str(self.folder)].items():
            stand[amount] += count
        return +stand
