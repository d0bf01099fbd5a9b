"""Agents for the tests on Ray: in a module of their own, so that Ray's workers can import them."""

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from peer import Agent, Call, Context, Happened, NotHappened, Proposal, handles, tool


def _world(file: str) -> sqlite3.Connection:
    world = sqlite3.connect(file, timeout=30, isolation_level=None)
    world.execute("create table if not exists effects (intent text primary key, amount integer)")
    return world


def _die_once(marker: str) -> None:
    """Kill this process as a power cut would, the first time only."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def take_back(call: Call) -> None:
    with closing(_world(call.args[0])) as world:
        world.execute("delete from effects where intent = ?", (call.intent,))


def look(call: Call) -> Happened | NotHappened:
    with closing(_world(call.args[0])) as world:
        row = world.execute("select amount from effects where intent = ?", (call.intent,)).fetchone()
    return Happened(row[0]) if row else NotHappened()


@tool(undo=take_back, check=look)
def pay(file: str, amount: int, dies: str, *, intent: str) -> int:
    if dies == "before":
        _die_once(file + ".before")
    with closing(_world(file)) as world:
        world.execute("insert into effects values (?, ?)", (intent, amount))
    if dies == "after":
        _die_once(file + ".after")
    return amount


@dataclass
class Pay:
    amount: int
    dies: str = "never"


class Front(Agent):
    def __init__(self, to: str = "back") -> None:
        self.to = to

    @handles(Pay)
    async def take(self, message: Pay, ctx: Context) -> None:
        self.state["taken"] = self.state.get("taken", 0) + message.amount
        ctx.send(self.to, message)


class Back(Agent):
    def __init__(self, world: str, dies_as_elector: str = "") -> None:
        self.world = world
        self.dies_as_elector = dies_as_elector

    def still_valid(self, proposal: Proposal) -> bool:
        if self.dies_as_elector:
            _die_once(self.dies_as_elector)
        return True

    @handles(Pay)
    async def settle(self, message: Pay, ctx: Context) -> None:
        await ctx.call(pay, self.world, message.amount, message.dies)
        self.state["paid"] = self.state.get("paid", 0) + message.amount


def effects(file: str) -> list[int]:
    """Return the amounts that the world holds."""
    with closing(_world(file)) as world:
        return sorted(amount for (amount,) in world.execute("select amount from effects"))


class Pill(Agent):
    """Ends its process on a number, each time; notes when it begins to."""

    tries = 2

    def __init__(self, book: str) -> None:
        self.book = Path(book)

    @handles(int)
    async def die(self, message: int, ctx: Context) -> None:
        with self.book.open("a") as book:
            book.write("begins\n")
        os._exit(9)

    @handles(str)
    async def keep(self, message: str, ctx: Context) -> None:
        self.state[message] = self.state.get(message, 0) + 1


class Slow(Agent):
    """Takes as long as a file is there."""

    tries = 1

    def __init__(self, book: str) -> None:
        self.book = Path(book)

    @handles(str)
    async def wait(self, message: str, ctx: Context) -> None:
        with self.book.open("a") as book:
            book.write("begins\n")
        while self.book.with_name("wait").exists():
            await asyncio.sleep(0.01)
        self.state[message] = True


class Hand(Agent):
    """Is made by a handler."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    @handles(int)
    async def work(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + self.factor * message


class Maker(Agent):
    """Makes an agent of each name that it is told, and gives it work."""

    @handles(str)
    async def make(self, message: str, ctx: Context) -> None:
        name = ctx.spawn(message, Hand, factor=10 * ctx.attempt)
        ctx.send(name, 1)
