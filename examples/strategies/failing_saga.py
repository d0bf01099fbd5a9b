"""Work over several agents that fails as a whole.

What was done for it is undone in the reverse order, wherever it was done. Other work stays.
Run it with `.venv/bin/python examples/strategies/failing_saga.py`.
"""

import asyncio
from dataclasses import dataclass

from ebbtide import Agent, Call, Cluster, Context, Saga, SagaFailed, handles, tool

BOOKED: list[str] = []  # stands for the world outside


@dataclass
class Journey:
    name: str


@dataclass
class Leg:
    saga: Saga


@dataclass
class Booked:
    name: str


def call_off(call: Call) -> None:
    BOOKED.remove(call.args[0])
    print("called off:", call.args[0])


@tool(undo=call_off)
def book(what: str) -> None:
    BOOKED.append(what)


class Agency(Agent):
    @handles(Journey)
    async def plan(self, message: Journey, ctx: Context) -> None:
        async with ctx.saga(message.name, failed=self.gave_up) as saga:
            await ctx.call(book, f"flight to {message.name}")
            ctx.send("hotel", Leg(saga.ref))

    @handles(Booked)
    async def booked(self, message: Booked, ctx: Context) -> None:
        if await ctx.saga(message.name).commit():
            self.state[message.name] = "booked"

    async def gave_up(self, failed: SagaFailed, ctx: Context) -> None:
        self.state[failed.name] = f"called off by {failed.by}: {failed.why}"


class Hotel(Agent):
    @handles(Leg)
    async def stay(self, message: Leg, ctx: Context) -> None:
        name = message.saga.name
        async with ctx.saga(message.saga):
            await ctx.call(book, f"room in {name}")
            if name == "Oslo":
                raise ValueError("the house is closed")
            ctx.send("agency", Booked(name))


async def main() -> None:
    async with Cluster(backend="local") as cluster:
        await cluster.spawn("agency", Agency)
        await cluster.spawn("hotel", Hotel)
        for name in ("Rome", "Oslo"):
            await cluster.submit("agency", Journey(name))
            await cluster.quiet()
        for name, what in (await cluster.state("agency")).items():
            print(f"{name}: {what}")
        print("booked in the end:", BOOKED)


if __name__ == "__main__":
    asyncio.run(main())
