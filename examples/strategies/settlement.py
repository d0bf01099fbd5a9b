"""What nobody can undo waits for a checkpoint.

Until its step is settled, undoing that just forgets it. From then on its agent refuses to undo it.
Run it with `.venv/bin/python examples/strategies/settlement.py`.
"""

import asyncio

from ebbtide import Agent, Cluster, Context, Result, handles, tool

WIRED: list[str] = []  # stands for the world outside: nobody gets it back


@tool(kind="irreversible")
def wire(to: str) -> str:
    WIRED.append(to)
    return "wired"


class Clearing(Agent):
    @handles(str)
    async def trade(self, message: str, ctx: Context) -> None:
        ctx.request(wire, message, then=self.settled)
        self.state["step", message] = str(ctx.step)

    async def settled(self, result: Result, ctx: Context) -> None:
        self.state[result.args[0]] = result.value or result.error


async def main() -> None:
    async with Cluster(backend="local") as cluster:
        await cluster.spawn("clearing", Clearing)
        await cluster.submit("clearing", "mill", "dairy")
        await cluster.quiet()
        print("before the checkpoint:", WIRED, [request.args[0] for request in await cluster.requests("clearing")])

        state = await cluster.state("clearing")
        outcome = await cluster.rollback(state["step", "dairy"], inputs="discard", reason="a typing error")
        print("dairy undone:", outcome.committed)

        await cluster.checkpoint()
        while not WIRED:
            await asyncio.sleep(0.01)
        await cluster.quiet()
        print("after it:", WIRED, (await cluster.state("clearing"))["mill"])

        outcome = await cluster.rollback(state["step", "mill"], inputs="discard", reason="too late")
        print("mill undone:", outcome.committed, "since it", outcome.rejects[0][1].partition(" has ")[2])


if __name__ == "__main__":
    asyncio.run(main())
