"""A host whose disk is full: its agents stop taking steps, say so, and go on when there is room."""

import asyncio
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from peer import Agent, AgentSpec, AskTimeout, Cluster, Context, handles


class Hoarder(Agent):
    """Keeps what it is given, and counts in memory what it has handled."""

    @handles(bytes)
    async def keep(self, message: bytes, ctx: Context) -> None:
        self.state["count"] = self.state.get("count", 0) + 1
        self.state["last"] = message


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Have the kernel refuse to let any file of this process grow beyond a size, as a quota does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


async def test_agents_wait_while_the_disk_is_full_and_go_on_when_there_is_room(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path, agents_per_actor=2) as cluster:
        await cluster.spawn_all([AgentSpec("a", Hoarder), AgentSpec("b", Hoarder)])
        await cluster.submit("a", b"first")
        await cluster.quiet()
        with files_no_larger_than(150_000):
            handed_in = [asyncio.ensure_future(cluster.submit("a", os.urandom(20_000))) for _ in range(20)]
            async with asyncio.timeout(20):
                while not [notice for notice in await cluster.notices("a") if notice.notice == "disk-full"]:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
            steps = (await cluster.status("a")).steps
            acknowledged = sum(task.done() for task in handed_in)
            assert acknowledged < 20
            await asyncio.sleep(0.5)
            assert (await cluster.status("a")).steps == steps, "no step begins while it can't be written"
            with pytest.raises(AskTimeout):
                await cluster.quiet(timeout_s=0.3)
        await asyncio.gather(*handed_in)
        await cluster.submit("b", b"there is room")
        await cluster.quiet()
        assert (await cluster.state("a"))["count"] == 21
        assert (await cluster.state("b"))["count"] == 1
        await cluster.kill("a")
        await cluster.quiet()
        assert (await cluster.state("a"))["count"] == 21
