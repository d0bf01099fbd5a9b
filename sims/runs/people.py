"""People in a scenario's world: agents that ask them, and what they say, late, twice, otherwise, or not at all.

Agents ask before they have something done, and have overseers (RQ-2, RQ-3, RB-13). What people have said and were told
of it is kept, so that checkers can compare it with what came of it.
"""

import asyncio
from collections.abc import Awaitable
from random import Random
from typing import Any

from peer import Agent, Approval, Call, Context, Happened, NotHappened, Overseer, Result, handles, tool
from peer.cluster.requests import PendingRequest
from peer.errors import EbbtideError
from sims.checkers.view import Word
from sims.topology import topology_of
from sims.virtual.chance import stream
from sims.virtual.tools import outside, post
from sims.workload import SharingAgent, Work, WorkAgent, Workload
from sims.workload import populate as populate_with
from sims.world import World

LOOK_S = 0.1
"""How long a person takes to look at every agent once, on average."""
ASK_S = 0.5
"""After which nobody waits for an answer any more: a host may be down."""
ROLLBACK = "rollback"


def was_sent(call: Call) -> Happened | NotHappened:
    """Tell whether a letter has left."""
    return Happened("sent") if call.intent in outside().posted else NotHappened()


@tool(kind="irreversible", check=was_sent)
def send_letter(number: int, *, intent: str) -> str:
    """Do something that nobody can undo."""
    outside().post(intent, number)
    return "sent"


class AskingAgent(WorkAgent):
    """Works as others do, and has something done for every other input, most of it when somebody has said yes."""

    @handles(Work)
    async def work(self, message: Work, ctx: Context) -> None:
        """Work, and ask."""
        await super().work(message, ctx)
        rng = Random(f"{self.seed}/{self.name}/{ctx.input.lineage}/{ctx.attempt}/asks")
        if rng.random() < 0.5:
            wanted = rng.choice((send_letter, post))
            default, deadline = rng.choice(("reject", "approve")), rng.choice((None, None, 0.05, 0.3))
            rule = Approval(deadline=deadline, default=default) if rng.random() < 0.7 else None
            ctx.request(wanted, rng.randrange(2), then=self.done, approval=rule, timeout=rng.choice((None, None, 0.2)))
        if rng.random() < 0.2:
            ctx.ask_person("how many?", then=self.done, about=rng.randrange(2))

    async def done(self, result: Result, ctx: Context) -> None:
        """Note what has come of it."""
        self.state["done", result.tool] = self.state.get(("done", result.tool), 0) + result.happened


class OverseenAgent(AskingAgent):
    """Asks somebody before anything of it is undone."""

    overseers = (Overseer(),)


class LaxAgent(AskingAgent, SharingAgent):
    """Asks before much of it is undone, and takes silence for a yes."""

    overseers = (Overseer(steps=2, deadline=0.5, default="approve"),)


class StrictAgent(AskingAgent):
    """Takes silence for a no."""

    overseers = (Overseer(deadline=0.5),)


KINDS: tuple[type[Agent], ...] = (AskingAgent, OverseenAgent, OverseenAgent, LaxAgent, StrictAgent)


class People:
    """Two people, who look at what waits and say what the seed wants."""

    def __init__(self, world: World) -> None:
        self._world = world
        for name in ("ann", "bob"):
            world.engine.loop.create_task(self._live(name, stream(world.seed, f"people/{name}")))

    async def _live(self, name: str, rng: Random) -> None:
        while True:
            agents = self._world.agents
            await asyncio.sleep(rng.expovariate(1.0) * LOOK_S / len(agents))
            agent = rng.choice(agents)
            found = await self._within(self._world.engine.operator.requests(agent))
            for request in found or ():
                # A rollback has everybody wait, so most of them are answered; of requests some are never.
                if rng.random() < (0.7 if request.tool == ROLLBACK else 0.3):
                    await self._say(request, name, rng)

    async def _say(self, request: PendingRequest, by: str, rng: Random) -> None:
        """Say a word, perhaps late, perhaps twice, perhaps another afterwards."""
        verbs = [_verb(request, rng)] * rng.choice((1, 2, 2))
        if rng.random() < 0.3:
            verbs.append(_verb(request, rng))
        for verb in verbs:
            await asyncio.sleep(rng.choice((0.0, 0.0, 0.01, 0.1)))
            counts = await self._within(_word(request, verb, by))
            if counts:
                self._noted(request, verb, by)

    def _noted(self, request: PendingRequest, verb: str, by: str) -> None:
        said = self._world.engine.said
        if request.tool != ROLLBACK:
            said.words.append(Word(request.agent, request.step, request.name, verb, by))
        elif verb == "approve":
            said.agree(request.agent, request.name.partition(":")[2], request.kwargs["steps"])

    async def _within(self, wanted: Awaitable[Any]) -> Any:
        """Return what comes of asking a host; None if nothing does, or it refuses."""
        try:
            return await asyncio.wait_for(wanted, ASK_S)
        except (TimeoutError, EbbtideError):
            return None


def populate(world: World, workload: Workload, topology: str) -> None:
    """Fill a world with agents that ask people, and with these."""
    graph = topology_of(topology, len(world.hosts) * world.agents_per_host, world.seed)
    rng = stream(world.seed, "people")
    kinds = {number: rng.choice(KINDS) for number in graph}
    names = populate_with(world, workload, graph, kinds)
    for name, kind in zip(names, kinds.values(), strict=True):
        for rule in kind.overseers:
            world.engine.said.overseen[name] = rule.steps
            if rule.deadline is not None and rule.default == "approve":
                world.engine.said.lax.add(name)
    People(world)


def _verb(request: PendingRequest, rng: Random) -> str:
    if request.tool == ROLLBACK:
        return rng.choice(("approve",) * 9 + ("reject",))
    if request.tool == "person":
        return rng.choice(("answer", "answer", "reject"))
    return rng.choice(("approve", "approve", "reject", "release"))


async def _word(request: PendingRequest, verb: str, by: str) -> bool:
    """Say a word. Raises: EbbtideError."""
    match verb:
        case "approve":
            await request.approve("as the seed wants", by=by)
        case "reject":
            await request.reject("as the seed wants", by=by)
        case "answer":
            await request.answer(7, by=by)
        case _:
            await request.release("as the seed wants", by=by)
    return True
