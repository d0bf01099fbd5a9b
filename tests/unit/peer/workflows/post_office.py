"""Agents whose workflow the tests of this folder derive: letters that nobody can call back, and what leads to them."""

from dataclasses import dataclass
from typing import ClassVar

from ebbtide import Agent, Answer, Approval, Call, Context, Result, every, handles, tool


@dataclass
class Order:
    item: str
    price: int


@dataclass
class Pay:
    amount: int


@dataclass
class Paid:
    amount: int


@dataclass
class Urgent(Paid):
    """A handler of `Paid` takes it."""


@dataclass
class Quote:
    item: str


def refund(call: Call) -> None: ...


@tool(undo=refund)
def charge(amount: int) -> None: ...


@tool(kind="irreversible")
def send_letter(text: str) -> None: ...


@tool(kind="idempotent", reads="stock", writes="stock")
def take_from_stock(item: str) -> None: ...


class Buyer(Agent):
    spaces = ("sold",)

    @handles(Order)
    async def order(self, message: Order, ctx: Context) -> None:
        self.state["bought", message.item] = message.price
        self.write(message, ctx)

    def write(self, message: Order, ctx: Context) -> None:
        for who in ("cashier", "clerk"):
            ctx.send(who, Pay(message.price) if who == "cashier" else message.item)
        ctx.ask("store", Quote(message.item), then=self.quoted, timeout=5)

    async def quoted(self, answer: Answer, ctx: Context) -> None:
        self.state["quote"] = answer.value

    @handles(Paid)
    async def paid(self, message: Paid, ctx: Context) -> None:
        if ctx.space("sold").counter("all").value > 1000:
            ctx.rollback("cashier/1/1", reason="too much")


class Cashier(Agent):
    attempts = 3
    spaces = ("sold",)

    @handles(Pay)
    async def pay(self, message: Pay, ctx: Context) -> None:
        await ctx.call(charge, message.amount)
        sold = ctx.space("sold").counter("all")
        sold.add(message.amount)
        ctx.send(ctx.sender, Urgent(message.amount))


class Clerk(Agent):
    @handles(str)
    async def write(self, message: str, ctx: Context) -> None:
        ctx.request(send_letter, f"Dear {message}", then=self.sent)

    async def sent(self, result: Result, ctx: Context) -> None:
        self.state["sent"] = self.state.get("sent", 0) + 1


class Store(Agent):
    @handles(Quote)
    async def quote(self, message: Quote, ctx: Context) -> None:
        await ctx.call(take_from_stock, message.item)
        ctx.reply(7)

    @every(60)
    async def count(self, ctx: Context) -> None:
        self.state["counted"] = ctx.space("sold").counter("all").observe()


class Careful(Clerk):
    approvals: ClassVar = (Approval(to="boss", tool=send_letter),)


class Hasty(Clerk):
    approvals: ClassVar = (Approval(to="boss", when=lambda wanted: "boss" in wanted.args[0]),)


agents = {"buyer": Buyer, "cashier": Cashier, "clerk": Clerk, "store": Store}
