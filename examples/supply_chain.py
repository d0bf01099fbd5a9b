"""A supply chain of seven agents, to be kept up: `ebbtide up examples/supply_chain.py --folder run`.

A shop sells from stock. Once a day a forecaster says how much of each thing will be sold, and a buyer orders what will
be missing, at the cheaper of two suppliers, which deliver after a while and send invoices. Sales, deliveries and
payments are entered in an SQLite database. On one day the forecaster takes pieces for boxes and forecasts fifty times
too much. By the time the auditor sees the order, it may be delivered and paid: the auditor has that day's forecast
undone and made again, wherever it has led.

`.venv/bin/python examples/supply_chain.py report run` shows the books of one that runs, and `.venv/bin/python
examples/supply_chain.py world` plays the same agents in virtual time. A day lasts two seconds, or SUPPLY_DAY_S; the
database is supply.db, or SUPPLY_DB.
"""

import asyncio
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from ebbtide import Agent, Answer, Call, Cluster, Context, Happened, NotHappened, every, handles, tool

DAY_S = float(os.environ.get("SUPPLY_DAY_S", "2"))
DATABASE = Path(os.environ.get("SUPPLY_DB", "supply.db")).resolve()
DAYS = 6
ITEMS = ("tea", "jam", "rice")
STOCK = 40
"""Of each item, at first."""
SALES_A_DAY = 8
WRONG_DAY = 3
"""The forecaster errs once: on this day, or on the first one after it on which it knows of a day's sales."""
TOO_MUCH = 10
"""More than so many days' sales is more than anybody orders."""


# -- what they say to each other ---------------------------------------------------------------------------------------


@dataclass
class Sale:
    number: int
    item: str
    quantity: int


@dataclass
class Sold:
    item: str
    quantity: int


@dataclass
class Forecast:
    item: str
    a_day: float
    by: str
    """The step that says so."""


@dataclass
class HowMany:
    """A question: how many are there?"""

    item: str


@dataclass
class Wanted:
    """A question: what would so many cost?"""

    item: str
    quantity: int


@dataclass
class Order:
    name: str
    item: str
    quantity: int
    cents: int
    forecast: str
    """The step that has forecast what it is for."""


@dataclass
class Delivery:
    order: str
    item: str
    quantity: int


@dataclass
class Invoice:
    order: str
    supplier: str
    cents: int


# -- the world outside -------------------------------------------------------------------------------------------------


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """Open the database; tools run in threads, and SQLite lets one at a time in."""
    with closing(sqlite3.connect(DATABASE, timeout=30, isolation_level=None, check_same_thread=False)) as db:
        db.execute(
            "create table if not exists entries"
            " (intent text primary key, kind text, name text, item text, amount integer)"
        )
        yield db


def strike(call: Call, *, db: sqlite3.Connection) -> None:
    db.execute("delete from entries where intent = ?", (call.intent,))


def is_entered(call: Call, *, db: sqlite3.Connection) -> Happened | NotHappened:
    row = db.execute("select 1 from entries where intent = ?", (call.intent,)).fetchone()
    return Happened() if row else NotHappened()


@tool(undo=strike, check=is_entered, resources={"db": database})
def enter(kind: str, name: str, item: str, amount: int, *, db: sqlite3.Connection, intent: str) -> None:
    """Make an entry: a sale, a delivery, or a payment."""
    db.execute("insert or ignore into entries values (?, ?, ?, ?, ?)", (intent, kind, name, item, amount))


# -- the agents --------------------------------------------------------------------------------------------------------


class Shop(Agent):
    @handles(Sale)
    async def sell(self, message: Sale, ctx: Context) -> None:
        await ctx.call(enter, "sale", str(message.number), message.item, message.quantity)
        self.state["stock", message.item] = self.state.get(("stock", message.item), STOCK) - message.quantity
        for whom in ("forecaster", "auditor"):
            ctx.send(whom, Sold(message.item, message.quantity))

    @handles(Delivery)
    async def take(self, message: Delivery, ctx: Context) -> None:
        await ctx.call(enter, "delivery", message.order, message.item, message.quantity)
        self.state["stock", message.item] = self.state.get(("stock", message.item), STOCK) + message.quantity

    @handles(HowMany)
    async def count(self, message: HowMany, ctx: Context) -> None:
        ctx.reply(self.state.get(("stock", message.item), STOCK))


class Forecaster(Agent):
    """Says once a day how much will be sold, by what was: half of that day, half of those before."""

    @handles(Sold)
    async def learn(self, message: Sold, ctx: Context) -> None:
        self.state["today", message.item] = self.state.get(("today", message.item), 0) + message.quantity

    @every(DAY_S)
    async def forecast(self, ctx: Context) -> None:
        day = self.state["day"] = self.state.get("day", 0) + 1
        a_day: dict[str, float] = {}
        for item in ITEMS:
            sold = self.state.pop(("today", item), 0)
            a_day[item] = self.state["a day", item] = (self.state.get(("a day", item), sold) + sold) / 2
        errs = False
        if day >= WRONG_DAY and "boxes" not in self.state and sum(a_day.values()) >= SALES_A_DAY:
            self.state["boxes"] = day
            errs = ctx.evidence is None
        ctx.report(0.6 if errs else 0.9, model="halves-2")
        for item in ITEMS:
            ctx.send("buyer", Forecast(item, a_day[item] * 50 if errs else a_day[item], str(ctx.step)))


class Buyer(Agent):
    """Keeps three days' sales in stock, with what is ordered."""

    @handles(Forecast)
    async def plan(self, message: Forecast, ctx: Context) -> None:
        self.state["forecast", message.item] = (message.a_day, message.by)
        ctx.ask("shop", HowMany(message.item), then=self.counted)

    async def counted(self, answer: Answer, ctx: Context) -> None:
        item = answer.asked.item
        a_day, _ = self.state["forecast", item]
        missing = round(3 * a_day) - answer.value - self.state.get(("coming", item), 0)
        if missing > 0 and ("offers", item) not in self.state:
            self.state["offers", item] = []
            for supplier in ("north", "south"):
                ctx.ask(supplier, Wanted(item, missing), then=self.offered, timeout=5 * DAY_S)

    async def offered(self, answer: Answer, ctx: Context) -> None:
        item, quantity = answer.asked.item, answer.asked.quantity
        offers = [*self.state["offers", item], (answer.agent, answer.value)]
        self.state["offers", item] = offers
        if len(offers) < 2:
            return
        del self.state["offers", item]
        known = [(cents, supplier) for supplier, cents in offers if cents is not None]
        if known:
            cents, supplier = min(known)
            order = Order(f"order {ctx.step}", item, quantity, cents, self.state["forecast", item][1])
            self.state["order", order.name] = (supplier, item, quantity, cents)
            self.state["coming", item] = self.state.get(("coming", item), 0) + quantity
            for whom in (supplier, "auditor"):
                ctx.send(whom, order)

    @handles(Delivery)
    async def came(self, message: Delivery, ctx: Context) -> None:
        self.state["coming", message.item] -= message.quantity


class Supplier(Agent):
    def __init__(self, cents: int, days: float) -> None:
        self.cents, self.days = cents, days

    @handles(Wanted)
    async def offer(self, message: Wanted, ctx: Context) -> None:
        ctx.reply(message.quantity * (self.cents + len(message.item)))

    @handles(Order)
    async def accept(self, message: Order, ctx: Context) -> None:
        ctx.after(self.days * DAY_S, ("ship", message.name, message.item, message.quantity, message.cents))

    @handles(tuple)
    async def ship(self, message: tuple[str, str, str, int, int], ctx: Context) -> None:
        _, name, item, quantity, cents = message
        for whom in ("shop", "buyer"):
            ctx.send(whom, Delivery(name, item, quantity))
        ctx.send("books", Invoice(name, ctx.agent, cents))
        self.state["earned"] = self.state.get("earned", 0) + cents


class Books(Agent):
    @handles(Invoice)
    async def pay(self, message: Invoice, ctx: Context) -> None:
        await ctx.call(enter, "payment", message.order, message.supplier, message.cents)
        self.state["paid", message.supplier] = self.state.get(("paid", message.supplier), 0) + message.cents


class Auditor(Agent):
    """Knows what is sold, and looks at every order."""

    @handles(Sold)
    async def learn(self, message: Sold, ctx: Context) -> None:
        seen = self.state.get(("sales", message.item), (0, 0))
        self.state["sales", message.item] = (seen[0] + 1, seen[1] + message.quantity)

    @handles(Order)
    async def look(self, message: Order, ctx: Context) -> None:
        sales, pieces = self.state.get(("sales", message.item), (0, 0))
        most = TOO_MUCH * max(1, SALES_A_DAY * pieces // max(1, sales))
        if message.quantity > most:
            why = f"{message.quantity} {message.item}, and {most} are more than anybody needs"
            ctx.rollback(message.forecast, inputs="retry", reason=why, evidence={"at most": most})
        else:
            self.state["passed"] = self.state.get("passed", 0) + 1


agents = {
    "shop": Shop,
    "forecaster": Forecaster,
    "buyer": Buyer,
    "north": (Supplier, {"cents": 100, "days": 0.5}),
    "south": (Supplier, {"cents": 101, "days": 0.2}),
    "books": Books,
    "auditor": Auditor,
}
options = {"checkpoint_every_s": 5 * DAY_S}


# -- what is sold, and whether the books are equal ---------------------------------------------------------------------


def sales_of(day: int) -> list[Sale]:
    chance = Random(day)
    return [
        Sale(SALES_A_DAY * day + number, chance.choice(ITEMS), chance.randint(1, 6)) for number in range(SALES_A_DAY)
    ]


async def main(cluster: Cluster) -> None:
    """Sell for a few days; what was handed in before is not sold again."""
    for day in range(DAYS):
        receipt = await cluster.submit("shop", *sales_of(day), key=f"day {day}")
        await asyncio.sleep(DAY_S if receipt.repeated == 0 else 0)


Entry = tuple[str, str, str, int]
"""Kind, name, item or supplier, amount."""


def entries() -> list[Entry]:
    with database() as db:
        return db.execute("select kind, name, item, amount from entries order by kind, name").fetchall()


def differences(states: dict[str, dict[Any, Any]], found: Iterable[Entry]) -> list[str]:
    """Return where the books and what agents say do not agree; while goods are under way they may not."""
    by_kind: dict[str, list[Entry]] = {"sale": [], "delivery": [], "payment": []}
    for entry in found:
        by_kind[entry[0]].append(entry)
    orders = {key[1]: value for key, value in states["buyer"].items() if key[0] == "order"}
    sold = {(str(sale.number), sale.item, sale.quantity) for day in range(DAYS) for sale in sales_of(day)}
    wrong: list[str] = []

    def equal(what: str, one: object, other: object) -> None:
        if one != other:
            wrong.append(f"{what}: {one} and {other}")

    equal("sales", sorted(entry[1:] for entry in by_kind["sale"]), sorted(sold))
    equal(
        "deliveries", Counter(entry[1:] for entry in by_kind["delivery"]),
        Counter((name, item, quantity) for name, (_, item, quantity, _) in orders.items()),
    )  # fmt: skip
    equal(
        "payments", Counter(entry[1:] for entry in by_kind["payment"]),
        Counter((name, supplier, cents) for name, (supplier, _, _, cents) in orders.items()),
    )  # fmt: skip
    for supplier in ("north", "south"):
        paid = sum(entry[3] for entry in by_kind["payment"] if entry[2] == supplier)
        equal(f"what {supplier} has earned", states[supplier].get("earned", 0), paid)
        equal(f"what {supplier} was paid", states["books"].get(("paid", supplier), 0), paid)
    for item in ITEMS:
        came = sum(entry[3] for entry in by_kind["delivery"] if entry[2] == item)
        left = sum(entry[3] for entry in by_kind["sale"] if entry[2] == item)
        equal(f"stock of {item}", states["shop"].get(("stock", item), STOCK), STOCK + came - left)
    equal("orders that were looked at", states["auditor"].get("passed", 0), len(orders))
    return wrong


async def report(folder: str) -> int:
    """Show the books of a cluster that runs; return 0 if they are equal."""
    async with Cluster.attach(folder) as cluster:
        states = {name: await cluster.state(name) for name in agents}
    wrong = differences(states, entries())
    print(*wrong or [told(states)], sep="\n")
    return 1 if wrong else 0


def told(states: dict[str, dict[Any, Any]]) -> str:
    found = entries()
    sums = {
        kind: sum(amount for each, _, _, amount in found if each == kind) for kind in ("sale", "delivery", "payment")
    }
    return (
        f"day {states['forecaster'].get('day', 0)}: sold {sums['sale']}, bought {sums['delivery']} for"
        f" {sums['payment'] / 100:.2f}; the books are equal"
    )


def world(seed: int = 0) -> int:
    """Play it in virtual time, with hosts that crash, and a network that loses and repeats."""
    from sims.faults import Crash, Duplicate, Loss
    from sims.world import World

    crashes = [Crash(f"host-{1 + number % 3}", at=DAY_S * (0.7 + number)) for number in range(6)]
    with World(
        seed, hosts=3, faults=[Loss(0.05, until=5 * DAY_S), Duplicate(0.05, until=5 * DAY_S), *crashes]
    ) as played:
        for name, kind in agents.items():
            cls, given = kind if isinstance(kind, tuple) else (kind, {})
            played.spawn(name, cls, **given)
        for day in range(DAYS):
            played.submit("shop", *sales_of(day), at=0.05 + DAY_S * day)
        played.run(until=(DAYS + 4) * DAY_S)
        states = {name: played.state(name) for name in agents}
        undone = {str(step) for step in played.retracted_by()}
    wrong = differences(states, entries())
    print(*wrong or [told(states)], sep="\n")
    print(f"{len(undone)} steps were undone")
    return 1 if wrong or not undone else 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["report", folder]:
            sys.exit(asyncio.run(report(folder)))
        case ["world"]:
            sys.exit(world())
        case ["world", seed]:
            sys.exit(world(int(seed)))
        case _:
            sys.exit(__doc__)
