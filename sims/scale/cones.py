"""What a rollback costs: messages against the size of the cone, and against how many agents there are besides."""

from collections.abc import Iterator
from dataclasses import dataclass

from msgspec import Struct

from peer import Agent, Context, handles
from protocol.ids import AgentId
from sims.metrics import rollback_costs
from sims.world import World

AGENTS_PER_HOST = 100
WIDTH = 3
"""To how many others each agent of a cone passes its step on."""


class Spread(Struct, frozen=True):
    """Something to be passed on to the next `WIDTH` agents, for `depth` more steps."""

    at: int
    depth: int


class Spreader(Agent):
    """Passes on what it gets, as a tree in which no agent has two places.

    Args:
        names: all agents, by number.
    """

    def __init__(self, names: tuple[AgentId, ...]) -> None:
        self.names = names

    @handles(Spread)
    async def spread(self, message: Spread, ctx: Context) -> None:
        """Note it, and pass it on."""
        self.state["last"] = message.at
        for child in range(message.at * WIDTH + 1, message.at * WIDTH + 1 + WIDTH) if message.depth else ():
            ctx.send(self.names[child % len(self.names)], Spread(child, message.depth - 1))


@dataclass(frozen=True)
class ConeRow:
    """One rollback of a tree of steps, each at another agent."""

    agents: int
    cone: int
    messages: int
    bytes: int
    virtual_ms: float
    """From the proposal to the last elector's decision."""


def size(depth: int) -> int:
    """Return how many steps a tree of that depth has."""
    return (WIDTH ** (depth + 1) - 1) // (WIDTH - 1)


def cone_rows(agents: int, depths: tuple[int, ...], seed: int = 1) -> Iterator[ConeRow]:
    """Yield a row for each depth of the tree, in one world of so many agents."""
    hosts = max(2, -(-agents // AGENTS_PER_HOST))
    names = tuple(f"a{number}" for number in range(agents))
    with World(seed, hosts, checking="end") as world:
        for number, name in enumerate(names):
            world.spawn(name, Spreader, host=f"host-{number % hosts + 1}", names=names)
        world.run(until=0.5)
        for depth in depths:
            world.submit(names[0], Spread(0, depth))
            world.settle()
            core = world.machine(names[0]).core
            outcome = world.rollback(f"{names[0]}/{core.incarnation}/{core.seq}", inputs="discard")
            world.settle()
            messages, sent = rollback_costs(world).get(outcome.proposal, (0, 0))
            yield ConeRow(agents, len(outcome.undone), messages, sent, outcome.seconds * 1000)
