"""Ebbtide's own part: agents on one host, each step's message to itself leaving once the step is durable.

`python -m benchmarks.durability.ebbtide '{"kind": "steps", "system": "ebbtide"}'` does one task. As `ebbtide-queued`
the inputs are all there at once: then the next step runs while the one before it is on its way to the disk.
"""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.peers.harness import VALUE_BYTES, Task, changed, main, new_item
from ebbtide import Agent, AgentSpec, Cluster, Context, handles
from peer.host.garbage import collect_seldom

R = TypeVar("R")


@dataclass(frozen=True)
class Loop:
    """Make a step, and so many more because of it: each begins when the one before it is durable."""

    left: int
    until: float


@dataclass(frozen=True)
class Work:
    """Make one step."""

    until: float


class Board:
    """What agents tell their benchmark, in the same process: how many steps were made, and who has ended."""

    def __init__(self) -> None:
        self.made = 0
        self._working = 0
        self._ended = asyncio.Event()

    def begin(self, agents: int) -> None:
        """Wait for so many agents."""
        self.made, self._working = 0, agents
        self._ended.clear()

    def end(self) -> None:
        """One agent has made its last step."""
        self._working -= 1
        if self._working <= 0:
            self._ended.set()

    async def ended(self) -> None:
        """Return once all have."""
        await self._ended.wait()


class Keeper(Agent):
    """Adds an item to its state at each step, or changes its large value."""

    board: Board

    def __init__(self, is_large: bool) -> None:
        self._is_large = is_large

    @handles(Loop)
    async def loop(self, message: Loop, ctx: Context) -> None:
        self._step()
        if message.left > 1 and time.monotonic() < message.until:
            ctx.send(self.name, Loop(message.left - 1, message.until))
        else:
            self.board.end()

    @handles(Work)
    async def work(self, message: Work, ctx: Context) -> None:
        self._step()
        self.board.end()

    def _step(self) -> None:
        at = self.state.get("at", 0)
        if self._is_large:
            self.state["value"] = changed(self.state.get("value", bytes(VALUE_BYTES)), at)
        else:
            self.state["item", at] = new_item()
        self.state["at"] = at + 1
        self.board.made += 1


class Ebbtide:
    """A cluster in this process: all agents on one host; with `replicated(1)` another host keeps the copies."""

    def __init__(self, task: Task, folder: Path) -> None:
        self._task = task
        # This process is a host's own, as those of the Ray backend are.
        collect_seldom()
        self._runner = asyncio.Runner()
        self.durability = "replicated(1)" if "replicated" in task.system else "local"
        names = ["warm-up", *task.names]
        self._cluster = Cluster("local", agents_per_actor=len(names), folder=folder, durability=self.durability)
        self.board = Board()
        # One process, one benchmark: handlers find it by their class.
        Keeper.board = self.board
        others = ["elsewhere"] if self.durability != "local" else []
        self.do(self._open([AgentSpec(name, Keeper, {"is_large": task.value == "large"}) for name in names + others]))

    @property
    def cluster(self) -> Cluster:
        """The cluster."""
        return self._cluster

    def do(self, work: Coroutine[Any, Any, R]) -> R:
        """Do something on the cluster's loop."""
        return self._runner.run(work)

    async def _open(self, specs: list[AgentSpec]) -> None:
        await self._cluster.__aenter__()
        await self._cluster.spawn_all(specs)

    def run(self, agents: list[str], steps: int, until: float) -> int:
        """See `harness.System`; with `every`, a checkpoint follows each time that so many were made."""
        done, every = 0, self._task.every or steps
        while done < steps and time.monotonic() < until:
            done += self.do(self._steps(agents, min(every, steps - done), until))
            if self._task.every:
                self.do(self._cluster.checkpoint())
        return done

    async def _steps(self, agents: list[str], steps: int, until: float) -> int:
        is_queued = self._task.system.endswith("queued")
        self.board.begin(len(agents) * (steps if is_queued else 1))
        inputs = [Work(until)] * steps if is_queued else [Loop(steps, until)]
        await asyncio.gather(*(self._cluster.submit(name, *inputs) for name in agents))
        await self.board.ended()
        await self.durable(agents)
        return self.board.made

    async def durable(self, agents: list[str]) -> None:
        """Return once every record of these agents is durable: a handler's end is not."""
        waiting = agents
        while waiting:
            looks = await asyncio.gather(*(self._cluster.status(name) for name in waiting))
            waiting = [look.agent for look in looks if look.under_way]
            if waiting:
                # The writer's thread needs this interpreter, too.
                await asyncio.sleep(0.001)

    def settle(self) -> None:
        """See `harness.System`: nothing waits here."""

    def about(self) -> dict[str, Any]:
        """See `harness.System`."""
        return {
            "versions": {"ebbtide": version("ebbtide")},
            "durability": self.durability,
            "journal_mode": "segments, group commit",
            "synchronous": "fdatasync",
        }

    def close(self) -> None:
        """See `harness.System`."""
        self.do(self._cluster.__aexit__(None, None, None))
        self._runner.close()


if __name__ == "__main__":
    main(Ebbtide)
