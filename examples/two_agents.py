"""Two agents, one wrong step, and the step back: run it with `.venv/bin/python examples/two_agents.py [ray|local]`."""

import asyncio
import sys
from dataclasses import dataclass

from ebbtide import Agent, Call, Cluster, Context, handles, tool

BANK: dict[str, int] = {}  # stands for the world outside: intent -> amount


@dataclass
class Order:
    item: str
    price: int


@dataclass
class Pay:
    item: str
    amount: int


def refund(call: Call) -> None:
    BANK.pop(call.intent, None)


@tool(undo=refund)
def charge(amount: int, *, intent: str) -> None:
    BANK[intent] = amount


class Buyer(Agent):
    @handles(Order)
    async def order(self, message: Order, ctx: Context) -> None:
        price = message.price * 100 if ctx.evidence is None else message.price  # takes dollars for cents: wrong
        self.state["spent"] = self.state.get("spent", 0) + price
        ctx.send("cashier", Pay(message.item, price))


class Cashier(Agent):
    @handles(Pay)
    async def pay(self, message: Pay, ctx: Context) -> None:
        await ctx.call(charge, message.amount)
        self.state["paid", message.item] = message.amount


async def main(backend: str = "local") -> dict[object, int]:
    async with Cluster(backend=backend) as cluster:
        await cluster.spawn("buyer", Buyer)
        await cluster.spawn("cashier", Cashier)
        await cluster.submit("buyer", Order("tea", 4))
        await cluster.quiet()
        print("before:", await cluster.state("cashier"))
        print("would undo:", *(await cluster.preview("buyer/1/1")).steps)
        outcome = await cluster.rollback("buyer/1/1", inputs="retry", reason="dollars taken for cents")
        await cluster.quiet()
        print("undone:", *outcome.undone)
        print("after:", await cluster.state("cashier"))
        return await cluster.state("cashier")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
