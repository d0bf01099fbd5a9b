"""Sweeping blobs while hosts write them: what agents still need, or may go back to, is never removed."""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from peer import Agent, Cluster, Context, Storage, bulky, handles
from peer.audit.sweeping import sweep
from peer.store import writing


@dataclass
class Scan:
    page: int
    text: str


class Clerk(Agent):
    keys: ClassVar[dict[str, Any]] = {"scan": bulky()}

    @handles(Scan)
    async def scan(self, message: Scan, ctx: Context) -> None:
        self.state["scan", message.page] = message.text * 100
        self.state["note"] = message.text * 5


def age(blobs: Path) -> None:
    """Let all that is there look as if it had been put two days ago."""
    when = time.time() - 2 * 86_400
    for file in list(blobs.rglob("*")):
        if file.is_file() and ".going" not in file.name:
            os.utime(file, (when, when))


async def test_what_running_agents_need_stays_and_what_is_behind_all_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 10_000)
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (blobs / "not-empty").touch()
    removed = 0
    storage = Storage(archive_kept_bytes=10_000)
    async with Cluster("local", folder=tmp_path, checkpoints_kept=1, storage=storage) as cluster:
        for name in ("a", "b"):
            await cluster.spawn(name, Clerk)
        for turn in range(60):
            # Some of them again and again: put while a sweep finds nothing that refers to them.
            texts = [f"{turn}-{page} " * 20 for page in range(4)] + [f"{turn % 3} " * 20]
            age(blobs)
            for name in ("a", "b"):
                await cluster.submit(name, *(Scan(page, text) for page, text in enumerate(texts)))
            writes = asyncio.create_task(cluster.quiet())
            done = await asyncio.to_thread(sweep, [tmp_path], str(blobs), removes=True)
            removed += done.removed.blobs
            await writes
            if turn > 10 and removed:
                break
            await cluster.checkpoint()
        state = await cluster.state("a")
        assert state["scan", 3] == f"{turn}-3 " * 20 * 100
        await cluster.submit("a", Scan(3, "wrong"))
        await cluster.quiet()
        last = (turn + 1) * 5
        assert (await cluster.state("a", at=f"a/1/{last}"))["scan", 3] == state["scan", 3]
        await cluster.rollback(f"a/1/{last + 1}", inputs="discard", reason="wrong")
        age(blobs)
        done = await asyncio.to_thread(sweep, [tmp_path], str(blobs), removes=True)
        assert done.missing == 0
        assert await cluster.state("a") == state
    assert removed > 0
    async with Cluster("local", folder=tmp_path, checkpoints_kept=1, storage=storage) as cluster:
        for name in ("a", "b"):
            await cluster.spawn(name, Clerk)
        assert await cluster.state("a") == state
