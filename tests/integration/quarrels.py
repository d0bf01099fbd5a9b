"""Agents that undo each other's steps, again and again; and a world's logs as an audit reads them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ebbtide import Agent, Context, Overseer, every, handles
from peer.audit.reader import trail_of
from peer.audit.trail import Trail
from peer.damage import Damage
from peer.store.reading import Stored
from peer.workflows import Repeated
from sims.engine.box import Box
from sims.world import World


@dataclass
class Plan:
    what: str


@dataclass
class Planned:
    what: str
    step: str


class Planner(Agent):
    """Has whatever another has planned undone, if it is not the same: each round is a run of the same input."""

    def __init__(self, other: str) -> None:
        self.other = other

    @handles(Plan)
    async def plan(self, message: Plan, ctx: Context) -> None:
        self.state["plan"] = message.what
        ctx.send(self.other, Planned(message.what, str(ctx.step)))

    @handles(Planned)
    async def planned(self, message: Planned, ctx: Context) -> None:
        if self.state.get("plan") != message.what:
            ctx.rollback(message.step, reason="mine is better")


class Patient(Planner):
    """Says how often its inputs are run."""

    attempts = 4


class Restless(Agent):
    """Looks every second what the other has written, without depending on it, and has that undone: a new input each."""

    spaces = ("plan",)

    def __init__(self, other: str) -> None:
        self.other = other

    @every(1.0)
    async def look(self, ctx: Context) -> None:
        theirs = ctx.space("plan").map("last").observe(self.other)
        if theirs is not None:
            ctx.rollback(theirs, inputs="discard", reason="mine is better")
        ctx.send(self.name, "write")

    @handles(str)
    async def write(self, message: str, ctx: Context) -> None:
        ctx.space("plan").map("last")[self.name] = str(ctx.step)


class Watched(Restless):
    """Has a person asked of the fifth such rollback and each later one; without a word in time it is rejected."""

    overseers = (Overseer(to="boss", when=Repeated(4), deadline=5),)


class Quick(Restless):
    """Looks often, and waits for a person's word on the fifth."""

    overseers = (Overseer(when=Repeated(4)),)

    @every(0.02)
    async def look(self, ctx: Context) -> None:
        await super().look(ctx)


class WorldLogs:
    """What is on one virtual disk."""

    def __init__(self, box: Box) -> None:
        self.folder = Path(box.name)
        self._logs = box.disk.logs

    def refresh(self) -> None: ...

    def agents(self) -> list[str]:
        return sorted(self._logs)

    def length(self, agent: str) -> int:
        return len(self._logs[agent])

    def first(self, agent: str) -> int:
        return 1

    def after(self, agent: str, number: int) -> int | None:
        return None

    def nameless(self) -> list[Damage]:
        return []

    def read(self, agent: str, first: int = 1) -> Iterator[Stored]:
        for number, body in enumerate(self._logs[agent][first - 1 :], first):
            yield Stored(number, b"", body)


def trail_of_world(world: World) -> Trail:
    """Return the trail of a world's disks."""
    return trail_of(Path(f"world-{world.seed}"), [WorldLogs(box) for box in world.engine.boxes.values()])
