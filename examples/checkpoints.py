"""A checkpoint of all agents, and the way back: run it with `.venv/bin/python examples/checkpoints.py [ray|local]`."""

import asyncio
import sys

from ebbtide import Agent, Call, Cluster, Context, handles, tool

PAID: dict[str, int] = {}  # stands for the world outside: intent -> amount


def refund(call: Call) -> None:
    PAID.pop(call.intent, None)


@tool(undo=refund)
def pay(amount: int, *, intent: str) -> None:
    PAID[intent] = amount


class Planner(Agent):
    @handles(int)
    async def plan(self, message: int, ctx: Context) -> None:
        self.state["planned"] = self.state.get("planned", 0) + message
        ctx.send("payer", message)


class Payer(Agent):
    @handles(int)
    async def pay(self, message: int, ctx: Context) -> None:
        await ctx.call(pay, message)
        self.state["paid"] = self.state.get("paid", 0) + message


async def main(backend: str = "local") -> None:
    async with Cluster(backend=backend) as cluster:
        await cluster.spawn("planner", Planner)
        await cluster.spawn("payer", Payer)
        await cluster.submit("planner", 1, 2)
        await cluster.quiet()
        epoch = await cluster.checkpoint()
        await cluster.submit("planner", 1000)
        await cluster.quiet()
        print("before:", await cluster.state("planner"), await cluster.state("payer"))
        await cluster.restore(epoch, reason="the last plan was nonsense")
        await cluster.quiet()
        print("after:", await cluster.state("planner"), await cluster.state("payer"))
        print("dead letters:", [why for _, why in await cluster.dead_letters("planner")])
        if backend == "local":
            print("still paid:", sorted(PAID.values()))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
