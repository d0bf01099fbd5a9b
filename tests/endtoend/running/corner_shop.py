"""A shop for `ebbtide up`: orders, payments with a tool whose undo can be made to fail, and what nobody handles."""

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ebbtide import Agent, Call, Cluster, Context, Result, Tier, handles, tool

logger = logging.getLogger(__name__)

BANK = Path(os.environ.get("BANK", "bank"))
"""Stands for the world outside: a file for each charge; as long as one is called `closed`, nothing is paid back."""


@dataclass
class Order:
    item: str
    price: int


def refund(call: Call) -> None:
    if (BANK / "closed").exists():
        raise OSError("the bank is closed")
    (BANK / call.intent.replace("/", "-")).unlink(missing_ok=True)


@tool(undo=refund)
def charge(amount: int, *, intent: str) -> None:
    logger.info("charging %d", amount)
    (BANK / intent.replace("/", "-")).write_text(json.dumps(amount))


@tool(kind="irreversible")
def announce(item: str, *, intent: str) -> None:
    (BANK / f"announced-{item}").touch()


class Buyer(Agent):
    @handles(str)
    async def advertise(self, message: str, ctx: Context) -> None:
        ctx.request(announce, message, then=self.announced)

    @handles(list)
    async def close(self, message: list[str], ctx: Context) -> None:
        ctx.ask_person(message[0], to="boss", options=["early", "late"], then=self.closes)

    async def closes(self, result: Result, ctx: Context) -> None:
        self.state["closes"] = f"{result.value}, says {result.by}"

    async def announced(self, result: Result, ctx: Context) -> None:
        self.state["announced"] = result.args[0]

    @handles(Order)
    async def order(self, message: Order, ctx: Context) -> None:
        self.state["spent"] = self.state.get("spent", 0) + message.price
        self.state["last", "item"] = message.item
        ctx.send("cashier", message.price)
        logger.info("bought %s", message.item)


class Cashier(Agent):
    tiers: ClassVar = {"alone": Tier(), "barred": Tier(refuses=(charge,))}

    def __init__(self, fee: int = 0) -> None:
        self.fee = fee

    @handles(int)
    async def pay(self, message: int, ctx: Context) -> None:
        if message < 0:
            print("refusing", message)
            raise ValueError("nobody is paid for buying")
        await ctx.call(charge, message + self.fee)
        self.state["paid"] = self.state.get("paid", 0) + message + self.fee


agents = {"buyer": Buyer, "cashier": (Cashier, {"fee": 1})}
options = {"checkpoints_kept": 3}


async def main(cluster: Cluster) -> None:
    if not (await cluster.state("buyer")):
        await cluster.submit("buyer", Order("tea", 4), key="opening")
    print("the shop is open", flush=True)
