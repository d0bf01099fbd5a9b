"""Four agents that may each be on a machine of its own; `.venv/bin/python examples/many_machines.py` runs them in one.

On a cluster: `ebbtide up ebbtide/app/many_machines.py --address auto --folder run` (docs/guide/many-machines.md).
"""

import asyncio
import socket
from dataclasses import dataclass

from ebbtide import Agent, Cluster, Context, handles


@dataclass
class Order:
    item: str
    price: int


@dataclass
class Reserved:
    item: str
    price: int


@dataclass
class Paid:
    item: str
    price: int


@dataclass
class Booked:
    amount: int


class Shop(Agent):
    @handles(Order)
    async def order(self, message: Order, ctx: Context) -> None:
        self.state["ordered"] = self.state.get("ordered", 0) + 1
        ctx.send("warehouse", Reserved(message.item, message.price))


class Warehouse(Agent):
    @handles(Reserved)
    async def reserve(self, message: Reserved, ctx: Context) -> None:
        self.state["reserved", message.item] = socket.gethostname()
        ctx.send("cashier", Paid(message.item, message.price))


class Cashier(Agent):
    @handles(Paid)
    async def pay(self, message: Paid, ctx: Context) -> None:
        self.state["paid"] = self.state.get("paid", 0) + message.price
        ctx.send("books", Booked(message.price))


class Books(Agent):
    @handles(Booked)
    async def book(self, message: Booked, ctx: Context) -> None:
        self.state["booked"] = self.state.get("booked", 0) + message.amount


agents = {"shop": Shop, "warehouse": Warehouse, "cashier": Cashier, "books": Books}


async def main(cluster: Cluster) -> None:
    await cluster.submit("shop", Order("tea", 4), Order("milk", 300), key="opening")


async def alone() -> None:
    async with Cluster("local") as cluster:
        for name, kind in agents.items():
            await cluster.spawn(name, kind)
        await main(cluster)
        await cluster.quiet()
        print("booked:", (await cluster.state("books"))["booked"])
        await cluster.rollback("shop/1/2", inputs="discard", reason="milk does not cost 300")
        await cluster.quiet()
        print("booked:", (await cluster.state("books"))["booked"])


if __name__ == "__main__":
    asyncio.run(alone())
