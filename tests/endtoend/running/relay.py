"""Two agents that pass numbers on, and a program that hands in without end: it is killed in the middle of it.

As long as a file `shut` is in the bank, the second handles nothing.
"""

import asyncio
import os
from itertools import count
from pathlib import Path

from ebbtide import Agent, Cluster, Context, handles


class Sender(Agent):
    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        self.state["seen"] = self.state.get("seen", 0) + 1
        ctx.send("adder", message)


class Adder(Agent):
    @handles(int)
    async def add(self, message: int, ctx: Context) -> None:
        while (Path(os.environ["BANK"]) / "shut").exists():
            await asyncio.sleep(0.01)
        self.state["sum"] = self.state.get("sum", 0) + message


agents = {"sender": Sender, "adder": Adder}


async def main(cluster: Cluster) -> None:
    for number in count(1):
        await cluster.submit("sender", number)
        print(number, flush=True)
