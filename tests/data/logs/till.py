"""The agents whose logs are kept here: a shop that goes wrong once, steps back, and makes checkpoints.

`main(folder)` writes logs with the release at hand; those of older ones are kept beside it.
"""

import sys
from pathlib import Path

from msgspec import Struct

from peer import Agent, Call, Cluster, Context, handles, tool

PAID: dict[str, int] = {}


class Order(Struct, frozen=True):
    """What a customer wants."""

    item: str
    price: int


class Pay(Struct, frozen=True):
    """What is to be paid."""

    item: str
    amount: int


def refund(call: Call) -> None:
    """Undo `charge`."""
    PAID.pop(call.intent, None)


@tool(undo=refund)
def charge(amount: int, *, intent: str) -> None:
    """Take money."""
    PAID[intent] = amount


class Buyer(Agent):
    """Takes dollars for cents at first."""

    @handles(Order)
    async def order(self, message: Order, ctx: Context) -> None:
        """Ask for payment."""
        price = message.price * 100 if ctx.evidence is None and message.item == "tea" else message.price
        self.state["spent"] = self.state.get("spent", 0) + price
        self.state["orders", message.item] = {"price": price, "note": "n" * 40}
        ctx.send("cashier", Pay(message.item, price))


class Cashier(Agent):
    """Takes the money."""

    @handles(Pay)
    async def pay(self, message: Pay, ctx: Context) -> None:
        """Charge."""
        await ctx.call(charge, message.amount)
        self.state["paid", message.item] = message.amount
        ctx.report(confidence=0.9)


async def main(folder: Path) -> None:
    """Write the logs."""
    async with Cluster(backend="local", folder=folder) as cluster:
        await cluster.spawn("buyer", Buyer)
        await cluster.spawn("cashier", Cashier)
        await cluster.submit("buyer", *(Order(item, 4 + at) for at, item in enumerate(("tea", "cup", "pot", "jam"))))
        await cluster.quiet()
        await cluster.checkpoint()
        await cluster.rollback("buyer/1/1", inputs="retry", reason="dollars taken for cents")
        await cluster.quiet()
        await cluster.submit("buyer", Order("rye", 9))
        await cluster.quiet()
        print(await cluster.state("buyer"), await cluster.state("cashier"), file=sys.stderr)
