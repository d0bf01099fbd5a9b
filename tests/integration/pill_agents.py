"""A program whose user code ends its process: handlers, an undo, a hook, a class. Begun again and again by its test."""

import asyncio
import json
import os
import sys
from pathlib import Path

from peer import Agent, AgentBroken, Call, Cluster, Context, Proposal, handles, tool

BOOK = Path(sys.argv[2]) / "book"


def note(text: str) -> None:
    """Leave a line that outlasts the process."""
    with BOOK.open("a") as book:
        book.write(f"{text}\n")


def times(text: str) -> int:
    """Return how often a line was left."""
    return BOOK.read_text().splitlines().count(text) if BOOK.exists() else 0


def end(where: str) -> None:
    """End the process, as native code or the kernel would."""
    note(where)
    os._exit(9)


async def undo_deadly(call: Call) -> None:
    if times("mended"):
        note("undone")
    else:
        end("undo")


@tool(undo=undo_deadly)
async def pay(amount: int) -> int:
    return amount


class Keeper(Agent):
    @handles(str)
    async def keep(self, message: str, ctx: Context) -> None:
        if message == "pill":
            end("handler")
        if message == "slow":
            note("slow begins")
            await asyncio.sleep(0.5)
        if message == "pay":
            await ctx.call(pay, 1)
        self.state[message] = self.state.get(message, 0) + 1

    @handles(int)
    def plain(self, message: int, ctx: Context) -> None:
        end("plain")


class Deadly(Keeper):
    def __init__(self) -> None:
        end("init")


class Hooked(Keeper):
    def still_valid(self, proposal: Proposal) -> bool:
        end("hook")
        return True


async def handler(cluster: Cluster) -> None:
    """One agent's input ends the process; another's slow one is under way each time."""
    await cluster.spawn("a", Keeper)
    await cluster.spawn("b", Keeper)
    await cluster.submit("b", "slow", key="slow")
    while not times("slow begins"):
        await asyncio.sleep(0.01)
    await cluster.submit("a", "pill", key="pill")
    await cluster.submit("a", 7, "after", key="after")
    await cluster.submit("b", "after", key="after")
    await cluster.quiet()
    dead = [why.split(":")[0] for _, why in await cluster.dead_letters("a")]
    assert await cluster.dead_letters("b") == []
    print(json.dumps([await cluster.state("a"), await cluster.state("b"), dead]))


async def undo(cluster: Cluster) -> None:
    """An effect's undo ends the process."""
    await cluster.spawn("a", Keeper)
    await cluster.submit("a", "pay", key="pay")
    if not times("undo"):
        await cluster.quiet()
        await cluster.rollback("a/1/1", inputs="discard")
    while not (found := await cluster.effects("a")) or not found[0].tries:
        await asyncio.sleep(0.02)
    await cluster.submit("a", "after", key="after")
    assert "has ended 3 times" in found[0].why, found
    note("mended")
    await cluster.retry(found[0].intent)
    await cluster.quiet()
    print(json.dumps([await cluster.state("a"), await cluster.effects("a")]))


async def init(cluster: Cluster) -> None:
    """Making an agent ends the process."""
    await cluster.spawn("a", Keeper)
    try:
        await cluster.spawn("deadly", Deadly)
    except AgentBroken as error:
        note(str(error))
    await cluster.submit("a", "after", key="after")
    await cluster.quiet()
    print(json.dumps([await cluster.state("a"), times("init")]))


async def hook(cluster: Cluster) -> None:
    """Asking an agent whether it agrees ends the process."""
    await cluster.spawn("a", Hooked)
    await cluster.submit("a", "one", key="one")
    await cluster.quiet()
    outcome = await cluster.rollback("a/1/1", inputs="discard")
    print(json.dumps([outcome.committed, "has ended 3 times" in outcome.rejects[0][1]]))


async def main() -> None:
    async with Cluster("local", folder=sys.argv[2]) as cluster:
        await globals()[sys.argv[1]](cluster)


if __name__ == "__main__":
    asyncio.run(main())
