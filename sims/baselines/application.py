"""The application that every protocol runs: what a step reads, writes, sends and takes follows from its input alone.

So all protocols are given the same work at the same times, whatever they do with it. The one thing that changes is the
wrong step: its first run does something else than its corrected one.
"""

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

import numpy as np
from msgspec import Struct, msgpack

from sims.topology import topology_of
from sims.virtual.chance import stream


class Load(Struct, frozen=True):
    """How much is done, of what kind, and what goes wrong."""

    agents: int = 10
    topology: str = "small-world"
    seed: int = 0
    horizon_us: int = 1_200_000
    """Inputs from outside come for this long."""
    utilization: float = 0.4
    """Share of its time that the busiest agent works, on average: the rate of inputs follows from it."""
    depth: int = 3
    """How many steps a chain has at most after its first."""
    fan_out: int = 2
    """How many messages a step sends at most."""
    keys: int = 3
    """Keys of each agent's own state."""
    reads: float = 0.5
    """Share of steps that read a key."""
    writes: float = 0.6
    """Share of steps that write one."""
    run_us_least: int = 4_000
    run_us_most: int = 16_000
    ballast: int = 64
    """Bytes that each message carries besides."""
    wrong_from: float = 0.4
    wrong_to: float = 0.6
    """The wrong step handles the first input after a time between these shares of the horizon, as the seed wants."""
    found_after_us: int = 100_000
    """How long after its end a wrong step is found out."""


class Item(Struct, frozen=True, array_like=True):
    """What a step handles: an input from outside, or a message of another step."""

    lineage: str
    """Which piece of work this is: the same however often it is done again."""
    depth: int
    producer: int
    """The step that sent it, as the rig numbers them; 0: the world outside. The judge's mark: no protocol reads it."""
    ballast: bytes


class Task(NamedTuple):
    """What one step does."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    sends: tuple[tuple[int, str], ...]
    """Receivers, and the lineages of what they are sent."""
    run_us: int


class Arrival(NamedTuple):
    """An input from outside, and when it comes."""

    at_us: int
    agent: int
    item: Item


class Application:
    """The work under one load."""

    def __init__(self, load: Load, graph: Mapping[int, tuple[int, ...]] | None = None) -> None:
        self.load = load
        self.graph = topology_of(load.topology, load.agents, load.seed) if graph is None else graph
        self.keys = tuple(f"k{number}" for number in range(load.keys))
        self._ballast = bytes(load.ballast)

    def task(self, agent: int, item: Item, wrong: bool) -> Task:
        """Return what a step of `agent` does with an input; a wrong one does something else."""
        load = self.load
        rng = Random(f"{load.seed}/{agent}/{item.lineage}/{wrong}")
        reads = (rng.choice(self.keys),) if rng.random() < load.reads else ()
        # A wrong step always leaves something behind: else there would be nothing to undo.
        writes = (rng.choice(self.keys),) if rng.random() < load.writes or wrong else ()
        receivers = self.graph[agent]
        count = rng.randint(int(wrong), load.fan_out) if item.depth > 0 and receivers else 0
        mark = "!" if wrong else "."
        sends = tuple((rng.choice(receivers), f"{item.lineage}{mark}{at}") for at in range(count))
        return Task(reads, writes, sends, rng.randint(load.run_us_least, load.run_us_most))

    def message(self, item: Item, lineage: str, producer: int) -> Item:
        """Return what a step that handled `item` sends."""
        return Item(lineage, item.depth - 1, producer, self._ballast)

    def arrivals(self) -> list[Arrival]:
        """Return every input from outside, in order of time: at least one."""
        rng = stream(self.load.seed, "arrivals")
        rate = self.rate()
        found: list[Arrival] = []
        at_us = 0.0
        while True:
            at_us += rng.expovariate(rate)
            if at_us >= self.load.horizon_us and found:
                return found
            item = Item(str(len(found)), self.load.depth, 0, self._ballast)
            found.append(Arrival(int(at_us), rng.randrange(self.load.agents), item))

    def wrong_lineage(self, arrivals: list[Arrival]) -> str:
        """Return the input whose first handling is wrong: the first after some time, or the last of all."""
        # Not at a fixed time: it would come as long after everybody's last checkpoint in every run.
        chance = stream(self.load.seed, "wrong")
        border_us = chance.uniform(self.load.wrong_from, self.load.wrong_to) * self.load.horizon_us
        late = [arrival.item.lineage for arrival in arrivals if arrival.at_us >= border_us]
        return late[0] if late else arrivals[-1].item.lineage

    def rate(self) -> float:
        """Return how many inputs come in a microsecond, so that the busiest agent is as busy as the load says."""
        count = self.load.agents
        onward = np.zeros((count, count))
        for agent, receivers in self.graph.items():
            for receiver in receivers:
                onward[agent, receiver] += self.load.fan_out / 2 / len(receivers)
        visits = np.full(count, 1 / count)
        steps = visits.copy()
        for _ in range(self.load.depth):
            visits = visits @ onward
            steps += visits
        mean_us = (self.load.run_us_least + self.load.run_us_most) / 2
        return self.load.utilization / (float(steps.max()) * mean_us)


def content_bytes(item: Item) -> int:
    """Return the size of what the application itself says in a message."""
    return len(msgpack.encode(item))
