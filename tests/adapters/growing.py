"""An agent that grows a number in a database, and a process that is killed at one of its commits."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peer import Agent, Cluster, Context, handles
from peer.adapters import sql
from peer.adapters.postgres import Postgres
from peer.adapters.sqlite import SQLite

PLACE: dict[str, str] = {}
"""Where the database is: a file's path, or what libpq takes."""
KILL: dict[str, int] = {}
"""At which transaction of a process it is killed, by `before` or `after` the commit."""


class Deadly:
    """A database whose process is killed at one of its commits."""

    def __init__(self, base: Any) -> None:
        self.base, self.mark, self.count = base, base.mark, 0

    def __enter__(self) -> "Deadly":
        self.base.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.base.__exit__(*error)

    @contextmanager
    def transaction(self, *, is_read: bool = False) -> Iterator[Any]:
        self.count += 1
        with self.base.transaction(is_read=is_read) as cursor:
            yield cursor
            self.die("before")
        self.die("after")

    def die(self, when: str) -> None:
        if KILL.get(when) == self.count:
            os.kill(os.getpid(), signal.SIGKILL)


def open_base() -> Deadly:
    return Deadly(SQLite(PLACE["file"]) if "file" in PLACE else Postgres(PLACE["conninfo"]))


# No parameters: both databases take these statements.
grow = sql.change("grow", open_base, "UPDATE counts SET n = n + 1", "UPDATE counts SET n = n - 1", rows=1)


class Grower(Agent):
    @handles(str)
    async def grow(self, message: str, ctx: Context) -> None:
        await ctx.call(grow)
        self.state["grown"] = self.state.get("grown", 0) + 1


async def live(folder: Path, *inputs: str, goes_back: bool = False) -> tuple[int, list[Any]]:
    """Bring a cluster up, hand in inputs, take the first step back if so wanted; return what stands and is pending."""
    async with Cluster("local", folder=folder) as cluster:
        await cluster.spawn("grower", Grower)
        if inputs:
            await cluster.submit("grower", *inputs)
        await cluster.quiet()
        if goes_back:
            await cluster.rollback("grower/1/1", inputs="discard")
            await cluster.quiet()
        state = await cluster.state("grower")
        return state.get("grown", 0), await cluster.effects()


def live_and_die(place: dict[str, str], kill: dict[str, int], folder: Path, goes_back: bool) -> None:
    """Live in a process of its own, which is killed."""
    PLACE.update(place)
    KILL.update(kill)
    asyncio.run(live(folder, "go", goes_back=goes_back))
