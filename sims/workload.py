"""What agents of a simulated world do: when inputs come, and an agent that does a bit of everything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Protocol

import msgspec
from msgspec import Struct

from peer import Agent, Context, handles
from protocol.ids import AgentId
from sims.engine.engine import Engine
from sims.topology import Graph
from sims.virtual.chance import stream
from sims.virtual.tools import post

SPACE = "work"


class Poisson(Struct, frozen=True, tag=True):
    """Inputs at random times, `rate` a second on average."""

    rate: float = 100.0

    def times(self, rng: Random, count: int) -> Iterator[float]:
        """Yield the times of `count` inputs, in seconds."""
        at = 0.0
        for _ in range(count):
            at += rng.expovariate(self.rate)
            yield at


class Periodic(Struct, frozen=True, tag=True):
    """An input every so many seconds."""

    every: float = 0.01

    def times(self, rng: Random, count: int) -> Iterator[float]:
        """Yield the times of `count` inputs, in seconds."""
        for number in range(count):
            yield number * self.every


class Burst(Struct, frozen=True, tag=True):
    """`size` inputs at once, every so many seconds."""

    size: int = 10
    every: float = 0.2

    def times(self, rng: Random, count: int) -> Iterator[float]:
        """Yield the times of `count` inputs, in seconds."""
        for number in range(count):
            yield number // self.size * self.every


class ClosedLoop(Struct, frozen=True, tag=True):
    """`clients` that each hand in an input, wait until it is durable, think, and hand in the next."""

    clients: int = 4
    think: float = 0.005


Arrivals = Poisson | Periodic | Burst | ClosedLoop


class Workload(Struct, frozen=True):
    """How much is done, and of what kind."""

    inputs: int = 60
    arrivals: Arrivals = Poisson(200.0)
    depth: int = 3
    """How many steps a chain has at most after its first."""
    fan_out: int = 2
    """How many messages a step sends at most."""
    keys: int = 3
    """Keys of each agent's own state: the fewer, the more its steps depend on each other."""
    shared: float = 0.2
    """Share of steps that read, and half of them write, a counter of the shared space."""
    shared_keys: int = 2
    """Counters there: the fewer, the more agents depend on each other."""
    sharing: float = 1.0
    """Share of agents that take part in the shared space at all."""
    calls: float = 0.2
    """Share of steps that call a tool."""
    failing: float = 0.02
    """Share of runs that raise."""
    thinking_us: int = 0
    """How long a handler waits at most, with the world going on meanwhile."""
    payload: int = 20
    """Bytes that each message carries besides."""
    rejects: float = 0.0
    """Share of proposals that an agent does not agree to."""
    begin: float = 0.0
    """Virtual seconds until the first inputs may come."""


class Work(Struct, frozen=True):
    """A piece of work, and how many more may follow from it."""

    depth: int
    ballast: bytes = b""


class WorkAgent(Agent):
    """An ordinary agent, with nothing special but that its chance comes from the seed and the input.

    Args:
        workload: what it does, as a `Workload` or its fields: options must be plain values where agents move.
        targets: whom it writes to.
        seed: of its chance.
    """

    def __init__(self, workload: Workload | dict[str, Any], targets: Sequence[AgentId], seed: int) -> None:
        self.workload = msgspec.convert(workload, Workload) if isinstance(workload, dict) else workload
        self.targets = tuple(targets)
        self.seed = seed

    @handles(Work)
    async def work(self, message: Work, ctx: Context) -> None:
        """Read, write, count, call and send, as chance wants."""
        plan = self.workload
        mood = Random(f"{self.seed}/{self.name}/{ctx.input.lineage}/{ctx.attempt}")
        # A re-run often does the same again, sometimes something else: as a model would.
        rng = Random(f"{self.seed}/{self.name}/{ctx.input.lineage}/{ctx.attempt if mood.random() < 0.4 else 0}")
        if plan.thinking_us:
            await asyncio.sleep(mood.randrange(plan.thinking_us) / 1e6)
        if rng.random() < 0.6:
            self.state.get(f"k{rng.randrange(plan.keys)}")
        if rng.random() < 0.03:
            len(self.state)
        if self.spaces and rng.random() < plan.shared:
            counter = ctx.space(SPACE).counter(f"c{rng.randrange(plan.shared_keys)}")
            if rng.random() < 0.5:
                counter.add(1)
            else:
                _ = counter.value
        if rng.random() < plan.calls:
            for _ in range(rng.randint(1, 2)):
                await ctx.call(post, rng.randrange(3))
        if rng.random() < 0.7:
            self.state[f"k{rng.randrange(plan.keys)}"] = rng.randrange(1000)
        if mood.random() < plan.failing:
            raise RuntimeError("as the workload wants")
        if message.depth > 0 and self.targets:
            for _ in range(rng.randint(0, plan.fan_out)):
                ctx.send(rng.choice(self.targets), Work(message.depth - 1, bytes(plan.payload)))

    async def still_valid(self, proposal: object) -> bool | str:
        """Agree, or not, as the seed wants: always the same for one proposal."""
        name = getattr(proposal, "id", "")
        return Random(f"{self.seed}/{self.name}/{name}").random() >= self.workload.rejects or "not today"


class SharingAgent(WorkAgent):
    """One that takes part in the shared space."""

    spaces: ClassVar[tuple[str, ...]] = (SPACE,)


class Workplace(Protocol):
    """A world, as far as it is to be filled with work."""

    seed: int

    @property
    def engine(self) -> Engine:
        """What moves it."""
        ...

    def spawn(self, name: AgentId, kind: type[Agent], *, host: str | None = None, **options: Any) -> AgentId:
        """Add an agent."""
        ...

    def submit(self, agent: AgentId, *messages: Any, at: float | None = None) -> None:
        """Hand inputs to an agent from outside, now or at a time."""
        ...


def populate(
    world: Workplace, workload: Workload, graph: Graph, kinds: Mapping[int, type[Agent]] | None = None
) -> list[AgentId]:  # fmt: skip
    """Spawn an agent for each place of a graph, and schedule the workload's inputs; return the agents' names.

    Args:
        kinds: of which class each agent is, by its place; None: all do a bit of everything.
    """
    rng = stream(world.seed, "workload")
    names = {number: f"a{number}" for number in graph}
    for number, targets in graph.items():
        sharing = workload.shared > 0 and rng.random() < workload.sharing
        kind = SharingAgent if sharing else WorkAgent
        world.spawn(
            names[number], kinds[number] if kinds else kind,
            workload=msgspec.to_builtins(workload), targets=tuple(names[target] for target in targets), seed=world.seed,
        )  # fmt: skip
    agents = list(names.values())
    if isinstance(workload.arrivals, ClosedLoop):
        for client in range(workload.arrivals.clients):
            _client(world, workload, workload.arrivals, agents, client)
        return agents
    for at in workload.arrivals.times(rng, workload.inputs):
        world.submit(rng.choice(agents), Work(workload.depth, bytes(workload.payload)), at=workload.begin + at)
    return agents


def _client(world: Workplace, workload: Workload, loop: ClosedLoop, agents: list[AgentId], number: int) -> None:
    rng = stream(world.seed, f"client/{number}")

    async def go() -> None:
        await asyncio.sleep(workload.begin)
        for _ in range(number, workload.inputs, loop.clients):
            await asyncio.sleep(rng.expovariate(1.0) * loop.think)
            await world.engine.operator.hand_in(rng.choice(agents), [Work(workload.depth, bytes(workload.payload))])

    world.engine.later(None, f"client {number}", go)
