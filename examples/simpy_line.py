"""A SimPy production line whose stations are peers, with a gauge that drifts.

Run it with `.venv/bin/python examples/simpy_line.py [retry]`.

SimPy owns time, material and machines; the stations' peers decide. An inspection finds out later what the gauge has
done: the cuts that went by it are rolled back, and material, machines and goods follow, for those orders and no others.
With `retry` they are made again, else dropped.
"""

import sys
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from ebbtide import Agent, Context, handles
from sims.embedding import Delivery, Proposed
from sims.extras import missing
from sims.ports import Reversible, act, sense
from sims.world import World

try:
    import simpy
except ModuleNotFoundError as error:
    raise missing(error, __name__) from None

TICK = 0.25
"""Seconds of SimPy's time after which the peers' world catches up, if nothing has come sooner."""
ORDERS, ORDER_EVERY, WELDING = 16, 2.0, 1.5
RIGHT, DRIFTED = 500, 530
"""Millimetres."""
DRIFT_FROM, DRIFT_TO, INSPECTION = 11.0, 17.0, 23.0
STEEL, PAINT = 100.0, 40.0
CUT, WELD, COAT = 3.0, 1.0, 2.0
"""What a part takes of steel, of steel again, and of paint."""

Events = Generator[simpy.Event, Any, None]


@dataclass
class Order:
    number: int


@dataclass
class Part:
    """Cut, to be welded."""

    number: int
    length: int


@dataclass
class Welded:
    """The machine has done it: comes from SimPy, when the time is over."""

    number: int


@dataclass
class Frame:
    """Welded, to be painted."""

    number: int
    length: int


class Cutter(Agent):
    @handles(Order)
    async def cut(self, message: Order, ctx: Context) -> None:
        # By attempt: who is asked to try again looks at the gauge again, which has been set right.
        length = await ctx.call(sense, "gauge", key=f"gauge {ctx.attempt}")
        if await ctx.call(act, "cut", message.number, length):
            ctx.send("welder", Part(message.number, length))


class Welder(Agent):
    @handles(Part)
    async def start(self, message: Part, ctx: Context) -> None:
        if await ctx.call(act, "weld", message.number, message.length):
            self.state["job", message.number] = message.length

    @handles(Welded)
    async def done(self, message: Welded, ctx: Context) -> None:
        # What SimPy says comes from outside; that it depends on the start of the job, this read tells.
        length = self.state.get(("job", message.number))
        if length is not None:
            ctx.send("painter", Frame(message.number, length))


class Painter(Agent):
    @handles(Frame)
    async def paint(self, message: Frame, ctx: Context) -> None:
        await ctx.call(act, "paint", message.number, message.length)


class Line:
    """The line in SimPy, and the peers' world beside it."""

    def __init__(self, seed: int = 1) -> None:
        self.env = simpy.Environment()
        self.steel = simpy.Container(self.env, STEEL, init=STEEL)
        self.paint = simpy.Container(self.env, PAINT, init=PAINT)
        self.torch = simpy.Resource(self.env, capacity=2)
        self.jobs: dict[int, simpy.Process] = {}
        self.shipped: dict[int, int] = {}
        """By order, the length of what was made."""
        self.orders: dict[int, Delivery] = {}
        self.found: list[int] = []
        self.asked: Proposed | None = None
        world = self.world = World(seed, hosts=2, checking="end")
        world.attach("gauge", lambda: DRIFTED if DRIFT_FROM <= self.env.now < DRIFT_TO else RIGHT)
        world.attach("cut", Reversible(lambda number, length: take(self.steel, CUT), undo=self.uncut))
        world.attach("weld", Reversible(self.weld, undo=self.unweld))
        world.attach("paint", Reversible(self.coat, undo=self.uncoat))
        for name, kind in (("cutter", Cutter), ("welder", Welder), ("painter", Painter)):
            world.spawn(name, kind)
        self.env.process(self.clock())
        self.env.process(self.office())

    # -- time and inputs: from SimPy to the peers ------------------------------------------------------------------

    def hand(self, agent: str, message: Any) -> Delivery:
        """Hand an input to a peer at SimPy's present."""
        self.world.run_until(self.env.now)
        return self.world.deliver(agent, message)

    def clock(self) -> Events:
        """Let the peers' world follow SimPy's time."""
        while True:
            yield self.env.timeout(TICK)
            self.world.run_until(self.env.now)

    def office(self) -> Events:
        """Take orders."""
        for number in range(ORDERS):
            self.orders[number] = self.hand("cutter", Order(number))
            yield self.env.timeout(ORDER_EVERY)

    def inspection(self, inputs: str) -> Events:
        """Measure what was shipped; have the cuts undone that went wrong, whatever was made of them."""
        yield self.env.timeout(INSPECTION)
        self.found = [number for number, length in self.shipped.items() if length != RIGHT]
        steps = [step for number in self.found for step in self.world.steps_of(self.orders[number])]
        self.asked = self.world.propose(*steps, inputs=inputs, reason="the gauge had drifted")

    # -- acts: from the peers to SimPy -----------------------------------------------------------------------------

    def uncut(self, was_cut: bool, number: int, length: int) -> None:
        """Steel goes back."""
        if was_cut:
            self.steel.put(CUT)

    def weld(self, number: int, length: int) -> bool:
        """Take steel, and start a job."""
        taken = take(self.steel, WELD)
        if taken:
            self.jobs[number] = self.env.process(self.welding(number))
        return taken

    def welding(self, number: int) -> Events:
        """Wait for a torch, weld, and tell the peer."""
        try:
            with self.torch.request() as torch:
                yield torch
                yield self.env.timeout(WELDING)
            self.hand("welder", Welded(number))
        except simpy.Interrupt:
            return

    def unweld(self, was_started: bool, number: int, length: int) -> None:
        """End the job if it is going on; steel goes back."""
        if was_started:
            job = self.jobs.pop(number)
            if job.is_alive:
                job.interrupt()
            self.steel.put(WELD)

    def coat(self, number: int, length: int) -> bool:
        """Take paint, and ship."""
        taken = take(self.paint, COAT)
        if taken:
            self.shipped[number] = length
        return taken

    def uncoat(self, was_shipped: bool, number: int, length: int) -> None:
        """Paint goes back, and so does what was shipped."""
        if was_shipped:
            del self.shipped[number]
            self.paint.put(COAT)

    def show(self) -> None:
        """Print where things stand."""
        wrong = sum(length != RIGHT for length in self.shipped.values())
        print(f"{self.env.now:6.2f} s: steel {self.steel.level:5.1f}, paint {self.paint.level:5.1f},", end=" ")
        print(f"shipped {len(self.shipped)}, of which wrong {wrong}")


def take(stock: simpy.Container, amount: float) -> bool:
    """Take material if there is enough, now."""
    request = stock.get(amount)
    if not request.triggered:
        request.cancel()
        return False
    return True


def main(inputs: str = "discard") -> Line:
    line = Line()
    line.env.process(line.inspection(inputs))
    for until in (INSPECTION, INSPECTION + 0.5, ORDERS * ORDER_EVERY + 10):
        line.env.run(until=until)
        line.show()
    assert line.asked is not None
    assert line.asked.outcome is not None
    print("found:", *(f"order {number}" for number in line.found))
    print("undone:", *line.asked.outcome.undone)
    line.world.settle()
    line.world.check()
    line.world.close()
    return line


if __name__ == "__main__":
    main(*sys.argv[1:2])
