"""Which detectors notice that a shop errs: a scenario of one's own for `ebbtide detect evaluate`.

    .venv/bin/ebbtide detect evaluate --scenario examples/detect_supply_chain.py:SupplyChain --quick

`.venv/bin/python examples/detect_supply_chain.py` plays it once, and says how many of its steps were wrong.
A scenario has a name, the features that its agents report, the faults that are put in, and `play`: one run, in virtual
time, with a fault or without. Here the shop of `supply_chain.py` now and then reads a wrong quantity, or reads it wrong
by more and more.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import supply_chain
from supply_chain import DAY_S, SALES_A_DAY, Auditor, Books, Buyer, Forecaster, Sale, Shop, Supplier, sales_of

from ebbtide import Context, handles
from sims.detection.injection import Injection, injected
from sims.detection.scenarios import Played, played
from sims.world import World

DAYS = 30


class WatchedShop(Shop):
    """The shop, which also reports what it sells: only what is reported can be looked at."""

    @handles(Sale)
    async def sell(self, message: Sale, ctx: Context) -> None:
        ctx.report(quantity=message.quantity)
        await super().sell(message, ctx)


class SupplyChain:
    name = "supply chain"
    features: Sequence[str] = ("quantity",)

    def __init__(self) -> None:
        sales = DAYS * SALES_A_DAY
        self.faults = {
            "hallucination": Injection("hallucination", "quantity", "Sale", size=20.0, rate=0.05),
            "drift": Injection("drift", "quantity", "Sale", first=sales // 3, last=sales * 2 // 3, size=3.0),
        }

    def play(self, seed: int, fault: Injection) -> Played:
        faulty = injected(WatchedShop, fault)
        agents = {"forecaster": Forecaster, "buyer": Buyer, "books": Books, "auditor": Auditor}
        with tempfile.TemporaryDirectory() as folder, World(seed, hosts=3, checking="end") as world:
            supply_chain.DATABASE = Path(folder) / "supply.db"
            world.spawn("shop", faulty)
            for name, kind in agents.items():
                world.spawn(name, kind)
            world.spawn("north", Supplier, cents=100, days=0.5)
            world.spawn("south", Supplier, cents=101, days=0.2)
            for day in range(DAYS):
                world.submit("shop", *sales_of(1000 * seed + day), at=0.05 + DAY_S * day)
            world.run(until=(DAYS + 1) * DAY_S)
            return played(world, ["shop"], faulty.struck)


if __name__ == "__main__":
    scenario = SupplyChain()
    run = scenario.play(1, scenario.faults["hallucination"])
    print(f"{len(run.wrong)} of {len(run.seen)} steps were wrong")
