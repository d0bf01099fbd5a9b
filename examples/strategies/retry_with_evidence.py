"""Have a step done again, told what was wrong.

The handler sees the evidence and what its earlier run did. What it still wants stands; what it does not is undone.
Run it with `.venv/bin/python examples/strategies/retry_with_evidence.py`.
"""

import asyncio
from dataclasses import dataclass

from ebbtide import Agent, Call, Cluster, Context, handles, tool

BOOKED: list[str] = []  # stands for the world outside


@dataclass
class Evening:
    guests: int


def call_off(call: Call) -> None:
    BOOKED.remove(call.args[0])
    print("called off:", call.args[0])


@tool(undo=call_off)
def book(what: str) -> None:
    BOOKED.append(what)
    print("booked:", what)


class Planner(Agent):
    @handles(Evening)
    async def plan(self, message: Evening, ctx: Context) -> None:
        seats = message.guests // 2  # the mistake
        for run in ctx.earlier_runs:
            print(f"told by {run.step}: {run.reason}, {run.evidence}")
        if ctx.evidence is not None:
            seats = ctx.evidence["needed"]
        await ctx.call(book, "a band")
        await ctx.call(book, f"a hall for {seats}")
        self.state["seats"] = seats


async def main() -> None:
    async with Cluster(backend="local") as cluster:
        await cluster.spawn("planner", Planner)
        await cluster.submit("planner", Evening(40))
        await cluster.quiet()
        print("seats:", (await cluster.state("planner"))["seats"])

        await cluster.rollback(
            "planner/1/1", inputs="retry", reason="half of them would stand", evidence={"needed": 40}
        )
        await cluster.quiet()
        print("seats:", (await cluster.state("planner"))["seats"])
        print("booked in the end:", BOOKED)


if __name__ == "__main__":
    asyncio.run(main())
