"""What tests of user code share: agents whose handlers do what a test says, and tools that note what they do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from threading import Event
from typing import Any, ClassVar

from peer import Agent, Call, Cluster, Context, NotHappened, derived, handles, tool

DID: list[Any] = []
"""What tools and stray tasks have done, in order."""
TASKS: list[Any] = []
STOP = Event()
"""What blocks in threads waits for this."""
WORK: dict[str, Callable[..., Any]] = {}
"""What the handler does, by message."""


def forget() -> None:
    """Forget what tests before have done."""
    DID.clear()
    TASKS.clear()
    WORK.clear()


class Worker(Agent):
    tries = 1
    spaces = ("board",)
    keys: ClassVar = {"index": derived(lambda key, sources: sorted(sources.get("list", [])), of=("list",))}

    @handles(str)
    async def work(self, message: str, ctx: Context) -> None:
        result = WORK[message](self, ctx)
        if result is not None:
            await result


class Plain(Agent):
    tries = 1

    @handles(str)
    def work(self, message: str, ctx: Context) -> None:
        WORK[message](self, ctx)


@asynccontextmanager
async def running(*names: str, kind: type[Agent] = Worker, **options: Any) -> AsyncIterator[Cluster]:
    async with Cluster("local", **options) as cluster:
        for name in names or ("a",):
            await cluster.spawn(name, kind)
        yield cluster


async def done(cluster: Cluster, *messages: str, agent: str = "a") -> dict[Any, Any]:
    """Hand in messages, wait until all is quiet, and return the agent's state."""
    await cluster.submit(agent, *messages)
    await cluster.quiet(20)
    return await cluster.state(agent)


async def whys(cluster: Cluster, agent: str = "a") -> list[str]:
    """Return why inputs became dead letters."""
    return [why for _, why in await cluster.dead_letters(agent)]


@tool(kind="idempotent")
async def touch(what: Any) -> Any:
    DID.append(what)
    return what


@tool(kind="idempotent")
async def slow(what: Any) -> Any:
    await asyncio.sleep(0.2)
    DID.append(what)
    return what


def unpay(call: Call) -> None:
    DID.append(("undo", call.args[0]))


@tool(undo=unpay)
async def pay(what: Any, after_s: float = 0.0) -> Any:
    await asyncio.sleep(after_s)
    if what == "refused":
        raise NotHappened("card declined")
    DID.append(what)
    return what


async def tried(ctx: Context, call: Any) -> None:
    """Await a call, and note what it raises."""
    try:
        await call
    except Exception as error:  # noqa: BLE001  # judged by its text
        DID.append(f"{type(error).__name__}: {error}")
