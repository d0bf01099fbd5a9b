"""Have a step done again with a corrected message.

For when the input was wrong, and not what was made of it.
Run it with `.venv/bin/python examples/strategies/amend.py`.
"""

import asyncio
from dataclasses import dataclass

from ebbtide import Agent, Call, Cluster, Context, handles, tool

PAID: dict[str, tuple[str, int]] = {}  # stands for the world outside


@dataclass
class Invoice:
    supplier: str
    cents: int


def refund(call: Call) -> None:
    print("taken back:", *call.args)
    PAID.pop(call.intent, None)


@tool(undo=refund)
def transfer(supplier: str, cents: int, *, intent: str) -> None:
    PAID[intent] = (supplier, cents)


class Clerk(Agent):
    @handles(Invoice)
    async def pay(self, message: Invoice, ctx: Context) -> None:
        await ctx.call(transfer, message.supplier, message.cents)
        ctx.send("books", message)


class Books(Agent):
    @handles(Invoice)
    async def enter(self, message: Invoice, ctx: Context) -> None:
        self.state[message.supplier] = self.state.get(message.supplier, 0) + message.cents


async def main() -> None:
    async with Cluster(backend="local") as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.spawn("books", Books)
        for invoice in (Invoice("mill", 12_000), Invoice("dairy", 345_00), Invoice("mill", 500)):
            await cluster.submit("clerk", invoice)
            await cluster.quiet()
        print("books:", await cluster.state("books"))

        outcome = await cluster.rollback(
            "clerk/1/2", inputs="amend", amend={"clerk/1/2": Invoice("dairy", 34_50)}, reason="a misread comma"
        )
        await cluster.quiet()
        print("undone:", *outcome.undone)
        print("books:", await cluster.state("books"))
        print("paid:", sorted(PAID.values()))


if __name__ == "__main__":
    asyncio.run(main())
