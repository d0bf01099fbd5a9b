"""Counter what was done, and let the steps stand: run it with `.venv/bin/python examples/strategies/compensate.py`.

A shop has sold tickets to a concert, which is called off. The books of the month are closed, so the bookkeeper refuses
to go back. The refunds are paid all the same, the newest first, and everybody's state stays as it was.
"""

import asyncio
from dataclasses import dataclass

from ebbtide import Agent, Call, Cluster, Context, Proposal, forward, handles, tool

BANK: dict[str, int] = {}  # stands for the world outside


@dataclass
class Sale:
    concert: str
    customer: str
    price: int


def refund(call: Call) -> None:
    customer, price = call.args
    if BANK.pop(customer, None) is not None:  # it may be called twice
        print("refunded:", customer, price)


@tool(undo=refund, undo_cost="a fee of 1")
def charge(customer: str, price: int) -> None:
    BANK[customer] = price


class Shop(Agent):
    @handles(Sale)
    async def sell(self, message: Sale, ctx: Context) -> None:
        await ctx.call(charge, message.customer, message.price)
        self.state["sold", message.concert] = self.state.get(("sold", message.concert), 0) + 1
        ctx.send("bookkeeper", message)


class Bookkeeper(Agent):
    @handles(Sale)
    async def book(self, message: Sale, ctx: Context) -> None:
        self.state["earned", message.customer] = message.price

    def still_valid(self, proposal: Proposal) -> bool | str:
        return "the month is closed"


async def main() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("shop", Shop)
        await cluster.spawn("bookkeeper", Bookkeeper)
        for customer, concert in (("ann", "jazz"), ("bob", "folk"), ("cid", "folk")):
            await cluster.submit("shop", Sale(concert, customer, 30))
        await cluster.quiet()
        for call in (await cluster.preview("shop/1/2")).calls:
            print("would be:", call.step, call.undo)
        outcome = await cluster.rollback("shop/1/2", inputs="discard", reason="called off", if_rejected=forward)
        print("went back:", outcome.committed, dict(outcome.rejects))
        assert outcome.compensation is not None
        print("countered:", len(outcome.compensation.countered), "pending:", len(outcome.compensation.pending))
        print("paid:", BANK)
        print("shop:", await cluster.state("shop"))


if __name__ == "__main__":
    asyncio.run(main())
