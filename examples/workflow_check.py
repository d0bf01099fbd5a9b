"""Claims of an insurer: where it is too late to undo one, found before any is handled, and mended.

Run it with `.venv/bin/python examples/workflow_check.py`; `.venv/bin/ebbtide workflow check examples/workflow_check.py`
says the same of `agents`, for CI.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ebbtide import Agent, Approval, Call, Cluster, Context, Result, handles, tool
from peer.audit import Edges, read_trail
from peer.workflows import Graph, activity_of, check, workflow_of, workflow_of_classes

RESERVED: dict[str, int] = {}
SENT: list[str] = []
"""What stands for the world outside: money that is put aside, and transfers, which nobody can call back."""


@dataclass
class Claim:
    name: str
    damage: int


@dataclass
class Assessed:
    name: str
    amount: int


def free(call: Call) -> None:
    RESERVED.pop(call.args[0], None)


@tool(undo=free)
def reserve(name: str, amount: int) -> None:
    RESERVED[name] = amount


@tool(kind="irreversible")
def transfer(name: str, amount: int) -> None:
    SENT.append(f"{amount} to {name}")


class Assessor(Agent):
    @handles(Claim)
    async def assess(self, claim: Claim, ctx: Context) -> None:
        for who in ("payer", "statistics"):
            ctx.send(who, Assessed(claim.name, claim.damage * 8 // 10))


class Payer(Agent):
    @handles(Assessed)
    async def pay(self, message: Assessed, ctx: Context) -> None:
        await ctx.call(reserve, message.name, message.amount)
        ctx.request(transfer, message.name, message.amount, then=self.paid)

    async def paid(self, result: Result, ctx: Context) -> None:
        self.state["paid", result.args[0]] = result.happened


class CarefulPayer(Payer):
    approvals = (Approval(tool=transfer, question="May this be transferred? Nobody can undo it."),)


class Statistics(Agent):
    @handles(Assessed)
    async def count(self, message: Assessed, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message.amount


hasty = {"assessor": Assessor, "payer": Payer, "statistics": Statistics}
agents = hasty | {"payer": CarefulPayer}


async def run(folder: Path) -> None:
    """Handle two claims, and let a person agree to one."""
    async with Cluster("local", folder=folder, checkpoint_every_s=0.1) as cluster:
        for name, kind in agents.items():
            await cluster.spawn(name, kind)
        await cluster.submit("assessor", Claim("Ann", 100), Claim("Bob", 9_000))
        await cluster.quiet()
        for request in await cluster.inbox():
            if "Ann" in request.args:
                await request.approve("it is little")
        while not SENT:
            await asyncio.sleep(0.01)
        await cluster.quiet()
        for claim in ("assessor/1/2", "assessor/1/1"):
            outcome = await cluster.rollback(claim, inputs="discard", reason="no such damage")
            print(claim, "is undone" if outcome.committed else "can't be undone any more")


def main() -> None:
    for name, kinds in (("hasty", hasty), ("careful", agents)):
        found = check(workflow_of_classes(kinds, name))
        (case,) = found.cases
        print(f"{name}: {case.compensable} of {case.markings} markings can be compensated")
        for problem in found.problems:
            print("problem:", problem.text)
    graph = Graph(workflow_of_classes(agents))
    print("a wrong assessment can undo:", *graph.reach("Claim").agents_that_fall)
    print("a wrong payment keeps:", *graph.reach("payer").agents_that_keep_all)
    with TemporaryDirectory() as place:
        asyncio.run(run(Path(place)))
        trail = read_trail(Path(place))
    print("transferred:", *SENT, "reserved:", *RESERVED)
    logged, edges = Graph(workflow_of(trail)), Edges(trail)
    for root in trail.steps.values():
        cone = {activity_of(trail.steps[step].record) for step in edges.cone([root.id])}
        assert cone <= {*logged.reach_of([activity_of(root.record)]).falls}
    print("no cone of", len(trail.steps), "steps reaches further than that")


if __name__ == "__main__":
    main()
