"""An overseer refuses a rollback; less is tried.

`if_rejected=[narrower]` leaves out the steps that would undo something at an agent that has refused.
Run it with `.venv/bin/python examples/strategies/overseer_then_narrower.py`.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from ebbtide import Agent, Cluster, Context, Overseer, Person, handles, narrower


class Desk(Agent):
    """Takes reports, and tells the books of those that are about money."""

    @handles(str)
    async def report(self, message: str, ctx: Context) -> None:
        self.state[message] = "noted"
        if message.endswith("paid"):
            ctx.send("books", message)


class Books(Agent):
    overseers = (Overseer("auditor"),)

    @handles(str)
    async def enter(self, message: str, ctx: Context) -> None:
        self.state[message] = "booked"


async def refuse(cluster: Cluster, auditor: Person) -> None:
    """Say no to the first rollback that the auditor is asked about."""
    while not (waiting := await cluster.inbox(auditor)):
        await asyncio.sleep(0.01)
    print("eve is asked:", waiting[0].question)
    await waiting[0].reject("what is booked stays", as_=auditor)


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with Cluster(backend="local", folder=folder) as cluster:
            eve = Person.enrol(folder, "eve", "auditor", key=Path(folder, "eve.key"))
            await cluster.spawn("desk", Desk)
            await cluster.spawn("books", Books)
            for report in ("mill paid", "rain"):
                await cluster.submit("desk", report)
                await cluster.quiet()

            asked = asyncio.create_task(refuse(cluster, eve))
            outcome = await cluster.rollback(
                "desk/1/1", "desk/1/2", inputs="discard", reason="hearsay", if_rejected=[narrower]
            )
            await asked
            await cluster.quiet()
            for attempt in outcome.attempts:
                print("tried:", *attempt.steps, "->", "agreed" if attempt.committed else attempt.rejects[0][1])
            print("undone:", *outcome.undone)
            print(await cluster.state("desk"), await cluster.state("books"))


if __name__ == "__main__":
    asyncio.run(main())
