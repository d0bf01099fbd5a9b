"""Undo one wrong step and what follows from it, for good.

Everything that has nothing to do with it stays, at every agent.
Run it with `.venv/bin/python examples/strategies/discard.py`.
"""

import asyncio
from dataclasses import dataclass

from ebbtide import Agent, Call, Cluster, Context, handles, tool

PAID: dict[str, int] = {}  # stands for the world outside: intent -> amount


@dataclass
class Order:
    item: str
    price: int


def refund(call: Call) -> None:
    print("refunded:", call.args[0])
    PAID.pop(call.intent, None)


@tool(undo=refund)
def pay(amount: int, *, intent: str) -> None:
    PAID[intent] = amount


class Buyer(Agent):
    @handles(Order)
    async def buy(self, message: Order, ctx: Context) -> None:
        self.state["ordered", message.item] = message.price
        ctx.send("cashier", message)


class Cashier(Agent):
    @handles(Order)
    async def settle(self, message: Order, ctx: Context) -> None:
        await ctx.call(pay, message.price)
        self.state["paid", message.item] = message.price


async def main() -> None:
    async with Cluster(backend="local") as cluster:
        await cluster.spawn("buyer", Buyer)
        await cluster.spawn("cashier", Cashier)
        for order in (Order("tea", 4), Order("tiger", 9000), Order("jam", 6)):
            await cluster.submit("buyer", order)
            await cluster.quiet()
        print("paid:", sorted(PAID.values()))

        plan = await cluster.preview("buyer/1/2")
        print("would undo:", *plan.steps)
        outcome = await cluster.rollback("buyer/1/2", inputs="discard", reason="nobody wants a tiger")
        await cluster.quiet()
        print("undone:", *outcome.undone)
        print("paid:", sorted(PAID.values()))
        print("cashier:", await cluster.state("cashier"))


if __name__ == "__main__":
    asyncio.run(main())
