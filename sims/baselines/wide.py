"""A few busy ones among very many agents: each has its process from when it is first spoken to.

Who has never been spoken to is as it was born, so nothing differs from a run that has begun with all of them
(`tests/unit/sims/baselines/test_wide.py`), but for the memory and the time that they would take here.
"""

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

from sims.baselines.application import Application, Item, Load, Task
from sims.baselines.ebbtide import Ebbtide
from sims.baselines.measures import Measured, measured
from sims.baselines.orchestrator import process as orchestrated
from sims.baselines.process import Durable, Effect, Process, Setting, Started, Write
from sims.baselines.rig import Rig, Seat, Terms

STEPS_PER_AGENT_S = 0.1
"""By agent and second, on average: so a million do a hundred thousand steps a second together."""
WIDTH, DEPTH = 3, 3
CONE = sum(WIDTH**level for level in range(DEPTH + 1))
"""From each input so many steps follow, the first one included: forty."""
HORIZON_US = 200_000
MAKES: dict[str, Callable[[int, Setting], Process]] = {"ebbtide": Ebbtide, "orchestrator": orchestrated}
TERMS = Terms(checkpoint_us=0)


class Strangers(Mapping[int, tuple[int, ...]]):
    """Everybody writes to `WIDTH` others, who are drawn among all when somebody asks for them."""

    def __init__(self, agents: int, seed: int) -> None:
        self._agents = agents
        self._seed = seed

    def __getitem__(self, agent: int) -> tuple[int, ...]:
        drawn = Random(f"{self._seed}/{agent}/writes to").sample(range(self._agents - 1), WIDTH)
        return tuple(other + (other >= agent) for other in drawn)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._agents))

    def __len__(self) -> int:
        return self._agents


class Trees(Application):
    """Each input becomes a tree of `CONE` steps, and inputs come as fast as the number of agents asks for."""

    def task(self, agent: int, item: Item, wrong: bool) -> Task:
        """Return what a step does: it writes to all that its agent writes to, unless it is a leaf."""
        load = self.load
        rng = Random(f"{load.seed}/{agent}/{item.lineage}/{wrong}")
        reads = (rng.choice(self.keys),) if rng.random() < load.reads else ()
        writes = (rng.choice(self.keys),) if rng.random() < load.writes or wrong else ()
        mark = "!" if wrong else "."
        receivers = self.graph[agent] if item.depth > 0 else ()
        sends = tuple((receiver, f"{item.lineage}{mark}{at}") for at, receiver in enumerate(receivers))
        return Task(reads, writes, sends, rng.randint(load.run_us_least, load.run_us_most))

    def rate(self) -> float:
        """Return how many inputs come in a microsecond."""
        return self.load.agents * STEPS_PER_AGENT_S / CONE / 1e6


class LateRig(Rig):
    """A rig in which a process is made when something first comes for it."""

    def __init__(self, application: Application, make: Callable[[int, Setting], Process], terms: Terms) -> None:
        super().__init__(application, lambda setting: [], terms)
        setting = Setting(application.graph, application.load.seed, terms.checkpoint_us)
        self.seats: Any = Seats(lambda place: make(place, setting))


class Seats:
    """The processes, by number; iterating gives those that there are."""

    def __init__(self, make: Callable[[int], Process]) -> None:
        self._make = make
        self._made: dict[int, Seat] = {}

    def __getitem__(self, place: int) -> Seat:
        if place not in self._made:
            self._made[place] = Seat(_begun(self._make(place)))
        return self._made[place]

    def __iter__(self) -> Iterator[Seat]:
        return iter(self._made.values())

    def __len__(self) -> int:
        """Return how many there are from the beginning."""
        return 0

    def made(self) -> int:
        """Return how many there are by now."""
        return len(self._made)


def _begun(process: Process) -> Process:
    """Have a process begin as it would have when the run did: what it then had to write is long durable."""
    todo: list[Effect] = process.handle(Started(), 0)
    while todo:
        effect = todo.pop(0)
        assert isinstance(effect, Write), f"who is spoken to late has said something before: {effect}"
        todo.extend(process.handle(Durable(effect.ticket), 0))
    return process


def load_of(agents: int, seed: int) -> Load:
    """Return what so many agents do."""
    return Load(agents, "strangers", seed, horizon_us=HORIZON_US, depth=DEPTH, fan_out=WIDTH)


def run_wide(protocol: str, agents: int, seed: int, terms: Terms = TERMS) -> tuple[Measured, int]:
    """Make one run, and judge it; return what it cost, and how many processes were made.

    Args:
        protocol: one of `MAKES`.

    Raises: AssertionError, if the protocol has left anything wrong behind.
    """
    rig = LateRig(Trees(load_of(agents, seed), Strangers(agents, seed)), MAKES[protocol], terms)
    found = measured(rig.run(), protocol)
    return found, rig.seats.made()
