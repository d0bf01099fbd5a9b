"""Try another decision in a copy, then take it over.

Nothing leaves a branch: a stand-in answers for the tool. What it came to is compared, and adopted.
Run it with `.venv/bin/python examples/strategies/branch_and_adopt.py`.
"""

import asyncio
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from ebbtide import Agent, Call, Cluster, Context, handles, tool

ORDERS: dict[str, int] = {}  # stands for the world outside
WANTED = 8  # so many are sold, if there are as many


@dataclass
class Order:
    item: str
    number: int


def call_off(call: Call) -> None:
    ORDERS.pop(call.intent)


@tool(undo=call_off)
def order(item: str, number: int, *, intent: str) -> int:
    ORDERS[intent] = number
    return 3 * number


class Buyer(Agent):
    @handles(Order)
    async def buy(self, message: Order, ctx: Context) -> None:
        self.state["spent"] = await ctx.call(order, message.item, message.number)
        ctx.send("shop", message)


class Shop(Agent):
    @handles(Order)
    async def sell(self, message: Order, ctx: Context) -> None:
        sold = min(message.number, WANTED)
        self.state["left"] = message.number - sold
        self.state["earned"] = 5 * sold


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with Cluster(backend="local", folder=folder) as cluster:
            await cluster.spawn("buyer", Buyer)
            await cluster.spawn("shop", Shop)
            await cluster.submit("buyer", Order("tea", 2))
            await cluster.quiet()
            print("as it is:", await cluster.state("shop"), list(ORDERS.values()))

            async with cluster.branch(
                "buyer/1/1", amend=Order("tea", 10), tools={order: lambda item, number: 3 * number}
            ) as branch:
                await branch.quiet()
                for each in await branch.compare():
                    print(f"in the branch: {each.agent} {each.key} {each.here}, and not {each.there}")
                print("outside meanwhile:", list(ORDERS.values()))
                await branch.adopt()
            await cluster.quiet()
            print("adopted:", await cluster.state("shop"), list(ORDERS.values()))


if __name__ == "__main__":
    asyncio.run(main())
