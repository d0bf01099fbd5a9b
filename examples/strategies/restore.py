"""Take all agents back to a checkpoint.

For when it is not known which step was wrong, but when everything was still right.
Run it with `.venv/bin/python examples/strategies/restore.py`.
"""

import asyncio

from ebbtide import Agent, Call, Cluster, Context, handles, tool

SHIPPED: dict[str, int] = {}  # stands for the world outside


def bring_back(call: Call) -> None:
    SHIPPED.pop(call.intent, None)


@tool(undo=bring_back)
def ship(number: int, *, intent: str) -> None:
    SHIPPED[intent] = number


class Planner(Agent):
    @handles(int)
    async def plan(self, message: int, ctx: Context) -> None:
        self.state["planned"] = self.state.get("planned", 0) + message
        ctx.send("store", message)


class Store(Agent):
    @handles(int)
    async def send_out(self, message: int, ctx: Context) -> None:
        await ctx.call(ship, message)
        self.state["shipped"] = self.state.get("shipped", 0) + message


async def tell(cluster: Cluster, when: str) -> None:
    await cluster.quiet()
    print(f"{when}:", await cluster.state("planner"), await cluster.state("store"), sorted(SHIPPED.values()))


async def main() -> None:
    async with Cluster(backend="local", checkpoints_kept=4) as cluster:
        await cluster.spawn("planner", Planner)
        await cluster.spawn("store", Store)
        await cluster.submit("planner", 1, 2)
        await tell(cluster, "good")
        epoch = await cluster.checkpoint()
        await cluster.submit("planner", 1000, 2000)
        await tell(cluster, "bad")

        await cluster.restore(epoch, reason="the plans since were nonsense")
        await tell(cluster, "restored")
        print("not handled:", [letter.message for letter in await cluster.dead_letters("planner")])
        await cluster.submit("planner", 3)
        await tell(cluster, "and on")


if __name__ == "__main__":
    asyncio.run(main())
