"""The agents of the fault matrix: a desk that pays, a book that ships because of it, a clerk who asks people."""

from dataclasses import dataclass
from typing import Any

from peer.agents.agent import Agent, handles
from peer.agents.approval import Approval
from peer.agents.context import Context
from peer.agents.oversight import Overseer
from peer.agents.request import Result
from peer.errors import EffectInDoubt
from sims.studies.matrix.ledger import TOOLS, ledger, ship

BOSS = "boss"
DEADLINE_S = 5.0
"""After which a word is late, where there is one."""


@dataclass
class Order:
    """To be paid or posted; `timed`: people have a deadline."""

    number: int
    amount: int
    timed: bool = False


@dataclass
class Paid:
    """An order of the desk's is paid."""

    number: int
    amount: int


class Desk(Agent):
    """Pays inside its steps, and tells the book."""

    def __init__(self, has_check: bool = True) -> None:
        self.pay: Any = TOOLS["pay", has_check]

    @handles(Order)
    async def take(self, message: Order, ctx: Context) -> None:
        """Pay, more if something was found wrong."""
        amount = message.amount + (ctx.evidence is not None)
        try:
            await ctx.call(self.pay, message.number, amount)
        except EffectInDoubt:
            ledger().doubted.add(message.number)
            self.state["doubt", message.number] = True
        self.state["step", message.number] = str(ctx.step)
        self.state["done", message.number] = amount
        ctx.send("book", Paid(message.number, amount))


class OverseenDesk(Desk):
    """Asks before a step of its is undone."""

    overseers = (Overseer(BOSS),)


class HastyDesk(Desk):
    """Asks, and does not wait for long."""

    overseers = (Overseer(BOSS, deadline=DEADLINE_S),)


class Book(Agent):
    """Ships what is paid."""

    @handles(Paid)
    async def note(self, message: Paid, ctx: Context) -> None:
        """Ship, and note it."""
        await ctx.call(ship, message.number, message.amount)
        self.state["done", message.number] = message.amount


class Clerk(Agent):
    """Requests what is done when its steps are over."""

    def __init__(self, verb: str = "post", has_check: bool = True, asks: bool = False) -> None:
        self.tool: Any = TOOLS[verb, has_check]
        self.asks = asks

    @handles(Order)
    async def take(self, message: Order, ctx: Context) -> None:
        """Request it, with a person's word if those are asked."""
        self.state["step", message.number] = str(ctx.step)
        rule = Approval(BOSS, deadline=DEADLINE_S if message.timed else None) if self.asks else None
        ctx.request(self.tool, message.number, message.amount, then=self.done, approval=rule)

    async def done(self, result: Result, ctx: Context) -> None:
        """Note what has come of it."""
        number, amount = result.args
        if result.in_doubt:
            ledger().doubted.add(number)
            self.state["doubt", number] = True
        elif result.happened:
            self.state["done", number] = amount
        elif not self.asks:
            # The tool says that it has not happened: once more.
            ctx.request(self.tool, number, amount, then=self.done)

    @handles(str)
    async def question(self, message: str, ctx: Context) -> None:
        """Ask a person."""
        ctx.ask_person(message, to=BOSS, then=self.told)

    async def told(self, result: Result, ctx: Context) -> None:
        """Note the answer, and how often there was one."""
        self.state["answers"] = [*self.state.get("answers", []), result.value]
