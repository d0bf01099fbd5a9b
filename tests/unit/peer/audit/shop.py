"""A small run whose logs the tests ask: orders, a shared counter, a wrong step undone, one that is not, a restore."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import Struct

from peer import Agent, Call, Cluster, Context, handles, tool
from peer.audit import Edges, read_trail
from peer.export import export
from protocol.proposal import Proposal

PAID: dict[str, int] = {}


class Order(Struct, frozen=True):
    item: str
    price: int


class Pay(Struct, frozen=True):
    item: str
    amount: int


class Look(Struct, frozen=True):
    how: str


def refund(call: Call) -> None:
    PAID.pop(call.intent, None)


@tool(undo=refund)
def charge(amount: int, *, intent: str) -> None:
    PAID[intent] = amount


class Buyer(Agent):
    """Takes dollars for cents, until it is told."""

    @handles(Order)
    async def order(self, message: Order, ctx: Context) -> None:
        price = message.price if ctx.evidence is not None else message.price * 100
        self.state["bought", message.item] = price
        ctx.report(confidence=0.75, model="pricer@2", margin=1.5)
        ctx.send("cashier", Pay(message.item, price))


class Cashier(Agent):
    spaces = ("sold",)

    @handles(Pay)
    async def pay(self, message: Pay, ctx: Context) -> None:
        self.state["last"] = (self.state.get("last"), message.item)[1]
        await ctx.call(charge, message.amount)
        ctx.space("sold").counter("all").add(message.amount)


class Watcher(Agent):
    """Reads what is shared in every way, and will not have its last look undone."""

    spaces = ("sold",)

    @handles(Look)
    async def look(self, message: Look, ctx: Context) -> None:
        sold = ctx.space("sold").counter("all")
        ways = {"value": lambda: sold.value, "observe": sold.observe, "little": lambda: sold.value_within(1)}
        ways["much"] = lambda: sold.value_within(1_000_000)
        self.state[message.how] = ways[message.how.split("/")[0]]()

    def still_valid(self, proposal: Proposal) -> bool | str:
        return "the books are closed" if proposal.reason == "too late" else True


@dataclass
class Scene:
    """What the run has told while it was under way."""

    folder: Path
    exported: Path
    """By the cluster itself, at the end."""
    previews: dict[str, tuple[set[str], set[str]]] = field(default_factory=dict)
    """By root, the cluster's preview and the trail's cone at the same moment."""
    undone: tuple[str, ...] = ()
    rejected: Any = None
    epoch: int = 0


async def play(folder: Path, exported: Path) -> Scene:
    """Make the run."""
    scene = Scene(folder, exported)
    async with Cluster("local", folder=folder) as cluster:
        for name, kind in (("buyer", Buyer), ("cashier", Cashier), ("watcher", Watcher)):
            await cluster.spawn(name, kind)
        await cluster.submit("buyer", *(Order(item, 4) for item in ("tea", "cup", "pot")))
        await cluster.quiet()
        await cluster.submit("watcher", *(Look(how) for how in ("value", "observe", "little", "much")))
        await cluster.quiet()
        edges = Edges(read_trail(folder))
        for root in ("buyer/1/1", "buyer/1/3", "cashier/1/2", "watcher/1/1"):
            plan = await cluster.preview(root)
            cone = edges.cone([plan.roots[0]])
            scene.previews[root] = {str(step) for step in plan.steps}, {str(step) for step in cone}
        scene.epoch = await cluster.checkpoint()
        outcome = await cluster.rollback("buyer/1/2", inputs="retry", reason="dollars taken for cents")
        scene.undone = tuple(str(step) for step in outcome.undone)
        await cluster.quiet()
        await cluster.submit("watcher", Look("value/late"))
        await cluster.quiet()
        scene.rejected = await cluster.rollback("buyer/1/1", inputs="discard", reason="too late")
        await cluster.submit("buyer", Order("rye", 9))
        await cluster.quiet()
        await cluster.restore(scene.epoch, reason="back to before lunch")
        await cluster.quiet()
        await export(cluster, exported)
    return scene


def played(folder: Path) -> Scene:
    """Make the run in a folder."""
    return asyncio.run(play(folder / "run", folder / "exported"))
