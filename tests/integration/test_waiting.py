"""What waits for a receiver lies on the disk of its sender's host, and all of it comes, once and in order."""

import asyncio
import os
from pathlib import Path

from ebbtide import Agent, AgentSpec, Cluster, Context, Limits, handles

LIMITS = Limits(window=16, at_hand=32)


class Crowd(Agent):
    """Sends many at once."""

    @handles(int)
    async def send(self, message: int, ctx: Context) -> None:
        for number in range(1000):
            ctx.send("slow", str(message * 1000 + number))


class Slow(Agent):
    """Takes nothing before its gate is open, and then in order."""

    gate = asyncio.Event()

    @handles(str)
    async def take(self, message: str, ctx: Context) -> None:
        await Slow.gate.wait()
        taken = self.state.get("taken", 0)
        assert int(message) == taken
        self.state["taken"] = taken + 1


def shelves(folder: Path) -> int:
    """Return how many files without a name this process has below a folder."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        count += target.startswith(str(folder)) and "shelf-" in target
    return count


async def test_what_waits_lies_on_the_disk_and_comes_once_and_in_order_also_after_the_sender_s_host_was_killed(
    tmp_path: Path,
) -> None:
    Slow.gate = asyncio.Event()
    async with Cluster("local", folder=tmp_path, limits=LIMITS, agents_per_actor=1) as cluster:
        await cluster.spawn_all([AgentSpec("crowd", Crowd), AgentSpec("slow", Slow)])
        assert shelves(tmp_path) == 0
        receipt = await cluster.submit("crowd", 0, 1, 2)
        await receipt.done()
        assert shelves(tmp_path) == 1
        await cluster.kill("crowd")
        assert shelves(tmp_path) == 1, "what the life before had there is gone, and the log has it"
        Slow.gate.set()
        await cluster.quiet(60)
        assert await cluster.state("slow") == {"taken": 3000}
        assert shelves(tmp_path) == 1, "the receiver's disk may be lost, and all be sent again"
        await cluster.checkpoint()
        assert shelves(tmp_path) == 0
