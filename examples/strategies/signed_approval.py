"""A person agrees, and signs it, before much is paid.

The agent goes on meanwhile. Who has said what, and the signature, stand in the log.
Run it with `.venv/bin/python examples/strategies/signed_approval.py`.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from ebbtide import Agent, Approval, Call, Cluster, Context, NotEntitled, Person, Result, Wanted, handles, tool

PAID: dict[str, int] = {}  # stands for the world outside


def refund(call: Call) -> None:
    PAID.pop(call.intent, None)


@tool(undo=refund)
def pay(amount: int, *, intent: str) -> str:
    PAID[intent] = amount
    return "paid"


def is_much(wanted: Wanted) -> bool:
    return wanted.args[0] > 1000


class Clerk(Agent):
    approvals = (Approval("treasurer", tool=pay, when=is_much, question="Pay so much?"),)

    @handles(int)
    async def bill(self, message: int, ctx: Context) -> None:
        ctx.request(pay, message, then=self.answered)

    async def answered(self, result: Result, ctx: Context) -> None:
        self.state[result.args[0]] = result.value or result.error


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with Cluster(backend="local", folder=folder) as cluster:
            ann = Person.enrol(folder, "ann", "treasurer", key=Path(folder, "ann.key"))
            bob = Person.enrol(folder, "bob", key=Path(folder, "bob.key"))
            await cluster.spawn("clerk", Clerk)
            await cluster.submit("clerk", 40, 5000, 7000)
            await cluster.quiet()
            print("at once:", sorted(PAID.values()))

            first, second = await cluster.inbox(ann)
            print("ann is asked:", first.question, first.args[0], second.args[0])
            try:
                await first.approve(as_=bob)
            except NotEntitled:
                print("bob is not the treasurer")
            await first.approve("it was agreed on", as_=ann)
            await second.reject("never heard of it", as_=ann)
            await cluster.quiet()
            print("then:", sorted(PAID.values()))
            print(sorted((await cluster.state("clerk")).items()))


if __name__ == "__main__":
    asyncio.run(main())
